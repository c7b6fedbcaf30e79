"""A file of requests: TOML with [[request]] tables."""

from __future__ import annotations

import tomllib
from typing import Any

from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpRequest
from loadgen.model.plain import from_plain


def parse_requests(text: str) -> tuple[HttpRequest, ...]:
    """The requests of a file: `url`, and what else a :class:`HttpRequest` has; `headers` are a table.

    Raises PlanError, which names the request by its number, when something is wrong.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"it is not TOML: {error}") from error
    tables = data.pop("request", None)
    if data:
        raise PlanError(f"unknown key {next(iter(data))!r}", hint="each request is a [[request]] table")
    if not isinstance(tables, list) or not tables:
        raise PlanError("there is no request in it", hint="write [[request]] tables with a url each")
    return tuple(_request(table, f"request {number}") for number, table in enumerate(tables, start=1))


def _request(table: Any, where: str) -> HttpRequest:
    try:
        if isinstance(table, dict) and isinstance(table.get("headers"), dict):
            table = {**table, "headers": [f"{name}: {value}" for name, value in table["headers"].items()]}
        return from_plain(HttpRequest, table)
    except PlanError as error:
        raise PlanError(f"{where}: {error.message}", hint=error.hint) from error
