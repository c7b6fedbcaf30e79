"""What each connection did: sums that add up, one row a (window, connection)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TALLY_DTYPE = np.dtype(
    [
        ("window", "<i4"),  # iteration; -1: outside every measured window
        ("connection", "<u4"),  # global number
        ("ok", "<u4"),
        ("bad", "<u4"),
        ("cut", "<u4"),
        ("overdue", "<u4"),  # those of the cut ones that were beyond a fixed tolerable time already
        ("good", "<u4"),  # ok and within the good bound
        ("tolerable", "<u4"),  # ok and within the tolerable bound (includes good)
        ("bytes", "<i8"),  # received in ok and cut operations
        ("busy_ns", "<i8"),  # line time of ok and cut operations: max(done - due, 8 * bytes / line speed)
    ]
)
"""Bad operations add neither bytes nor time (as in SPECweb99, whose rates are over good operations)."""

_RAW = np.dtype(f"V{TALLY_DTYPE.itemsize}")  # numpy moves rows of unknown content ten times faster than fields

_SUMS = [name for name in TALLY_DTYPE.names or () if name not in ("window", "connection")]


def empty_tallies() -> NDArray[np.void]:
    """No rows."""
    return np.zeros(0, dtype=TALLY_DTYPE)


def tally_keys(tallies: NDArray[np.void]) -> NDArray[np.int64]:
    """One number per row that orders rows by (window, connection) and tells them apart."""
    keys: NDArray[np.int64] = (tallies["window"].astype(np.int64) << 32) + tallies["connection"]
    return keys


def join_tallies(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """All rows of all parts, in their order."""
    return np.concatenate([part.view(_RAW) for part in (empty_tallies(), *parts)]).view(TALLY_DTYPE)


def merge_tallies(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """One row a (window, connection), the sum of all of its rows, ordered by window and connection."""
    rows = join_tallies(parts)
    if not len(rows):
        return rows
    keys = tally_keys(rows)
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], np.take(rows, order)
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    if len(first) == len(rows):  # as in one interval of all workers
        return rows
    merged = np.take(rows, first)
    for name in _SUMS:
        merged[name] = np.add.reduceat(rows[name], first)
    return merged


def add_tallies(by_connection: NDArray[np.void], rows: NDArray[np.void]) -> None:
    """Add rows of one window, at most one a connection and ascending, to a table with a row for each connection."""
    at = rows_of(rows, len(by_connection))
    for name in _SUMS:
        by_connection[name][at] += rows[name]


def rows_of(rows: NDArray[np.void], connections: int) -> NDArray[np.uint32] | slice:
    """Where these rows, at most one a connection and ascending, are in a table of so many connections."""
    return slice(None) if len(rows) == connections else rows["connection"]
