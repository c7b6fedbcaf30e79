"""What happened, as it is written down: one row an operation in an array that is there from the beginning."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.record import RECORD_DTYPE

_ROWS = 4_096  # folded in a millisecond: all at once, once a second, would hold up one operation in fifty

_ROW = struct.Struct("llllIIII")  # as this machine lays it out, which is the same, and cheaper than by "<q"

PACK = _ROW.pack_into
"""Writes a row of RECORD_DTYPE at `at`: what `Records.put` does, without a call of its own for the hot path."""

ROW_BYTES = RECORD_DTYPE.itemsize
assert _ROW.size == ROW_BYTES


class Records:
    """Rows of RECORD_DTYPE in `buffer`; the next one goes to `at`, and when that is `end`, `fold` is called for."""

    __slots__ = ("at", "buffer", "end", "fold")

    def __init__(self, fold: Callable[[], None]) -> None:
        self.buffer = bytearray(_ROWS * ROW_BYTES)
        self.at = 0
        self.end = len(self.buffer)
        self.fold = fold

    def put(self, *fields: int) -> None:
        """Write one row down."""
        PACK(self.buffer, self.at, *fields)
        self.at += ROW_BYTES
        if self.at == self.end:
            self.fold()

    def take(self) -> NDArray[np.void]:
        """All rows, which may be overwritten from now on."""
        rows = np.frombuffer(self.buffer, dtype=RECORD_DTYPE, count=self.at // ROW_BYTES)
        self.at = 0
        return rows
