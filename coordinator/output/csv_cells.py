"""Cells that several CSV outputs share.  An empty cell says that the number is not known."""

from __future__ import annotations

from collections.abc import Sequence

from loadgen.model.units import NS_PER_MS


def millis(time_ns: float | None) -> str:
    """A measured time in ms, to the nanosecond; empty for None."""
    return "" if time_ns is None else f"{time_ns / NS_PER_MS:.6f}"


def counted_millis(time_ns: int) -> str:
    """A time that a kernel counted, in ms; empty below 0."""
    return "" if time_ns < 0 else f"{time_ns / NS_PER_MS:g}"


def known(number: int, unit: int = 1) -> object:
    """A number in `unit`; empty below 0."""
    if number < 0:
        return ""
    return number if unit == 1 else f"{number / unit:.6f}"


def name_of(names: Sequence[str], target: int) -> str | int:
    """The name of a target; its number when the record does not list it."""
    return names[target] if target < len(names) else target
