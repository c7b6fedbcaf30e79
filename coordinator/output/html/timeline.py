"""What was measured over time, by target, in columns of whole seconds; read from the snapshots of a record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.record.frames import Frames
from loadgen.measure.cells import CellTable
from loadgen.measure.histogram import Histogram, lowest_of
from loadgen.measure.histograms import Histograms
from loadgen.measure.snapshot import Snapshot
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS

MAX_COLUMNS = 240
"""At most so many columns: a longer run has columns of several seconds."""

_ERRORS = np.array([outcome.is_error for outcome in Outcome])
_GOOD = 0  # its place in the sums of a CellTable
_TIMES, _BOUNDS = 3, 4  # histograms of each cell: see CellTable
_LOWEST_MS, _ROWS = 0.01, 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The numbers of `targets` in columns of `span_s` seconds, from second `first_s` of the run on.

    Arrays of shape (targets, columns): `ok`, `failed` and `good` (within the bound) count operations that ended there;
    `p99_ms` of the response times is NaN without any operation, and a lower bound where some failed.
    `p99_all_ms`, shape (columns), is of all targets.  `measured`, shape (columns), says whether a measured window has
    a part in the column.  `heat`, shape (rows, columns), counts operations by response time: row r is of
    `edges_ms[r]` to `edges_ms[r + 1]`.  `response` and `service` are all times in measured windows, lower bounds with
    the time itself.
    """

    first_s: int
    span_s: int
    ok: NDArray[np.int64]
    failed: NDArray[np.int64]
    good: NDArray[np.int64]
    p99_ms: NDArray[np.float64]
    p99_all_ms: NDArray[np.float64]
    measured: NDArray[np.bool_]
    heat: NDArray[np.int64]
    edges_ms: NDArray[np.float64]
    response: Histogram
    service: Histogram

    @property
    def times_s(self) -> list[float]:
        """The middle of each column, in seconds since the start of the run."""
        return [self.first_s + (at + 0.5) * self.span_s for at in range(len(self.measured))]

    @property
    def length_s(self) -> int:
        """How long all columns are together."""
        return len(self.measured) * self.span_s


def timeline_of(snapshots: Frames[Snapshot], targets: int) -> Timeline | None:
    """The timeline of a run; None when the record has no snapshot with an operation."""
    newest: dict[tuple[int, str], int] = {}
    for number, snapshot in enumerate(snapshots):  # a later snapshot of an interval holds all of an earlier one
        newest[snapshot.interval, snapshot.worker] = number
    if not newest:
        return None
    first_s, last_s = min(newest)[0], max(newest)[0]
    span_s = -(-(last_s - first_s + 1) // MAX_COLUMNS)
    waiting: dict[int, list[CellTable]] = {}
    sums: dict[int, CellTable] = {}
    for number, snapshot in enumerate(snapshots):
        if newest[snapshot.interval, snapshot.worker] == number and len(snapshot.cells):
            at = (snapshot.interval - first_s) // span_s
            held = waiting.setdefault(at, [])
            held.append(CellTable.of(snapshot.cells))
            if len(held) == _AT_ONCE:
                waiting[at] = [CellTable.merge_all(held)]
    for at, held in waiting.items():
        sums[at] = CellTable.merge_all(held)
    if not sums:
        return None
    return _timeline(sums, first_s, span_s, (last_s - first_s) // span_s + 1, targets)


_AT_ONCE = 16


def _timeline(sums: dict[int, CellTable], first_s: int, span_s: int, columns: int, targets: int) -> Timeline:
    shape = (targets, columns)
    counts = {name: np.zeros(shape, np.int64) for name in ("ok", "failed", "good")}
    p99_ms = np.full(shape, np.nan)
    p99_all, measured = np.full(columns, np.nan), np.zeros(columns, np.bool_)
    wholes: list[Histogram] = [Histogram.EMPTY] * columns
    judged: dict[str, list[Histogram]] = {"response": [], "service": []}
    for at, table in sums.items():
        own = table.targets.astype(np.int64)
        measured[at] = bool((table.windows >= 0).any())
        np.add.at(counts["ok"][:, at], own, table.outcomes[:, Outcome.OK].astype(np.int64))
        np.add.at(counts["failed"][:, at], own, table.outcomes[:, _ERRORS].sum(axis=1).astype(np.int64))
        np.add.at(counts["good"][:, at], own, table.sums[:, _GOOD].astype(np.int64))
        of_targets = _lowest(table, own, targets, 0)
        p99_ms[:, at] = [np.nan if ns is None else ns / NS_PER_MS for ns in of_targets.percentiles_ns(99)]
        wholes[at] = of_targets.add_up(np.zeros(targets, np.int64), 1)[0]
        p99 = wholes[at].percentile_ns(99)
        p99_all[at] = np.nan if p99 is None else p99 / NS_PER_MS
        in_window = np.where(table.windows >= 0, 0, -1)
        judged["response"].append(_lowest(table, in_window, 1, 0)[0])
        judged["service"].append(_lowest(table, in_window, 1, 1)[0])
    heat, edges = _heat(wholes)
    return Timeline(
        first_s=first_s,
        span_s=span_s,
        ok=counts["ok"],
        failed=counts["failed"],
        good=counts["good"],
        p99_ms=p99_ms,
        p99_all_ms=p99_all,
        measured=measured,
        heat=heat,
        edges_ms=edges,
        response=Histogram.merge_all(judged["response"]),
        service=Histogram.merge_all(judged["service"]),
    )


def _lowest(table: CellTable, group: NDArray[np.int64], groups: int, time: int) -> Histograms:
    """Response times (`time` 0) or service times (1) of the cells of each group; lower bounds count as times."""
    times, bounds = np.full(len(table.times), -1), np.full(len(table.bounds), -1)
    times[time::_TIMES] = group
    for bound in (2 * time, 2 * time + 1):
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
