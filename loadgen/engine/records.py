"""The records of finished operations: one row per operation, in a preallocated array."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.record import RECORD_DTYPE

_ROWS = 4_096  # folding this many takes a millisecond; folding once a second would delay one operation in fifty

_ROW = struct.Struct("llllIIII")  # native layout, equal to RECORD_DTYPE's and cheaper than "<q"

PACK = _ROW.pack_into
"""Writes a row of RECORD_DTYPE at an offset: `Records.put` without its call, for the hot path."""

ROW_BYTES = RECORD_DTYPE.itemsize
assert _ROW.size == ROW_BYTES


class Records:
    """Rows of RECORD_DTYPE in `buffer`.  The next row goes to offset `at`; `fold` is called when `at` reaches `end`."""

    __slots__ = ("at", "buffer", "end", "fold")

    def __init__(self, fold: Callable[[], None]) -> None:
        self.buffer = bytearray(_ROWS * ROW_BYTES)
        self.at = 0
        self.end = len(self.buffer)
        self.fold = fold

    def put(self, *fields: int) -> None:
        """Write one row; `fields` are those of RECORD_DTYPE."""
        PACK(self.buffer, self.at, *fields)
        self.at += ROW_BYTES
        if self.at == self.end:
            self.fold()

    def put_all(self, rows: NDArray[np.void]) -> None:
        """Write many rows of RECORD_DTYPE."""
        data = memoryview(rows.tobytes())
        while data:
            some = data[: self.end - self.at]
            self.buffer[self.at : self.at + len(some)] = some
            data = data[len(some) :]
            self.at += len(some)
            if self.at == self.end:
                self.fold()

    def take(self) -> NDArray[np.void]:
        """All rows.  The array is valid until the next row is written."""
        rows = np.frombuffer(self.buffer, dtype=RECORD_DTYPE, count=self.at // ROW_BYTES)
        self.at = 0
        return rows
