"""What was measured over time, by target, in columns of whole seconds; read from the snapshots of a record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from coordinator.output.html.times import TimesInWindows, Windows
from coordinator.output.measured import window_of
from loadgen.measure.cells import CellTable
from loadgen.measure.censored import Times
from loadgen.measure.histogram import Histogram, lowest_of
from loadgen.measure.histograms import Histograms
from loadgen.measure.snapshot import Snapshot
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS

MAX_COLUMNS = 240
"""At most so many columns: a longer run has columns of several seconds."""

_GOOD = 0  # its place in the sums of a CellTable
_TIMES, _BOUNDS = 3, 4  # histograms of each cell: see CellTable
_LOWEST_MS, _ROWS = 0.01, 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The numbers of `targets` in columns of `span_s` seconds, from second `first_s` of the run on.

    `length_s`: how long all columns are together; the last one may be shorter than the others.
    Arrays of shape (targets, columns): `ok`, `failed` and `good` (within the bound) count operations that ended there;
    `p99_ms` of the response times is NaN without any operation, and a lower bound where some failed.
    `p99_all_ms`, shape (columns), is of all targets.  `measured`, shape (columns), says whether most operations that
    ended in the column belong to a measured window.  `failed_in_windows`, shape (targets), counts failed operations of
    measured windows.  `heat`, shape (rows, columns), counts operations by response time: row r is of
    `edges_ms[r]` to `edges_ms[r + 1]`.  `response` and `service` are the times of the measured windows.
    """

    first_s: int
    span_s: int
    length_s: int
    ok: NDArray[np.int64]
    failed: NDArray[np.int64]
    good: NDArray[np.int64]
    p99_ms: NDArray[np.float64]
    p99_all_ms: NDArray[np.float64]
    measured: NDArray[np.bool_]
    failed_in_windows: NDArray[np.int64]
    heat: NDArray[np.int64]
    edges_ms: NDArray[np.float64]
    response: Times
    service: Times

    @property
    def lengths_s(self) -> NDArray[np.int64]:
        """The length of each column."""
        begins = np.arange(len(self.measured)) * self.span_s
        return np.minimum(self.span_s, self.length_s - begins)

    @property
    def times_s(self) -> list[float]:
        """The middle of each column, in seconds since the start of the run."""
        found: list[float] = (self.first_s + np.arange(len(self.measured)) * self.span_s + self.lengths_s / 2).tolist()
        return found

    @property
    def covers(self) -> str:
        """How long a column is, for notes; "" for a second."""
        if self.span_s == 1:
            return ""
        last_s = int(self.lengths_s[-1])
        return f"covers {self.span_s} s" + (f", the last one {last_s} s" if last_s < self.span_s else "")

    def span_of(self, first: int, last: int) -> tuple[int, int]:
        """The begin and the end of these columns, in seconds of the run."""
        end_s = min((last + 1) * self.span_s, self.length_s)
        return self.first_s + first * self.span_s, self.first_s + end_s


