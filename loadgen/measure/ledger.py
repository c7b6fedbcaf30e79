"""All snapshots of a run, filed by (worker, interval): which intervals are complete, and their sums.

Memory is bounded for runs of any length, and nothing is added up twice, which would delay callers in a run with
hundreds of workers.  Snapshots are kept as received until every worker has reported later intervals.  Then each
interval is kept as one sum, and all old intervals together as two sums: of those that are set apart, because something
disturbed them, and of the others.  Per worker and interval, only the engine's health and the connects per target are
kept: a few hundred bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import Cell, CellTable
from loadgen.measure.histogram import Histogram
from loadgen.measure.histograms import Histograms
from loadgen.measure.snapshot import Health, Snapshot
from loadgen.measure.tally import empty_tallies, join_tallies, merge_tallies, operations_of
from loadgen.measure.tcp_view import TcpView
from loadgen.measure.together import Snapshots

KEPT_INTERVALS = 10
"""The number of complete intervals that can still be read one by one."""

_FINAL = 2
"""An interval is final when this many later intervals are complete.

An engine that ends a segment inside an interval reports the interval twice: at the end of each.
"""


@dataclass(frozen=True, slots=True)
class Played:
    """The operations that one worker issued in one window: number of operations, and sent - due of those sent."""

    operations: int
    lateness: Histogram


class PlayedTable(Mapping[tuple[int, str], Played]):
    """Played by (window, worker), stored as columns; a Played is built when it is looked up.

    `operations` and `lateness` have one row per key, in the order of the keys.
    """

    __slots__ = ("_at", "_keys", "lateness", "operations")

    def __init__(self, keys: Sequence[tuple[int, str]], operations: NDArray[np.int64], lateness: Histograms) -> None:
        self._keys = tuple(keys)
        self._at: dict[tuple[int, str], int] = {}
        self.operations = operations
        self.lateness = lateness

    @classmethod
    def of(cls, played: Mapping[tuple[int, str], Played]) -> PlayedTable:
        """The same values as a table."""
        if isinstance(played, PlayedTable):
            return played
        operations = np.array([one.operations for one in played.values()], np.int64)
        return cls(tuple(played), operations, Histograms.of(one.lateness for one in played.values()))

    @classmethod
    def merge_all(cls, tables: Sequence[PlayedTable]) -> PlayedTable:
        """The sum of at least one table, with ascending keys."""
        keys = sorted({key for table in tables for key in table})
        number = {key: at for at, key in enumerate(keys)}
        group = np.array([number[key] for table in tables for key in table], np.int64)
        operations = np.zeros(len(keys), np.int64)
        np.add.at(operations, group, np.concatenate([table.operations for table in tables]))
        return cls(keys, operations, Histograms.join([table.lateness for table in tables]).add_up(group, len(keys)))

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return iter(self._keys)

    def __getitem__(self, key: tuple[int, str]) -> Played:
        if not self._at:
            self._at = {one: row for row, one in enumerate(self._keys)}
        row = self._at[key]
        return Played(int(self.operations[row]), self.lateness[row])


@dataclass(frozen=True, slots=True)
class Totals:
    """The sum of snapshots.

    `cells`: by (window, target index).  `played`: by (window, worker).  `tallies` (TALLY_DTYPE): one row per
    (window, connection), in that order.  `stages`: cells by (stage, target index).  `tcp`: see Snapshot.
    """

    cells: Mapping[tuple[int, int], Cell]
    tallies: NDArray[np.void]
    played: Mapping[tuple[int, str], Played]
    stages: Mapping[tuple[int, int], Cell] = field(default_factory=lambda: CellTable.of({}))
    tcp: TcpView = field(default_factory=lambda: TcpView.NOTHING)

    @classmethod
    def of(cls, *snapshots: Snapshot | Snapshots) -> Totals:
        """The sum of at least one snapshot; no two may have the same worker and interval."""
        single = [one for one in snapshots if isinstance(one, Snapshot)]
        parts = [*([Snapshots.of(single)] if single else []), *(one for one in snapshots if isinstance(one, Snapshots))]
        joined = CellTable.join([part.cells for part in parts])
        rows = join_tallies([part.tallies for part in parts])
        names = [worker for part in parts for worker in part.workers]
        workers = sorted(set(names))
        number = {worker: at for at, worker in enumerate(workers)}
        who = np.array([number[name] for name in names], np.int64)
        # A key is a window and a worker; every key that occurs in the cells or in tallies with operations was played.
        of_cells = (joined.windows + 1) * len(workers)
        of_cells += np.repeat(who, np.concatenate([part.cell_parts for part in parts]))
        of_rows = (rows["window"].astype(np.int64) + 1) * len(workers)
        of_rows += np.repeat(who, np.concatenate([part.tally_parts for part in parts]))
        done = operations_of(rows)
        of_rows, done = of_rows[done > 0], done[done > 0]
        keys, numbers = _numbered(np.concatenate([of_cells, of_rows]))
        operations = np.zeros(len(keys), np.int64)
        np.add.at(operations, numbers[len(of_cells) :], done)
        lateness = joined.add_up_times("lateness", numbers[: len(of_cells)], len(keys))
        by = [(key // len(workers) - 1, workers[key % len(workers)]) for key in keys.tolist()]
        played = PlayedTable(by, operations, lateness)
        stages = CellTable.merge_all(table for part in parts for table in part.stages)
        tcp = TcpView.merge_all(view for part in parts for view in part.tcp)
        return cls(joined.add_up(), merge_tallies([rows]), played, stages, tcp)

    @classmethod
    def merge_all(cls, parts: Iterable[Totals]) -> Totals:
        """The sum of any number of totals."""
        parts = list(parts)
        return cls(
            CellTable.merge_all(CellTable.of(part.cells) for part in parts),
            merge_tallies([part.tallies for part in parts]),
            PlayedTable.merge_all([PlayedTable.of(part.played) for part in parts]) if parts else {},
            CellTable.merge_all(CellTable.of(part.stages) for part in parts),
            TcpView.merge_all(part.tcp for part in parts),
        )

    def window(self, window: int) -> dict[int, Cell]:
        """The cells of one window, by target index."""
        return {target: cell for (w, target), cell in self.cells.items() if w == window}

    def window_tallies(self, window: int) -> NDArray[np.void]:
        """The tallies (TALLY_DTYPE) of one window, by ascending connection."""
        return np.take(self.tallies, np.flatnonzero(self.tallies["window"] == window))


def _numbered(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct keys, ascending, and the index of each key among them; fast if equal keys are adjacent."""
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))[: len(keys)]
    found, numbers = np.unique(keys[begins], return_inverse=True)
    return found, np.repeat(numbers, np.diff(begins, append=len(keys)))


