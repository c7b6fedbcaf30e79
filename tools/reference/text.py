"""Pieces of Markdown that several generated pages use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def note(source: str) -> str:
    """The line of each generated page that says how it is made, from `source`."""
    return f"This page is generated from {source} by `make reference`. Do not edit it."


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a cell may hold any text."""
    lines = [_row(heads), _row(["---"] * len(heads)), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


def plain(docstring: str) -> str:
    """A docstring as Markdown: roles of Sphinx become code spans, two backquotes one, and indents go."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", docstring)
    return "\n".join(line.strip() for line in text.strip().splitlines())
