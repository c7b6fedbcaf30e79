"""Counts of HTTP status codes by cell, as histograms: a code has a bucket of its own, so they are exact."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.histogram import Histogram
from loadgen.measure.histograms import Histograms

_BITS = 16


def count_codes(cells: NDArray[np.int64], codes: NDArray[np.int64], size: int) -> Histograms:
    """`size` histograms: number i has the codes of the operations whose cell is i.  Code 0 stands for none."""
    has = codes > 0
    keys, counts = np.unique((cells[has] << _BITS) + codes[has], return_counts=True)
    return _of(keys, counts.astype(np.int64), size)


def add_codes(usual: NDArray[np.int64], times: NDArray[np.int64], others: NDArray[np.int64], size: int) -> Histograms:
    """The same from what C counted: the code that each cell has most often, or first, and `times` it had it.

    `others`: the cell and the code of every other operation, as cell << 16 | code.
    """
    has = np.flatnonzero(times)
    found, counts = np.unique(others, return_counts=True)
    keys = np.concatenate([(has << _BITS) + usual[has], found])
    order = np.argsort(keys)
    return _of(keys[order], np.concatenate([times[has], counts.astype(np.int64)])[order], size)


def codes_of(statuses: Histogram) -> dict[int, int]:
    """The number of replies by status code, ascending."""
    return dict(zip(statuses.indexes.tolist(), statuses.counts.tolist(), strict=True))


def _of(keys: NDArray[np.int64], counts: NDArray[np.int64], size: int) -> Histograms:
    cells, codes = keys >> _BITS, keys & ((1 << _BITS) - 1)
    starts = np.searchsorted(cells, np.arange(size + 1))
    some = starts[1:] > starts[:-1]
    low, high = np.zeros(size, np.int64), np.zeros(size, np.int64)
    low[some], high[some] = codes[starts[:-1][some]], codes[starts[1:][some] - 1]
    return Histograms(starts, codes.astype(np.int32), counts, high, low)
