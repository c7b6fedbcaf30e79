"""An HDR histogram as a value: three significant digits, exact merging, small wire form.

The layout is that of HdrHistogram with a unit of 1 ns and 2048 sub-buckets.  Below 2048 ns each nanosecond has its own
bucket; above, each doubling has 1024 buckets, so a bucket is at most 1/1024 of its values wide.  Storage is sparse: one
second of operations of one target fills some dozens of the 33,792 buckets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

_HALF_BITS = 10  # 1024 buckets per doubling
VALUE_BITS = 42  # 2^42 ns are 73 minutes
TOP_NS = (1 << VALUE_BITS) - 1  # larger values are recorded as this value
BUCKETS = (VALUE_BITS - _HALF_BITS + 1) << _HALF_BITS
_FLOAT_EXPONENT = 1022  # the bit length of a float64's integer is its biased exponent minus this


def bucket_of(values_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bucket of each value.  Values must be in 0..TOP_NS."""
    # Up to 2^53, the exponent of a float64 gives the bit length of the integer exactly.
    bit_length = (values_ns.astype(np.float64).view(np.int64) >> 52) - _FLOAT_EXPONENT
    shift = np.maximum(bit_length - (_HALF_BITS + 1), 0)
    bucket: NDArray[np.int64] = (shift << _HALF_BITS) + (values_ns >> shift)
    return bucket


def lowest_of(bucket: NDArray[np.int64]) -> NDArray[np.int64]:
    """The smallest value in ns of each bucket."""
    shift = np.maximum((bucket >> _HALF_BITS) - 1, 0)
    value: NDArray[np.int64] = (bucket - (shift << _HALF_BITS)) << shift
    return value


def highest_of(bucket: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest value in ns of each bucket."""
    shift = np.maximum((bucket >> _HALF_BITS) - 1, 0)
    value: NDArray[np.int64] = ((bucket - (shift << _HALF_BITS) + 1) << shift) - 1
    return value


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts of values in nanoseconds, in buckets.

    `indexes`: the buckets that are not empty, ascending.  `counts`: their positive counts.  `max_ns` and `min_ns` are
    exact; both are 0 if no value was recorded.
    """

    indexes: NDArray[np.int32]
    counts: NDArray[np.int64]
    max_ns: int
    min_ns: int

    EMPTY: ClassVar[Histogram]

    @classmethod
    def of(cls, values_ns: NDArray[np.int64]) -> Histogram:
        """The histogram of `values_ns`.  Negative values, caused by rounding between two clocks, count as 0."""
        if not len(values_ns):
            return cls.EMPTY
        values_ns = np.clip(values_ns, 0, TOP_NS)
        buckets, counts = np.unique(bucket_of(values_ns), return_counts=True)
        return cls(
            buckets.astype(np.int32),
            counts.astype(np.int64),
            max_ns=int(values_ns.max()),
            min_ns=int(values_ns.min()),
        )

    @classmethod
    def merge_all(cls, histograms: Iterable[Histogram]) -> Histogram:
        """The values of all histograms together; the empty histogram without any."""
        parts = [h for h in histograms if len(h.indexes)]
        if len(parts) < 2:
            return parts[0] if parts else cls.EMPTY
        indexes = np.concatenate([h.indexes for h in parts])
        order = np.argsort(indexes, kind="stable")  # the parts are sorted, which a stable sort makes use of
        indexes = indexes[order]
        first = np.flatnonzero(np.diff(indexes, prepend=-1))
        return cls(
            indexes[first],
            np.add.reduceat(np.concatenate([h.counts for h in parts])[order], first),
            max_ns=max(h.max_ns for h in parts),
            min_ns=min(h.min_ns for h in parts),
        )

    @property
    def total(self) -> int:
        """The number of recorded values, over all buckets."""
        return int(self.counts.sum())

    def percentile_ns(self, q: float) -> int | None:
        """The value that `q` percent of the values do not exceed (0 < q <= 100), by nearest rank; None if empty.

        As in HdrHistogram, it is the highest value of the bucket that holds that rank, but at most the maximum.  It is
        never below the true value, and at most 1/1024 above it.
        """
        if not len(self.counts):
            return None
        cumulated = np.cumsum(self.counts)
        # Rounded first: otherwise a floating-point error could make 99 % of 100 values rank 100.
        rank = max(1, int(np.ceil(round(q / 100 * int(cumulated[-1]), 6))))
        at = int(np.searchsorted(cumulated, rank))
        if at == len(self.counts) - 1:
            return self.max_ns
        return int(highest_of(self.indexes[at : at + 1].astype(np.int64))[0])

    @property
    def mean_ns(self) -> float | None:
        """The mean in ns, from the middles of the buckets (error at most 1/2048); None if empty."""
        if not len(self.counts):
            return None
        buckets = self.indexes.astype(np.int64)
        middles = (lowest_of(buckets) + highest_of(buckets)) / 2
        return float(np.average(middles, weights=self.counts))

    def since(self, at_least_ns: int) -> Histogram:
        """The values in buckets that begin at `at_least_ns` or above."""
        lowest = lowest_of(self.indexes.astype(np.int64))
        first = int(np.searchsorted(lowest, at_least_ns))
        if first == len(self.indexes):
            return self.EMPTY
        least = self.min_ns if first == 0 else int(lowest[first])
        return Histogram(self.indexes[first:], self.counts[first:], max_ns=self.max_ns, min_ns=least)

    def sum_ns(self, at_least_ns: int = 0) -> float:
        """The sum of all values in buckets that begin at `at_least_ns` or above (error at most 1/2048)."""
        buckets = self.indexes.astype(np.int64)
        lowest = lowest_of(buckets)
        counted = lowest >= at_least_ns
        return float(((lowest + highest_of(buckets)) / 2 * self.counts)[counted].sum())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return (
            self.max_ns == other.max_ns
            and self.min_ns == other.min_ns
            and np.array_equal(self.indexes, other.indexes)
            and np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are compared by content


Histogram.EMPTY = Histogram(np.zeros(0, np.int32), np.zeros(0, np.int64), max_ns=0, min_ns=0)
EMPTY = Histogram.EMPTY
