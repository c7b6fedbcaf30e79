"""All snapshots of a run, filed by (worker, interval): what is complete, and what it adds up to.

Memory is bounded however long a run is.  The newest intervals are kept as they came; older ones that every
worker has reported are added up per window and dropped.  What stays of them, per worker and interval, is
the engine's health and the connects per target: a few hundred bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.histogram import Histogram
from loadgen.measure.snapshot import Cell, Health, Snapshot
from loadgen.measure.tally import empty_tallies, merge_tallies

KEPT_INTERVALS = 60
"""How many complete intervals can still be looked at one by one."""


@dataclass(frozen=True, slots=True)
class Played:
    """What one worker issued in one window: what its trustworthiness is judged by."""

    operations: int
    lateness: Histogram


@dataclass(frozen=True, slots=True)
class Totals:
    """Merged snapshots.

    `cells` are keyed by (window, target index), `played` by (window, worker); `tallies` (TALLY_DTYPE) has one
    row a (window, connection), in that order.
    """

    cells: Mapping[tuple[int, int], Cell]
    tallies: NDArray[np.void]
    played: Mapping[tuple[int, str], Played]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Totals:
        """One snapshot's."""
        rows = snapshot.tallies
        operations = rows["ok"].astype(np.int64) + rows["bad"] + rows["cut"]
        windows = {window for window, _ in snapshot.cells} | set(rows["window"].tolist())
        played = {
            (window, snapshot.worker): Played(
                int(operations[rows["window"] == window].sum()),
                Histogram.merge_all(cell.lateness for (w, _), cell in snapshot.cells.items() if w == window),
            )
            for window in windows
        }
        return cls(snapshot.cells, snapshot.tallies, played)

    @classmethod
    def merge_all(cls, parts: Iterable[Totals]) -> Totals:
        """The sum of any number of totals."""
        cells: defaultdict[tuple[int, int], list[Cell]] = defaultdict(list)
        played: defaultdict[tuple[int, str], list[Played]] = defaultdict(list)
        tallies = []
        for part in parts:
            tallies.append(part.tallies)
            for at, cell in part.cells.items():
                cells[at].append(cell)
            for by, one in part.played.items():
                played[by].append(one)
        return cls(
            {at: Cell.merge_all(cells[at]) for at in sorted(cells)},
            merge_tallies(tallies),
            {
                by: Played(sum(p.operations for p in played[by]), Histogram.merge_all(p.lateness for p in played[by]))
                for by in sorted(played)
            },
        )

    def window(self, window: int) -> dict[int, Cell]:
        """The cells of one window by target index."""
        return {target: cell for (w, target), cell in self.cells.items() if w == window}

    def window_tallies(self, window: int) -> NDArray[np.void]:
        """The tallies of one window."""
        rows: NDArray[np.void] = self.tallies[self.tallies["window"] == window]
        return rows


