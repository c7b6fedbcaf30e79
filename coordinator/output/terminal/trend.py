"""The last minute of each row of a live view, as sparklines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SPAN_S = 60
"""The time that a sparkline shows."""

LEAST_CELLS = 12
"""Of fewer cells, each of 5 s, a sparkline says too little for its place."""

_MARKS, _ASCII_MARKS = "▁▂▃▄▅▆▇█", ".:-=+*#%"
_ZERO, _ASCII_ZERO = "·", "_"


def cells_in(room: int) -> int:
    """The number of cells of a sparkline in `room` cells: each has the same whole number of seconds; 0: no room."""
    if room < LEAST_CELLS:
        return 0
    each_s = -(-SPAN_S // min(room, SPAN_S))
    return -(-SPAN_S // each_s)


class Trend:
    """Values of the last minute, by row and interval of one second."""

    def __init__(self) -> None:
        self._newest = -1
        self._values = np.empty((SPAN_S, 0))

    def add(self, interval: int, values: Sequence[float]) -> None:
        """File the values of all rows in an interval; an interval that was filed before is left as it is."""
        if interval <= self._newest:
            return
        if self._values.shape[1] != len(values):
            self._values = np.full((SPAN_S, len(values)), np.nan)
        for skipped in range(max(self._newest + 1, interval - SPAN_S + 1), interval):
            self._values[skipped % SPAN_S] = np.nan
        self._values[interval % SPAN_S] = values
        self._newest = interval

    def line(self, row: int, cells: int, *, ascii_only: bool) -> str:
        """A sparkline of `cells` cells, the newest to the right, with heights relative to the row's greatest value.

        A cell of which nothing is known is empty; one in which all was 0 has a dot (in ASCII, an underscore).
        """
        if row >= self._values.shape[1]:
            return " " * cells
        each_s = -(-SPAN_S // cells)
        # A second stays in its cell while the line moves: otherwise each line would flicker.
        last = self._newest // each_s
        column = self._values[:, row].tolist()
        found = [self._mean(column, cell * each_s, each_s) for cell in range(last - cells + 1, last + 1)]
        top = max((value for value in found if value is not None), default=0.0)
        marks, zero = (_ASCII_MARKS, _ASCII_ZERO) if ascii_only else (_MARKS, _ZERO)
        return "".join(" " if v is None else zero if v <= 0 else marks[min(7, int(v / top * 8))] for v in found)

    def _mean(self, column: Sequence[float], begin: int, length: int) -> float | None:
        """The mean of the known values of some intervals; None when none is known."""
        times = range(max(begin, 0, self._newest - SPAN_S + 1), min(begin + length, self._newest + 1))
        known = [value for at in times if (value := column[at % SPAN_S]) == value]  # NaN is not equal to itself
        return sum(known) / len(known) if known else None
