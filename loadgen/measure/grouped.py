"""Sums and histograms of many values by group, with numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.histogram import EMPTY, TOP_NS, Histogram, bucket_of

DENSE = 16
"""Up to this ratio of places to values, counting into all places is faster than sorting."""


def numbered(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct keys, ascending, and the index of each key among them."""
    if int(keys.max()) > DENSE * len(keys):
        found, number = np.unique(keys, return_inverse=True)
        return found, number
    found = np.flatnonzero(np.bincount(keys))
    number = np.zeros(found[-1] + 1, dtype=np.int64)
    number[found] = np.arange(len(found))
    return found, number[keys]


def total(slot: NDArray[np.int64], column: NDArray[Any], slots: int) -> NDArray[np.int64]:
    """The sum of `column` in each of `slots` slots."""
    # bincount sums in float64, which is exact here: the bytes and times of one second stay far below 2^53.
    return np.bincount(slot, column, minlength=slots).astype(np.int64)


def histograms(slot: NDArray[np.int64], values_ns: NDArray[np.int64], slots: int) -> list[Histogram]:
    """One histogram per slot, equal to that of `Histogram.of`."""
    if not len(slot):
        return [EMPTY] * slots
    values_ns = np.clip(values_ns, 0, TOP_NS)
    index = bucket_of(values_ns)
    lowest = int(index.min())
    span = int(index.max()) - lowest + 1
    place = slot * span + (index - lowest)
    if slots * span <= DENSE * len(slot):
        counts = np.bincount(place, minlength=slots * span)
        place = np.flatnonzero(counts)
        counts = counts[place]
    else:
        place, counts = np.unique(place, return_counts=True)
    low, high = np.full(slots, TOP_NS), np.zeros(slots, np.int64)
    np.minimum.at(low, slot, values_ns)
    np.maximum.at(high, slot, values_ns)
    owner, offset = np.divmod(place, span)
    indexes = (offset + lowest).astype(np.int32)
    ends = np.searchsorted(owner, np.arange(slots + 1)).tolist()
    return [
        Histogram(indexes[start:end], counts[start:end], max_ns=most, min_ns=least) if start < end else EMPTY
        for start, end, most, least in zip(ends, ends[1:], high.tolist(), low.tolist(), strict=False)
    ]
