"""Reading plain data that came over a network: every helper raises ValueError on what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_NUMBER = (1 << 53) - 1
"""No counter, size or time of ours comes near it, and sums of many stay inside 64 bits."""


def read_field(wire: object, name: str) -> Any:
    """The value of a field of a mapping."""
    if type(wire) is not dict and not isinstance(wire, Mapping):  # a snapshot has hundreds of fields: dict is quick
        raise ValueError(f"expected a mapping with {name!r}, got {type(wire).__name__}")
    try:
        return wire[name]
    except KeyError:
        raise ValueError(f"field {name!r} is missing") from None


def read_int(wire: object, name: str, *, low: int = 0, high: int = MAX_NUMBER) -> int:
    """A whole number in low..high."""
    value = read_field(wire, name)
    if type(value) is not int or not low <= value <= high:  # a bool is an int, too
        raise ValueError(f"field {name!r} is not a whole number in {low}..{high}")
    return value


def read_text(wire: object, name: str, *, max_length: int = 256) -> str:
    """A string of 1..max_length characters."""
    value = read_field(wire, name)
    if not isinstance(value, str) or not 0 < len(value) <= max_length:
        raise ValueError(f"field {name!r} is not a string of 1..{max_length} characters")
    return value


def read_bytes(wire: object, name: str, *, length: int | None = None) -> bytes:
    """A byte string, of `length` bytes when given."""
    value = read_field(wire, name)
    if not isinstance(value, bytes):
        raise ValueError(f"field {name!r} is not a byte string")
    if length is not None and len(value) != length:
        raise ValueError(f"field {name!r} has {len(value)} bytes instead of {length}")
    return value


def read_list(wire: object, name: str) -> list[Any]:
    """A list of anything."""
    value = read_field(wire, name)
    if not isinstance(value, list | tuple):
        raise ValueError(f"field {name!r} is not a list")
    return list(value)
