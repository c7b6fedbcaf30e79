"""Times that may be known by their bounds only, as plain data: `{"low": ..., "high": ...}`, or null.

Version 0.1.0 wrote numbers, the times of ok operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadgen.verdict.span import Span


def read_span(value: Any) -> Span | None:
    """The interval; a number is an interval without width."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return Span(**value)
    return Span(value, value)


def number_of(span: Mapping[str, Any] | None) -> float | None:
    """The number that version 0.1.0 wrote for the plain data of an interval without width."""
    return None if span is None else span["low"]
