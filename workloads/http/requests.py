"""Reads a file of requests: TOML with [[request]] tables."""

from __future__ import annotations

from typing import Any

from loadgen.model.errors import PlanError
from loadgen.model.http_request import HttpRequest
from loadgen.model.plain import as_written, from_plain
from loadgen.model.toml import parse_toml

_QUOTES = 'write the value in quotes, like X-Name = "true"'


def parse_requests(text: str) -> tuple[HttpRequest, ...]:
    """The requests in the text of a file.

    Each table has `url` and any other field of :class:`HttpRequest`; `headers` may be a table, with a
    list where a name has several lines.  A request with a body and no method is a POST.  Raises PlanError,
    which names the request by its number, for text that is not TOML, unknown keys and impossible values.
    """
    try:
        data = parse_toml(text)
    except ValueError as error:
        raise PlanError(f"the file is not TOML: {error}") from error
    tables = data.pop("request", None)
    if data:
        raise PlanError(f"unknown key {next(iter(data))!r}", hint="each request is a [[request]] table")
    if not isinstance(tables, list) or not tables:
        raise PlanError("the file has no request", hint="write [[request]] tables, each with a url")
    return tuple(_request(table, f"request {number}") for number, table in enumerate(tables, start=1))


def _header_lines(headers: dict[str, Any]) -> list[str]:
    """The lines of a table of headers: a list of values is one line for each.  Raises PlanError."""
    lines = []
    for name, value in headers.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bool) or not isinstance(one, str | int):
                got = as_written(value)
                raise PlanError(f"headers.{name} must be a text or a list of texts, got {got}", hint=_QUOTES)
            lines.append(f"{name}: {one}")
    return lines


def _request(table: Any, where: str) -> HttpRequest:
    try:
        if isinstance(table, dict):
            if isinstance(table.get("headers"), dict):
                table = {**table, "headers": _header_lines(table["headers"])}
            if table.get("body") or table.get("body_base64"):
                table = {"method": "POST", **table}  # as curl sends it
        return from_plain(HttpRequest, table)
    except PlanError as error:
        raise PlanError(f"{where}: {error.message}", hint=error.hint) from error