class _Interval:
    """The newest snapshot of each worker in an interval that may still change."""

    def __init__(self) -> None:
        self._single: dict[str, Snapshot] = {}
        self._together: list[Snapshots] = []  # none of their workers is in _single

    def put(self, snapshot: Snapshot) -> None:
        """Keep `snapshot` and drop the earlier snapshot of the same worker."""
        for together in [one for one in self._together if snapshot.worker in one.workers]:
            self._together.remove(together)
            self._single |= {one.worker: one for one in together.split()}
        self._single[snapshot.worker] = snapshot

    def put_new(self, together: Snapshots) -> None:
        """Keep snapshots of workers that have not reported this interval yet, one per worker."""
        self._together.append(together)

    def total(self) -> Totals:
        """The sum of all kept snapshots."""
        return Totals.of(*self._single.values(), *self._together)


class Ledger:
    """The snapshots of a known set of workers.  A snapshot that is sent again replaces the earlier one.

    `is_apart` says whether an interval is set apart.  It is called when the interval is added to the sum of the old
    ones, in ascending order, or for :meth:`undisturbed`, and must always give the same answer.
    """

    def __init__(
        self, workers: Iterable[str], kinds: int, groups: int, is_apart: Callable[[int], bool] = lambda interval: False
    ) -> None:
        self._is_apart = is_apart
        self._shape = (kinds, groups)
        self._open: dict[int, _Interval] = {}  # intervals that may still change
        self._sums: dict[
            int, Totals
        ] = {}  # by interval, from _folded on; for open intervals, the sum of what was reported so far
        self._base = Totals({}, empty_tallies(), {})  # the sum of the intervals before _folded that are not set apart
        self._apart: Totals | None = None  # the sum of those that are
        self._folded = 0
        self._final = 0  # the first interval that may still change
        self._next = dict.fromkeys(workers, 0)  # by worker: the first interval that it has not reported yet
        self._lost: dict[str, int] = {}
        self._last = -1  # the last interval that any worker has reported
        self._complete = -1
        self._behind = set(self._next)  # workers that the next interval waits for
        self._health: dict[str, dict[int, Health]] = {worker: {} for worker in self._next}
        self._connects: dict[str, dict[int, NDArray[np.int64]]] = {worker: {} for worker in self._next}

    @property
    def workers(self) -> tuple[str, ...]:
        """All workers of the run, including lost ones."""
        return tuple(self._next)

    @property
    def lost_workers(self) -> frozenset[str]:
        """The workers that the ledger no longer waits for."""
        return frozenset(self._lost)

    def receive(self, snapshot: Snapshot) -> None:
        """File a snapshot.  Raises ValueError if its worker, kinds or groups are not those of this run.

        Ignores a repeated snapshot of a final interval (it can only be the same), and snapshots of a lost worker from
        the interval on in which it was lost.
        """
        worker, interval = snapshot.worker, snapshot.interval
        self._check([worker], [CellTable.of(snapshot.cells), CellTable.of(snapshot.stages)])
        final = interval < self._final
        if final and interval in self._health[worker]:
            return
        if interval < self._folded or interval >= self._lost.get(worker, interval + 1):
            return
        if final:
            known = [self._sums[interval]] if interval in self._sums else []
            self._sums[interval] = Totals.merge_all([*known, Totals.of(snapshot)])
        else:
            self._open.setdefault(interval, _Interval()).put(snapshot)
            self._sums.pop(interval, None)
        self._note(worker, interval, snapshot.health, Snapshots.of([snapshot]).connects()[0])

    def receive_all(self, together: Snapshots) -> None:
        """File several snapshots.  Raises ValueError like :meth:`receive`; then none of them is filed."""
        self._check(together.workers, [together.cells, *together.stages])
        interval = together.intervals[0]
        is_plain = (
            interval >= self._final
            and set(together.intervals) == {interval}
            and len(set(together.workers)) == len(together.workers)
            and not any(interval in self._health[worker] or worker in self._lost for worker in together.workers)
        )
        if not is_plain:
            for snapshot in together.split():
                self.receive(snapshot)
            return
        self._open.setdefault(interval, _Interval()).put_new(together)
        self._sums.pop(interval, None)
        for worker, health, connects in zip(together.workers, together.health, together.connects(), strict=True):
            self._note(worker, interval, health, connects)

    def _check(self, workers: Sequence[str], tables: Iterable[CellTable]) -> None:
        for worker in workers:
            if worker not in self._next:
                raise ValueError(f"a snapshot comes from worker {worker!r}, which is not in this run")
        if any(len(table) and table.counts.shape[1:3] != self._shape for table in tables):
            raise ValueError(f"a snapshot of worker {workers[0]!r} has other kinds or groups than this run")

    def _note(self, worker: str, interval: int, health: Health, connects: NDArray[np.int64]) -> None:
        """After filing a snapshot: keep its values for the whole run, and note the worker's progress."""
        if not self._health[worker]:
            self._next[worker] = interval  # an engine that starts late does not report earlier intervals
        self._health[worker][interval] = health
        self._connects[worker][interval] = connects
        self._last = max(self._last, interval)
        while self._next[worker] in self._health[worker]:
            self._next[worker] += 1
        self._advance(worker)

    def lost(self, worker: str, from_interval: int) -> None:
        """Stop waiting for the worker's intervals from `from_interval` on (see :meth:`reported_through`)."""
        self._lost[worker] = from_interval
        self._advance(worker)

    def reported_through(self, worker: str) -> int:
        """The last interval up to which a worker has reported every interval since its first; -1 if none."""
        return self._next[worker] - 1

    def complete_through(self) -> int:
        """The last interval up to which every worker has reported every interval since its first; -1 if none.

        If all workers are lost, it is the last interval that any of them has reported.
        """
        return self._complete

    def interval(self, n: int) -> Totals:
        """The sum of interval `n`.  Raises LookupError if it is no longer kept on its own (KEPT_INTERVALS)."""
        return self.totals(n, n)

    def totals(self, first: int | None = None, last: int | None = None) -> Totals:
        """The sum of the intervals first..last, both included; None stands for the first and the newest interval.

        Raises LookupError if the range contains only a part of the old intervals that are kept as one sum.
        """
        first = 0 if first is None else first
        last = self._last if last is None else last
        parts = []
        if first < self._folded:
            if first > 0 or last < self._folded - 1:
                raise LookupError(f"intervals before {self._folded} are kept as one sum and cannot be read apart")
            parts += [self._base, *([self._apart] if self._apart else [])]
        parts += [self._sum(n) for n in sorted(self._open.keys() | self._sums.keys()) if first <= n <= last]
        return parts[0] if len(parts) == 1 else Totals.merge_all(parts)

    def undisturbed(self) -> Totals:
        """The sum of all intervals that are not set apart."""
        newer = sorted(self._open.keys() | self._sums.keys())
        return Totals.merge_all([self._base, *(self._sum(n) for n in newer if not self._is_apart(n))])

    def _sum(self, n: int) -> Totals:
        if n not in self._sums:
            self._sums[n] = self._open[n].total()
        return self._sums[n]

    def health(self, worker: str) -> list[tuple[int, Health]]:
        """(interval, health) of a worker, by ascending interval."""
        return sorted(self._health[worker].items(), key=lambda item: item[0])

    def health_at(self, worker: str, n: int) -> Health | None:
        """A worker's health in interval `n`; None if it has not reported that interval, or is not in this run."""
        return self._health.get(worker, {}).get(n)

    def peak_connects(self, span: int, workers: Iterable[str] | None = None) -> dict[int, int]:
        """By target index: the most connections opened to it within any `span` consecutive intervals.

        `workers`: the workers to count, for example those that share a machine's ports; None means all workers.
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

    def _holds_up(self, worker: str) -> bool:
        n = self._next[worker]
        return n <= self._complete + 1 and n < self._lost.get(worker, n + 1)

    def _advance(self, worker: str) -> None:
        """Update which intervals are complete and final, after `worker` made progress or was lost."""
        if not self._holds_up(worker):
            self._behind.discard(worker)
        if self._behind:
            return
        waiting = [n for worker, n in self._next.items() if n < self._lost.get(worker, n + 1)]
        self._complete = max(self._complete, min(waiting) - 1 if waiting else self._last)
        self._behind = {worker for worker in self._next if self._holds_up(worker)}
        while self._final <= self._complete - _FINAL:
            if self._final in self._open:
                self._sum(self._final)
                del self._open[self._final]
            self._final += 1
        # In batches: the sums are then merged once in KEPT_INTERVALS seconds instead of every second.
        if self._final - self._folded >= 2 * KEPT_INTERVALS:
            self._fold(self._complete + 1 - KEPT_INTERVALS)

    def _fold(self, end: int) -> None:
        """Add the intervals before `end` to the sums of the old ones."""
        kept, apart = [self._base], [self._apart] if self._apart else []
        for n in sorted(n for n in self._sums if n < end):
            (apart if self._is_apart(n) else kept).append(self._sums.pop(n))
        self._base = Totals.merge_all(kept)
        self._apart = Totals.merge_all(apart) if apart else None
        self._folded = end
