"""Writes pages from their templates.  Everything is escaped: names in records and titles of runs may hold markup."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """The page that a template makes of these values."""
    return _environment().get_template(f"{template}.html.j2").render(**values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("coordinator.output.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """A text without what UTF-8 cannot hold (of the names of files) and without control characters."""
    if type(value) is not str or value.isprintable():
        return value
    kept = "".join(char if char >= " " or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in value)
    return kept.encode("utf-8", "replace").decode("utf-8")
