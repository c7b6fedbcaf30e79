"""Helpers that read plain data from a network.  Each raises ValueError if the data does not have the expected form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_NUMBER = (1 << 53) - 1
"""Counters, sizes and times stay far below it, and sums of many such numbers fit into 64 bits."""

_WIDTHS = {1: "|u1", 2: "<u2", 4: "<u4", 8: "<u8"}
_TYPES = frozenset(_WIDTHS.values())


def read_field(wire: object, name: str) -> Any:
    """The value of field `name` of the mapping `wire`."""
    if type(wire) is not dict and not isinstance(
        wire, Mapping
    ):  # a snapshot has hundreds of fields, and the test for dict is fast
        raise ValueError(f"expected a mapping with {name!r}, got {type(wire).__name__}")
    try:
        return wire[name]
    except KeyError:
        raise ValueError(f"field {name!r} is missing") from None


def read_int(wire: object, name: str, *, low: int = 0, high: int = MAX_NUMBER) -> int:
    """Field `name`, a whole number in low..high."""
    value = read_field(wire, name)
    if type(value) is not int or not low <= value <= high:  # a bool would pass isinstance
        raise ValueError(f"field {name!r} is not a whole number in {low}..{high}")
    return value


def read_text(wire: object, name: str, *, max_length: int = 256) -> str:
    """Field `name`, a string of 1..max_length characters."""
    value = read_field(wire, name)
    if not isinstance(value, str) or not 0 < len(value) <= max_length:
        raise ValueError(f"field {name!r} is not a string of 1..{max_length} characters")
    return value


def read_bytes(wire: object, name: str, *, length: int | None = None) -> bytes:
    """Field `name`, a byte string; of `length` bytes if given."""
    value = read_field(wire, name)
    if not isinstance(value, bytes):
        raise ValueError(f"field {name!r} is not a byte string")
    if length is not None and len(value) != length:
        raise ValueError(f"field {name!r} has {len(value)} bytes, expected {length}")
    return value


def read_list(wire: object, name: str) -> list[Any]:
    """Field `name`, a list; its items are not checked."""
    value = read_field(wire, name)
    if not isinstance(value, list | tuple):
        raise ValueError(f"field {name!r} is not a list")
    return list(value)


def pack(numbers: NDArray[Any]) -> bytes:
    """Little-endian bytes of whole numbers from 0 on, in the narrowest unsigned type that holds all of them.

    Numbers of an unsigned type keep that type: they come from :func:`unpack`.
    """
    if numbers.dtype.str in _TYPES:
        return numbers.tobytes()
    largest = int(numbers.max(initial=0))
    width = next(width for width in _WIDTHS if largest < 1 << 8 * width)
    return numbers.astype(_WIDTHS[width]).tobytes()


def unpack(wire: object, name: str, size: int) -> NDArray[Any]:
    """The inverse of :func:`pack` for `size` numbers, in their narrow type, but int64 instead of uint64.

    (numpy turns uint64 combined with int64 into floats, which cannot be used as counts.)  Raises ValueError also for a
    number above MAX_NUMBER.
    """
    data = read_bytes(wire, name)
    width = len(data) // size if size else 1
    if width not in _WIDTHS or len(data) != width * size:
        raise ValueError(f"field {name!r} has {len(data)} bytes for {size} numbers")
    return _numbers(data, width, name)


def unpack_all(wires: Sequence[object], name: str, sizes: Sequence[int]) -> NDArray[Any]:
    """The numbers that :func:`unpack` gives for each of `wires`, one after another; wire form i has `sizes[i]`."""
    parts = [read_bytes(wire, name) for wire in wires]
    data = b"".join(parts)
    total = sum(sizes)
    width = len(data) // total if total else 1
    if width in _WIDTHS and all(len(one) == width * size for one, size in zip(parts, sizes, strict=True)):
        return _numbers(data, width, name)  # the usual case: all have the same width and are checked at once
    return np.concatenate([unpack(wire, name, size) for wire, size in zip(wires, sizes, strict=True)])


def _numbers(data: bytes, width: int, name: str) -> NDArray[Any]:
    numbers = np.frombuffer(data, _WIDTHS[width])
    if width < 8:
        return numbers
    if int(numbers.max(initial=0)) > MAX_NUMBER:
        raise ValueError(f"a number in field {name!r} is above {MAX_NUMBER}")
    return numbers.view("<i8")


def starts_of(sizes: NDArray[Any]) -> NDArray[np.int64]:
    """The offsets of n consecutive parts, and the end of the last part: n + 1 numbers."""
    starts = np.zeros(len(sizes) + 1, np.int64)
    sizes.cumsum(out=starts[1:])
    return starts


def sums_of(numbers: NDArray[Any], sizes: Sequence[int]) -> NDArray[np.int64]:
    """The sum of each part, where part i is the next `sizes[i]` numbers."""
    bounds = starts_of(np.array(sizes, np.int64))
    sums: NDArray[np.int64] = np.diff(starts_of(numbers)[bounds])
    return sums


def ascend(numbers: NDArray[Any], starts: NDArray[np.int64]) -> bool:
    """Whether the numbers ascend strictly within each part; parts begin at `starts` (see :func:`starts_of`)."""
    ascending = numbers[1:] > numbers[:-1]
    between = starts[1:-1]
    ascending[between[(between > 0) & (between < len(numbers))] - 1] = True
    return bool(ascending.all())


def printable(text: str) -> str:
    """`text` with each unprintable character replaced by a space, so that a terminal can show it safely."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)