class Ledger:
    """Snapshots of a known set of workers.  A resend replaces, it never adds."""

    def __init__(self, workers: Iterable[str], kinds: int, groups: int) -> None:
        self._shape = (kinds, groups)
        self._open: dict[int, dict[str, Snapshot]] = {}  # intervals that are not added up yet
        self._base = Totals({}, empty_tallies(), {})  # the intervals before _folded
        self._folded = 0
        self._next = dict.fromkeys(workers, 0)  # the first interval that a worker has yet to report
        self._lost: dict[str, int] = {}
        self._last = -1  # the last interval that anybody has reported
        self._complete = -1
        self._health: dict[str, dict[int, Health]] = {worker: {} for worker in self._next}
        self._connects: dict[str, dict[int, NDArray[np.int64]]] = {worker: {} for worker in self._next}

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers, lost ones too."""
        return tuple(self._next)

    @property
    def lost_workers(self) -> frozenset[str]:
        """Those that are not waited for any more."""
        return frozenset(self._lost)

    def receive(self, snapshot: Snapshot) -> None:
        """File a snapshot; raises ValueError when it is not of this run (worker, or numbers of kinds and groups).

        Ignored are a resend of what is added up already (it can only be the same), and what a lost worker
        still says of the time since it was lost.
        """
        worker, interval = snapshot.worker, snapshot.interval
        if worker not in self._next:
            raise ValueError(f"a snapshot is of worker {worker!r}, which has no part in this run")
        if any(cell.counts.shape[:2] != self._shape for cell in snapshot.cells.values()):
            raise ValueError(f"a snapshot of worker {worker!r} counts other kinds or groups than the run has")
        if interval < self._folded or interval >= self._lost.get(worker, interval + 1):
            return
        if not self._health[worker]:
            self._next[worker] = interval  # an engine that starts late has nothing to say of the time before
        self._open.setdefault(interval, {})[worker] = snapshot
        self._health[worker][interval] = snapshot.health
        self._connects[worker][interval] = _connects(snapshot)
        self._last = max(self._last, interval)
        while self._next[worker] in self._health[worker]:
            self._next[worker] += 1
        self._advance()

    def lost(self, worker: str, from_interval: int) -> None:
        """Stop waiting for a worker's intervals from `from_interval` on (see :meth:`reported_through`)."""
        self._lost[worker] = from_interval
        self._advance()

    def reported_through(self, worker: str) -> int:
        """The last interval that a worker has reported with all since its first one; -1 for none."""
        return self._next[worker] - 1

    def complete_through(self) -> int:
        """The last interval that every worker has reported, with all since its first one; -1 for none.

        When every worker is lost: the last interval that any of them has reported.
        """
        return self._complete

    def interval(self, n: int) -> Totals:
        """What was reported of one interval; raises LookupError when it is too long ago (KEPT_INTERVALS)."""
        return self.totals(n, n)

    def totals(self, first: int | None = None, last: int | None = None) -> Totals:
        """Everything reported of the intervals first..last, both included; None is the first, or the newest.

        Raises LookupError when a part of intervals that were added up already is asked for.
        """
        first = 0 if first is None else first
        last = self._last if last is None else last
        parts = []
        if first < self._folded:
            if first > 0 or last < self._folded - 1:
                raise LookupError(f"intervals before {self._folded} are kept as one sum only")
            parts.append(self._base)
        parts += [
            Totals.of(snapshot) for n in sorted(self._open) if first <= n <= last for snapshot in self._open[n].values()
        ]
        return Totals.merge_all(parts)

    def health(self, worker: str) -> list[tuple[int, Health]]:
        """A worker's health, by interval, ascending."""
        return sorted(self._health[worker].items(), key=lambda item: item[0])

    def peak_connects(self, span: int, workers: Iterable[str] | None = None) -> dict[int, int]:
        """The most connections opened to each target within any `span` consecutive intervals.

        `workers` are those that share a machine's ports; None means all of them.
        """
        per_interval: defaultdict[int, list[NDArray[np.int64]]] = defaultdict(list)
        for worker in self.workers if workers is None else workers:
            for n, connects in self._connects[worker].items():
                per_interval[n].append(connects)
        if not per_interval:
            return {}
        intervals = np.array(sorted(per_interval))
        table = np.zeros((len(intervals) + 1, max(len(c) for parts in per_interval.values() for c in parts)), np.int64)
        for row, n in enumerate(intervals.tolist(), start=1):
            for connects in per_interval[n]:
                table[row, : len(connects)] += connects
        cumulated = np.cumsum(table, axis=0)
        before = np.searchsorted(intervals, intervals - span, side="right")
        return dict(enumerate((cumulated[1:] - cumulated[before]).max(axis=0).tolist()))

    def _advance(self) -> None:
        waiting = [n for worker, n in self._next.items() if n < self._lost.get(worker, n + 1)]
        self._complete = max(self._complete, min(waiting) - 1 if waiting else self._last)
        # In batches, so that the sums are merged once in KEPT_INTERVALS seconds and not each second.
        if self._complete - self._folded >= 2 * KEPT_INTERVALS:
            end = self._complete + 1 - KEPT_INTERVALS
            self._base = self.totals(None, end - 1)
            for n in [n for n in self._open if n < end]:
                del self._open[n]
            self._folded = end


def _connects(snapshot: Snapshot) -> NDArray[np.int64]:
    by_target = np.zeros(max((target for _, target in snapshot.cells), default=-1) + 1, np.int64)
    for (_, target), cell in snapshot.cells.items():
        by_target[target] += cell.connects
    return by_target
