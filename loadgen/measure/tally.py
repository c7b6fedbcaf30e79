"""Tallies: what each connection did, one row per (window, connection).  Rows can be added up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.slot_time import PARTS

_COUNTED_DTYPE = np.dtype(
    [
        ("window", "<i4"),  # iteration; -1: outside every measured window
        ("connection", "<u4"),  # global connection number
        ("ok", "<u4"),
        ("bad", "<u4"),
        ("cut", "<u4"),
        ("overdue", "<u4"),  # cut, and judged: after a fixed tolerable time, or by the rate so far
        ("good", "<u4"),  # ok and within the good bound, or cut at a good rate so far
        ("tolerable", "<u4"),  # the same for the tolerable bound (includes good)
        ("bytes", "<i8"),  # bytes received in ok and cut operations
        ("busy_ns", "<i8"),  # line time of ok and cut operations: max(done - due, 8 * bytes / line speed)
    ]
)

TALLY_DTYPE = np.dtype([*_COUNTED_DTYPE.descr, *((name, "<i8") for name in PARTS)])
"""Bad operations add neither bytes nor time, as in SPECweb99, whose rates count successful operations only.

A measured window has the part of each line time that lies in it, and the same part of the bytes.  The last columns are
the parts of the connection's time: see :mod:`loadgen.measure.slot_time`.
"""

_NARROW_DTYPE = np.dtype(
    [
        ("window", "<i2"),
        ("connection", "<u4"),
        ("counts", "u1", (6,)),  # ok to tolerable
        ("bytes", "<u4"),
        ("busy_low_ns", "<u4"),
        ("busy_high", "<u2"),  # in units of 2^32 ns
    ]
)
"""A form of less than half the size of _COUNTED_DTYPE, in which one second of a paced connection fits."""

_COUNTS = slice(2, 8)  # indexes into the 4-byte words of a row
_BUSY_LOW, _BUSY_HIGH = 10, 11
_COUNTED = _COUNTED_DTYPE.itemsize // 4  # words of a row without the parts of its time

_RAW = np.dtype(f"V{TALLY_DTYPE.itemsize}")  # numpy copies opaque rows ten times faster than rows with fields

_SPARSE = 4
"""From this ratio of places to rows on, sorting is faster than marking places."""

_NO_KEY = -(1 << 40)  # below the key of any row

_SUMS = [name for name in TALLY_DTYPE.names or () if name not in ("window", "connection")]


def empty_tallies() -> NDArray[np.void]:
    """An array of TALLY_DTYPE without rows."""
    return np.zeros(0, dtype=TALLY_DTYPE)


def tally_keys(tallies: NDArray[np.void]) -> NDArray[np.int64]:
    """One number per row; rows with the same key have the same (window, connection), and keys order rows by these."""
    keys: NDArray[np.int64] = (tallies["window"].astype(np.int64) << 32) + tallies["connection"]
    return keys


def operations_of(tallies: NDArray[np.void]) -> NDArray[np.int64]:
    """The number of operations of each row; 0 if it only has the time of a rest, or before the first operation."""
    found: NDArray[np.int64] = tallies["ok"].astype(np.int64) + tallies["bad"] + tallies["cut"]
    return found


def join_tallies(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """The rows of all parts, in order."""
    return np.concatenate([part.view(_RAW) for part in (empty_tallies(), *parts)]).view(TALLY_DTYPE)


def pack_tallies(rows: NDArray[np.void]) -> bytes:
    """The rows as little-endian bytes: in _NARROW_DTYPE if all of them fit, else in _COUNTED_DTYPE.

    The parts of the time are packed apart, by :func:`loadgen.measure.slot_time.pack_parts`.
    """
    rows = np.ascontiguousarray(rows)
    if not _are_narrow(rows):
        return _words(rows)[:, :_COUNTED].tobytes()
    words, narrow = _words(rows), np.empty(len(rows), _NARROW_DTYPE)
    for name in ("window", "connection", "bytes"):
        narrow[name] = rows[name]
    narrow["counts"] = words[:, _COUNTS]
    narrow["busy_low_ns"], narrow["busy_high"] = words[:, _BUSY_LOW], words[:, _BUSY_HIGH]
    return narrow.tobytes()


def unpack_tallies(packed: Sequence[bytes], rows: Sequence[int]) -> NDArray[np.void]:
    """The inverse of :func:`pack_tallies` for several byte strings; string i holds `rows[i]` rows; all parts are 0.

    Raises ValueError if a string has the wrong length.  The values in the rows are not checked.
    """
    lengths = [(len(one), number) for one, number in zip(packed, rows, strict=True)]
    for dtype, whole in ((_NARROW_DTYPE, _widened), (_COUNTED_DTYPE, _with_parts)):
        if all(length == dtype.itemsize * number for length, number in lengths):
            return whole(np.frombuffer(b"".join(packed), dtype))
    if len(packed) == 1:
        raise ValueError(f"{len(packed[0])} bytes of tallies are not {rows[0]} rows")
    return join_tallies([unpack_tallies([one], [number]) for one, number in zip(packed, rows, strict=True)])


def _are_narrow(rows: NDArray[np.void]) -> bool:
    words = _words(rows)
    return not len(rows) or bool(
        rows["window"].max() < 1 << 15
        and words[:, _COUNTS].max() < 1 << 8
        and rows["bytes"].min() >= 0
        and rows["bytes"].max() < 1 << 32
        and words[:, _BUSY_HIGH].max() < 1 << 16
    )


def _with_parts(counted: NDArray[np.void]) -> NDArray[np.void]:
    rows = np.zeros(len(counted), TALLY_DTYPE)
    _words(rows)[:, :_COUNTED] = counted.view("<u4").reshape(-1, _COUNTED)
    return rows


def _widened(narrow: NDArray[np.void]) -> NDArray[np.void]:
    rows = np.zeros(len(narrow), TALLY_DTYPE)
    words = _words(rows)
    for name in ("window", "connection", "bytes"):
        rows[name] = narrow[name]
    words[:, _COUNTS] = narrow["counts"]
    words[:, _BUSY_LOW], words[:, _BUSY_HIGH] = narrow["busy_low_ns"], narrow["busy_high"]
    return rows


def _words(rows: NDArray[np.void]) -> NDArray[np.uint32]:
    """A view of the rows as 4-byte words, shape (rows, words)."""
    return rows.view("<u4").reshape(-1, TALLY_DTYPE.itemsize // 4)


def merge_tallies(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """One row per (window, connection), the sum of its rows in all parts, ordered by window and connection."""
    tables = [part for part in parts if len(part)]
    if len(tables) > 1 and _ordered(tables[0]) and all(_same_keys(tables[0], other) for other in tables[1:]):
        # All parts have the same keys, as in intervals in which every connection did something.
        total = tables[0].copy()
        for other in tables[1:]:
            for name in _SUMS:
                total[name] += other[name]
        return total
    rows = tables[0] if len(tables) == 1 else join_tallies(tables)
    if (order := _order_of_different(rows)) is not None:  # no key occurs twice, as in one interval of all workers
        return np.take(rows.view(_RAW), order).view(TALLY_DTYPE)
    keys = tally_keys(rows)
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], np.take(rows, order)
    first = np.flatnonzero(np.diff(keys, prepend=_NO_KEY))
    merged = np.take(rows, first)
    for name in _SUMS:
        merged[name] = np.add.reduceat(rows[name], first)
    return merged


def _order_of_different(rows: NDArray[np.void]) -> NDArray[np.int64] | None:
    """The order of rows with distinct keys, found by marking places; None if keys repeat or are too sparse."""
    if not len(rows):
        return None
    windows, connections = rows["window"], rows["connection"]
    lowest, width = int(windows.min()), int(connections.max()) + 1
    places = (int(windows.max()) - lowest + 1) * width
    if places > _SPARSE * len(rows):
        return None
    row_at = np.full(places, -1)
    row_at[(windows.astype(np.int64) - lowest) * width + connections] = np.arange(len(rows))
    order = row_at[row_at >= 0]
    return order if len(order) == len(rows) else None


def _ordered(rows: NDArray[np.void]) -> bool:
    keys = tally_keys(rows)
    return bool((keys[1:] > keys[:-1]).all())


def _same_keys(one: NDArray[np.void], other: NDArray[np.void]) -> bool:
    return len(one) == len(other) and all(np.array_equal(one[name], other[name]) for name in ("window", "connection"))


def add_tallies(by_connection: NDArray[np.void], rows: NDArray[np.void]) -> None:
    """Add `rows` of one window to `by_connection` in place.

    `rows`: at most one per connection, ascending.  `by_connection`: one row per connection of the run.
    """
    at = rows_of(rows, len(by_connection))
    for name in _SUMS:
        by_connection[name][at] += rows[name]


def rows_of(rows: NDArray[np.void], connections: int) -> NDArray[np.uint32] | slice:
    """The index of `rows` in a table with one row per connection; `rows`: at most one per connection, ascending."""
    return slice(None) if len(rows) == connections else rows["connection"]