def timeline_of(snapshots: Iterable[Snapshot], targets: int, windows: Windows) -> Timeline | None:
    """The timeline of a run, whose snapshots are read twice; None when none of them has an operation."""
    newest: dict[tuple[int, str], int] = {}
    for number, snapshot in enumerate(snapshots):  # a later snapshot of an interval holds all of an earlier one
        newest[snapshot.interval, snapshot.worker] = number
    if not newest:
        return None
    first_s, last_s = min(newest)[0], max(newest)[0]
    span_s = -(-(last_s - first_s + 1) // MAX_COLUMNS)
    times = TimesInWindows(windows)
    waiting: dict[int, list[CellTable]] = {}
    sums: dict[int, CellTable] = {}
    for number, snapshot in enumerate(snapshots):
        if newest[snapshot.interval, snapshot.worker] != number:
            continue
        rows = snapshot.tallies[snapshot.tallies["cut"] > 0]
        for window, cut in zip(rows["window"].tolist(), rows["cut"].tolist(), strict=True):
            times.add_cut(window, cut)
        if len(snapshot.cells):
            at = (snapshot.interval - first_s) // span_s
            held = waiting.setdefault(at, [])
            held.append(CellTable.of(snapshot.cells))
            if len(held) == _AT_ONCE:
                waiting[at] = [CellTable.merge_all(held)]
    for at, held in waiting.items():
        sums[at] = CellTable.merge_all(held)
    if not sums:
        return None
    return _timeline(sums, times, first_s, span_s, last_s - first_s + 1, targets)


_AT_ONCE = 16


def _timeline(
    sums: dict[int, CellTable], times: TimesInWindows, first_s: int, span_s: int, length_s: int, targets: int
) -> Timeline:
    columns = -(-length_s // span_s)
    shape = (targets, columns)
    counts = {name: np.zeros(shape, np.int64) for name in ("ok", "failed", "good")}
    p99_ms = np.full(shape, np.nan)
    p99_all = np.full(columns, np.nan)
    failed_in_windows = np.zeros(targets, np.int64)
    wholes: list[Histogram] = [Histogram.EMPTY] * columns
    windows: dict[int, int] = {}
    for at, table in sorted(sums.items()):
        own = table.targets.astype(np.int64)
        windows[at] = window_of(_by_window(table))
        times.add(table)
        np.add.at(counts["ok"][:, at], own, table.outcomes[:, Outcome.OK].astype(np.int64))
        np.add.at(counts["failed"][:, at], own, table.bad())
        np.add.at(counts["good"][:, at], own, table.sums[:, _GOOD].astype(np.int64))
        np.add.at(failed_in_windows, own, np.where(table.windows >= 0, table.bad(), 0))
        of_targets = _lowest(table, own, targets)
        p99_ms[:, at] = [np.nan if ns is None else ns / NS_PER_MS for ns in of_targets.percentiles_ns(99)]
        wholes[at] = of_targets.add_up(np.zeros(targets, np.int64), 1)[0]
        p99 = wholes[at].percentile_ns(99)
        p99_all[at] = np.nan if p99 is None else p99 / NS_PER_MS
    heat, edges = _heat(wholes)
    return Timeline(
        first_s=first_s,
        span_s=span_s,
        length_s=length_s,
        ok=counts["ok"],
        failed=counts["failed"],
        good=counts["good"],
        p99_ms=p99_ms,
        p99_all_ms=p99_all,
        measured=_measured(windows, columns),
        failed_in_windows=failed_in_windows,
        heat=heat,
        edges_ms=edges,
        response=times.response,
        service=times.service,
    )


def _by_window(table: CellTable) -> dict[int, int]:
    """The number of operations by window."""
    found, at = np.unique(table.windows, return_inverse=True)
    operations = np.bincount(at, weights=table.outcomes.sum(axis=1)).astype(np.int64)
    return dict(zip(found.tolist(), operations.tolist(), strict=True))


def _measured(windows: dict[int, int], columns: int) -> NDArray[np.bool_]:
    """Which columns are those of a measured window; `windows`: by column, in order.

    A column in which nothing ended belongs to the window on both of its sides.
    """
    found = np.zeros(columns, np.bool_)
    for at, window in windows.items():
        found[at] = window >= 0
    for (at, window), (after, then) in pairwise(windows.items()):
        found[at:after] |= window == then and window >= 0
    return found


def _lowest(table: CellTable, group: NDArray[np.int64], groups: int) -> Histograms:
    """The response times of the cells of each group; lower bounds count as times."""
    times, bounds = np.full(len(table.times), -1), np.full(len(table.bounds), -1)
    times[::_TIMES] = group
    for bound in (0, 1):  # of failed and of cut operations
        bounds[bound::_BOUNDS] = group
    return Histograms.join([table.times, table.bounds]).add_up(np.concatenate([times, bounds]), groups)


def _heat(columns: list[Histogram]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Operations by response time and column, in rows of equal ratio."""
    some = [one for one in columns if one.total]
    low = max(_LOWEST_MS, min((one.min_ns for one in some), default=0) / NS_PER_MS)
    high = max(low * 1.01, max((one.max_ns for one in some), default=0) / NS_PER_MS * 1.001)
    edges = np.geomspace(low, high, _ROWS + 1)
    heat = np.zeros((_ROWS, len(columns)), np.int64)
    for at, one in enumerate(columns):
        if one.total:
            row = np.clip(
                np.searchsorted(edges, lowest_of(one.indexes.astype(np.int64)) / NS_PER_MS, "right") - 1, 0, _ROWS - 1
            )
            np.add.at(heat[:, at], row, one.counts)
    return heat, edges
