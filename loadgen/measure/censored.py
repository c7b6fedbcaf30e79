"""Times of which some are known only by a lower bound: percentiles, mean and maximum are intervals.

A failed operation never got its reply: its time has no upper bound.  A cut operation was under way when the traffic
stopped, which says nothing about its remaining time.  Decision 0031 explains how both are counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import Cell, CellTable
from loadgen.measure.histogram import EMPTY, Histogram, bucket_of, highest_of, lowest_of
from loadgen.model.outcome import Outcome

PATIENCE = 2
"""A cut operation is unanswered when it had waited longer than this many times the slowest answered operation.

With n operations per connection, one of the operations under way at the end of a fault-free run has waited longer than
the slowest answered one in about one run of n, but twice as long far more rarely (decision 0031).
"""

_SLACK = 1e-9  # relative: products of many floats are not exact


@dataclass(frozen=True, slots=True)
class Span:
    """A value in ns between `low` and `high`; `high` is infinite when no upper bound is known."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """Times in ns of operations: `known` of those that succeeded, lower bounds of those that `failed` or were `cut`.

    The low end of an interval counts each lower bound as the time itself.  The high end counts a failed operation as
    infinite, and a cut operation as the operations that took longer than it had waited (Kaplan and Meier's estimate).
    If none took longer, it counts as PATIENCE times the longest of them, or as infinite if it had waited even longer.
    """

    known: Histogram
    failed: Histogram
    cut: Histogram

    @classmethod
    def response_of(cls, cell: Cell) -> Times:
        """Done - due of all operations of a cell.

        Records of version 0.1.0 have no lower bounds: there, failed and cut operations are counted with 0.
        """
        return cls(
            cell.response,
            _padded(cell.response_failed, cell.bad),
            _padded(cell.response_cut, cell.cut),
        )

    @classmethod
    def service_of(cls, cell: Cell) -> Times:
        """Done - sent of all operations of a cell that were sent."""
        return cls(cell.service, cell.service_failed, cell.service_cut)

    @classmethod
    def exactly(cls, known: Histogram) -> Times:
        """Times without lower bounds."""
        return cls(known, EMPTY, EMPTY)

    @property
    def total(self) -> int:
        """The number of all operations."""
        return self.known.total + self.failed.total + self.cut.total

    def lowest(self) -> Histogram:
        """All operations; each lower bound counts as the time itself."""
        return Histogram.merge_all([self.known, self.failed, self.cut])

    def percentile(self, q: float) -> Span | None:
        """The interval of the percentile (0 < q <= 100), by nearest rank; None without operations."""
        low_ns = self.lowest().percentile_ns(q)
        if low_ns is None:
            return None
        if not self.failed.total and not self.cut.total:
            return Span(low_ns, low_ns)
        reached = np.cumsum(self._masses())
        at = int(np.searchsorted(reached, max(1.0, q / 100 * self.total) * (1 - _SLACK)))
        beyond = at - len(self.known.indexes)
        if beyond > 0:
            return Span(low_ns, math.inf)
        if beyond == 0:
            high_ns = PATIENCE * self.known.max_ns
        elif beyond == -1:
            high_ns = self.known.max_ns
        else:
            high_ns = int(highest_of(self.known.indexes[at : at + 1].astype(np.int64))[0])
        return Span(low_ns, max(low_ns, high_ns))

    def mean(self) -> Span | None:
        """The interval of the mean; None without operations."""
        low_ns = self.lowest().mean_ns
        if low_ns is None:
            return None
        if not self.failed.total and not self.cut.total:
            return Span(low_ns, low_ns)
        masses, total = self._masses(), self.total
        if masses.sum() < total * (1 - _SLACK):
            return Span(low_ns, math.inf)
        buckets = self.known.indexes.astype(np.int64)
        values = np.append((lowest_of(buckets) + highest_of(buckets)) / 2, PATIENCE * self.known.max_ns)
        return Span(low_ns, max(low_ns, float((masses * values).sum()) / total))

    def _masses(self) -> NDArray[np.float64]:
        """The number of operations for which each bucket of `known` stands at the high end.

        One more entry follows, for PATIENCE times the maximum.  What is missing from the total is infinite.
        """
        if not self.known.total:
            return np.zeros(1)
        endless = self.cut.since(PATIENCE * self.known.max_ns + 1)
        waiting = slice(0, len(self.cut.indexes) - len(endless.indexes))
        infinite = self.failed.total + endless.total
        cut_from = _from(self.cut.counts[waiting])
        # Cut operations of the same bucket were still under way at its values, so they count there.
        cut_from = cut_from[np.searchsorted(self.cut.indexes[waiting], self.known.indexes)]
        under_way = _from(self.known.counts)[:-1] + cut_from + infinite
        left = np.cumprod(1 - self.known.counts / under_way)
        masses = self.total * -np.diff(left, prepend=1.0)
        after = float(cut_from[-1])  # cut operations that had waited longer than the slowest known one
        rest = self.total * float(left[-1])
        return np.append(masses, rest * after / (after + infinite) if after else 0.0)


def _from(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of the counts from each place on, and 0 after the last."""
    return np.concatenate([np.cumsum(counts[::-1])[::-1], [0]]).astype(np.float64)


class ResponseTimes:
    """The response times of many cells, in groups: what :meth:`Times.response_of` gives of the sum of each group.

    `group` has the group of each cell, from 0 to `groups` - 1.  It takes a fraction of the time of adding up cells one
    by one, because groups without failed and cut operations need no intervals.
    """

    def __init__(self, cells: CellTable, group: NDArray[np.int64], groups: int) -> None:
        self._known = cells.add_up_times("response", group, groups)
        self._failed = cells.add_up_times("response_failed", group, groups)
        self._cut = cells.add_up_times("response_cut", group, groups)
        self._bad = np.zeros(groups, np.int64)
        np.add.at(self._bad, group, cells.bad())
        self._cuts = np.zeros(groups, np.int64)
        np.add.at(self._cuts, group, cells.outcomes[:, Outcome.CUT].astype(np.int64))

    def times(self, group: int) -> Times:
        """The times of one group."""
        return Times(
            self._known[group],
            _padded(self._failed[group], int(self._bad[group])),
            _padded(self._cut[group], int(self._cuts[group])),
        )

    def percentiles(self, q: float) -> list[Span | None]:
        """The percentile of each group, as from :meth:`Times.percentile`."""
        found = [None if ns is None else Span(ns, ns) for ns in self._known.percentiles_ns(q)]
        for group in np.flatnonzero(self._bad + self._cuts).tolist():
            found[group] = self.times(group).percentile(q)
        return found


def _padded(bounds: Histogram, number: int) -> Histogram:
    missing = number - bounds.total
    if missing <= 0:
        return bounds
    zero = bucket_of(np.zeros(1, np.int64)).astype(np.int32)
    return Histogram.merge_all([bounds, Histogram(zero, np.array([missing], np.int64), max_ns=0, min_ns=0)])
