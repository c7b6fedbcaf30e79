"""Reads a plain list of URLs: one per line, as siege reads it, or targets of vegeta."""

from __future__ import annotations

import re

from loadgen.model.errors import PlanError
from loadgen.model.http_request import HttpRequest

_METHOD = re.compile(r"(?P<method>[A-Z]+)\s+(?P<url>\S+)")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:(?!//)")


def parse_urls(text: str) -> tuple[HttpRequest, ...]:
    """The requests in the text of a list: `URL` or `METHOD URL`, which lines like `Accept: text/html` may follow.

    Empty lines, and lines that begin with #, are left out.  Raises PlanError, which names the line, for anything else.
    """
    found: list[HttpRequest] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith(("#", "//")):
            continue
        try:
            if line.startswith(("http://", "https://")) and " " not in line and "\t" not in line:
                found.append(HttpRequest(url=line))  # first, because a list may have 100,000
            elif _HEADER.match(line) and found:
                last = found.pop()
                found.append(HttpRequest(url=last.url, method=last.method, headers=(*last.headers, line)))
            else:
                found.append(_request(line))
        except PlanError as error:
            raise PlanError(f"line {number}: {error.message}", hint=error.hint) from error
    if not found:
        raise PlanError("the list has no URL", hint="write one per line, like http://192.0.2.7/")
    return tuple(found)


def _request(line: str) -> HttpRequest:
    if line.startswith("@"):
        raise PlanError(f"{line!r}: bodies are not read from a list", hint="use --requests FILE, a TOML file")
    if match := _METHOD.fullmatch(line):
        return HttpRequest(url=match["url"], method=match["method"])
    if " " in line or "\t" in line:
        raise PlanError(f"{line!r} is more than a URL", hint="use --requests FILE, a TOML file, for bodies and weights")
    return HttpRequest(url=line)
