"""Many histograms stored as columns.

The snapshots of a fleet hold thousands of histograms per second: one object for each would use up a core.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.histogram import BUCKETS, EMPTY, TOP_NS, Histogram, bucket_of, highest_of
from loadgen.measure.wire import MAX_NUMBER, ascend, pack, read_bytes, starts_of, sums_of, unpack_all

try:
    from loadgen.measure import _sums
except ImportError:  # built without a C compiler
    _sums = None  # type: ignore[assignment]

IS_COMPILED = _sums is not None

_BUCKETS_IN, _COUNTS_IN = frozenset({"<u2", "<i4"}), frozenset({"|u1", "<u2"})
"""Column types that the compiled code accepts; columns of other types are converted to int64."""


@dataclass(frozen=True, slots=True, eq=False)
class Histograms:
    """Histograms in n rows: row i has the entries `starts[i]` to `starts[i + 1] - 1` of `indexes` and `counts`.

    `starts` has n + 1 numbers, `max_ns` and `min_ns` have n.  The columns mean the same as in Histogram, and may have
    any integer type.
    """

    starts: NDArray[np.int64]
    indexes: NDArray[Any]
    counts: NDArray[Any]
    max_ns: NDArray[Any]
    min_ns: NDArray[Any]

    @classmethod
    def of(cls, rows: Iterable[Histogram]) -> Histograms:
        """The given histograms, one per row."""
        parts = list(rows)
        sizes = np.array([len(one.indexes) for one in parts], np.int64)
        return cls(
            starts_of(sizes),
            np.concatenate([np.zeros(0, np.int32), *(one.indexes for one in parts)]),
            np.concatenate([np.zeros(0, np.int64), *(one.counts for one in parts)]),
            np.array([one.max_ns for one in parts], np.int64),
            np.array([one.min_ns for one in parts], np.int64),
        )

    @classmethod
    def nothing(cls, rows: int) -> Histograms:
        """`rows` empty histograms."""
        none = np.zeros(rows, np.int64)
        return cls(np.zeros(rows + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64), none, none)

    @classmethod
    def join(cls, parts: Sequence[Histograms]) -> Histograms:
        """The rows of at least one `Histograms`, in order."""
        return cls(
            starts_of(np.concatenate([one.sizes for one in parts])),
            np.concatenate([one.indexes for one in parts]),
            np.concatenate([one.counts for one in parts]),
            np.concatenate([one.max_ns for one in parts]),
            np.concatenate([one.min_ns for one in parts]),
        )

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The number of entries of each row, shape (n)."""
        return self.starts[1:] - self.starts[:-1]

    def __len__(self) -> int:
        return len(self.max_ns)

    def __getitem__(self, row: int) -> Histogram:
        start, end = self.starts[row], self.starts[row + 1]
        if start == end:
            return EMPTY
        return Histogram(
            self.indexes[start:end].astype(np.int32),
            self.counts[start:end].astype(np.int64),
            max_ns=int(self.max_ns[row]),
            min_ns=int(self.min_ns[row]),
        )

    def __iter__(self) -> Iterator[Histogram]:
        return (self[row] for row in range(len(self)))

    def widened(self) -> Histograms:
        """The same histograms in int64 columns."""
        return Histograms(
            self.starts,
            self.indexes.astype(np.int64),
            self.counts.astype(np.int64),
            self.max_ns.astype(np.int64),
            self.min_ns.astype(np.int64),
        )

    def part(self, first: int, end: int) -> Histograms:
        """The histograms at rows first..end-1, sharing their memory."""
        starts = self.starts[first : end + 1]
        begin, stop = starts[0], starts[-1]
        return Histograms(
            starts - begin,
            self.indexes[begin:stop],
            self.counts[begin:stop],
            self.max_ns[first:end],
            self.min_ns[first:end],
        )

    def add_up(self, group: NDArray[np.int64], groups: int) -> Histograms:
        """`groups` rows: row g is the sum of all rows whose `group` is g; rows of a negative group are left out."""
        if not len(self.indexes):
            return Histograms.nothing(groups)
        order = np.argsort(group, kind="stable")
        ends = np.searchsorted(group[order], np.arange(groups + 1))
        starts, indexes, counts = _add_up(self, order, ends)
        low, high = np.full(groups, TOP_NS), np.zeros(groups, np.int64)
        some = (self.sizes > 0) & (group >= 0)
        np.minimum.at(low, group[some], self.min_ns[some].astype(np.int64))
        np.maximum.at(high, group[some], self.max_ns[some].astype(np.int64))
        return Histograms(starts, indexes, counts, high, np.where(np.diff(starts) > 0, low, 0))

    def percentiles_ns(self, q: float) -> list[int | None]:
        """The percentile of each row, as from `Histogram.percentile_ns`."""
        if not len(self.indexes):
            return [None] * len(self)
        cumulated = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        before, through = cumulated[self.starts[:-1]], cumulated[self.starts[1:]]
        ranks = np.maximum(1, np.ceil(np.round(q / 100 * (through - before), 6)).astype(np.int64))
        at = np.minimum(np.searchsorted(cumulated, before + ranks) - 1, len(self.indexes) - 1)
        values = np.where(at == self.starts[1:] - 1, self.max_ns, highest_of(self.indexes[at].astype(np.int64)))
        return [value if size else None for value, size in zip(values.tolist(), self.sizes.tolist(), strict=True)]

    def to_wire(self) -> dict[str, Any]:
        """The histograms as plain data for msgpack."""
        return {
            "sizes": pack(self.sizes),
            "indexes": pack(self.indexes),
            "counts": pack(self.counts),
            "max_ns": pack(self.max_ns),
            "min_ns": pack(self.min_ns),
        }

    @classmethod
    def from_wires(cls, wires: Sequence[object], rows: Sequence[int]) -> Histograms:
        """The inverse of :meth:`to_wire` for several wire forms; form i has `rows[i]` rows, and its rows follow on.

        Raises ValueError if a wire form is malformed.
        """
        sizes = unpack_all(wires, "sizes", rows)
        # Checked before they are added up: the sum of very large numbers could overflow to any value.
        if sizes.max(initial=0) > sum(len(read_bytes(wire, "indexes")) for wire in wires):
            raise ValueError("a histogram claims more entries than the data holds")
        totals = sums_of(sizes, rows).tolist()
        starts = starts_of(sizes)
        indexes, counts = unpack_all(wires, "indexes", totals), unpack_all(wires, "counts", totals)
        max_ns, min_ns = unpack_all(wires, "max_ns", rows), unpack_all(wires, "min_ns", rows)
        size = len(indexes)
        if not ascend(indexes, starts):
            raise ValueError("a histogram's indexes are not ascending")
        # Only counts of 8 bytes can be too large.
        if not counts.all() or (counts.itemsize == 8 and size and int(counts.max()) > MAX_NUMBER // size):
            raise ValueError("a histogram's counts are out of range")
        some = starts[1:] > starts[:-1]
        extremes = np.concatenate([min_ns[some], max_ns[some]], dtype=np.int64, casting="unsafe")
        if (
            (min_ns > max_ns).any()
            or extremes.max(initial=0) > TOP_NS
            or (len(extremes) < 2 * len(max_ns) and max_ns[~some].any())
        ):
            raise ValueError("a histogram's minimum and maximum are out of range")
        ends = np.concatenate([starts[:-1][some], starts[1:][some] - 1])
        if (bucket_of(extremes) != indexes[ends]).any():
            raise ValueError("a histogram's minimum and maximum do not fit its indexes")
        return cls(starts, indexes, counts, max_ns, min_ns)


_Entries = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def add_up_with_numpy(rows: Histograms, order: NDArray[np.int64], ends: NDArray[np.int64]) -> _Entries:
    """Starts, indexes and counts of the sums; sum g is that of the rows order[ends[g]:ends[g + 1]]."""
    chosen = order[ends[0] : ends[-1]]
    sizes, groups = rows.sizes[chosen], len(ends) - 1
    within = np.arange(sizes.sum()) - np.repeat(starts_of(sizes)[:-1], sizes)
    entries = np.repeat(rows.starts[chosen], sizes) + within
    keys = np.repeat(np.repeat(np.arange(groups), np.diff(ends)) * BUCKETS, sizes) + rows.indexes[entries]
    by_key = np.argsort(keys, kind="stable")
    keys, counts = keys[by_key], rows.counts[entries][by_key].astype(np.int64)
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    owner, indexes = np.divmod(keys[first], BUCKETS)
    sums = np.add.reduceat(counts, first) if len(first) else counts
    return np.searchsorted(owner, np.arange(groups + 1)), indexes, sums


def add_up_compiled(rows: Histograms, order: NDArray[np.int64], ends: NDArray[np.int64]) -> _Entries:
    """Like :func:`add_up_with_numpy`, but reads each entry once and does not sort."""
    if not len(rows.indexes):
        return np.zeros(len(ends), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    lowest = int(rows.indexes.min())
    span = int(rows.indexes.max()) - lowest + 1
    room = min(len(rows.indexes), span * (len(ends) - 1))
    starts, indexes, counts = np.empty(len(ends), np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    columns = _column(rows.indexes, _BUCKETS_IN), _column(rows.counts, _COUNTS_IN)
    found = _sums.add_up(order, ends, rows.starts, *columns, lowest, span, starts, indexes, counts)
    return starts, indexes[:found], counts[:found]


def _column(numbers: NDArray[Any], types: frozenset[str]) -> NDArray[Any]:
    """A contiguous column of a type that the compiled code accepts."""
    return np.ascontiguousarray(numbers if numbers.dtype.str in types else numbers.astype(np.int64))


_add_up = add_up_compiled if IS_COMPILED else add_up_with_numpy
