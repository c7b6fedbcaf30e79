"""The option --body: a text, or a file that may be binary, as the body of requests."""

from __future__ import annotations

import dataclasses
import os
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import click

from loadgen.model.http_request import HttpRequest

_MOST_BYTES = 16 << 20  # the record, and every engine, holds it


class Body(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A body as bytes: that of the argument, or the content of @FILE as it is; @- is stdin."""

    name = "body"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the bytes; a file that cannot be read is a usage error."""
        given = os.fsencode(value)
        if not given.startswith(b"@"):
            return given
        name = given[1:]
        if not name:
            self.fail("the name of the file is missing after @", param, ctx)
        shown = "stdin" if name == b"-" else repr(os.fsdecode(name))
        try:
            content = sys.stdin.buffer.read(_MOST_BYTES + 1) if name == b"-" else _read(name)
        except (OSError, ValueError) as error:  # ValueError: a name with a NUL
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            hint = "write --body @FILE; a text that begins with @ needs a file, too"
            self.fail(f"{shown} cannot be read: {why} ({hint})", param, ctx)
        if len(content) > _MOST_BYTES:
            self.fail(f"{shown} has more than {_MOST_BYTES} bytes", param, ctx)
        return content


def _read(name: bytes) -> bytes:
    with Path(os.fsdecode(name)).open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def with_body(request: HttpRequest, body: bytes | None, *, keep_method: bool) -> HttpRequest:
    """Return the request with a body; None changes nothing.  A GET becomes a POST, as in curl, unless `keep_method`."""
    if body is None:
        return request
    try:
        text, binary = body.decode("utf-8"), ""
    except UnicodeDecodeError:
        text, binary = "", b64encode(body).decode("ascii")
    method = "POST" if request.method == "GET" and not keep_method else request.method
    return dataclasses.replace(request, method=method, body=text, body_base64=binary)
