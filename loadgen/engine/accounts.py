"""The reports of an engine: records folded into counts, and counts merged into snapshots.  All engines share it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loadgen.engine.api import Assignment, Segment
from loadgen.engine.vitals import Vitals
from loadgen.measure.cells import CellTable
from loadgen.measure.fold import FoldContext, fold
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.tally import merge_tallies

_Part = tuple[CellTable, NDArray[np.void]]


class Accounts:
    """The counts of one engine.  `target_of` (int32) is the target index by global connection number."""

    def __init__(self, assignment: Assignment, vitals: Vitals) -> None:
        tape, load = assignment.tape, assignment.load
        self.target_of = np.repeat(np.arange(len(assignment.shares), dtype=np.int32), assignment.shares)
        self._worker = assignment.worker
        self._context = FoldContext(
            kind=np.ascontiguousarray(tape.ops["kind"]),
            group=np.ascontiguousarray(tape.ops["group"]),
            kinds=len(tape.kinds),
            groups=len(tape.groups),
            target_of=self.target_of,
            line_bps=load.line_bps,
            bound=load.bound,
            error_rest_ns=load.error_rest_ns,
        )
        self._fresh: list[_Part] = []  # folded, but in no snapshot yet
        self._reported: list[_Part] = []  # already in a snapshot of the current interval
        self._interval = -1
        self._vitals = vitals
        self._drained = self._interval_began = vitals.mark()

    def fold(self, records: NDArray[np.void], segment: Segment) -> None:
        """Turn `records` (RECORD_DTYPE) of a segment into counts.  The caller may reuse the array afterwards."""
        cells, tallies = fold(
            records,
            self._context,
            window=segment.index,
            window_start_ns=segment.window_start_ns,
            window_end_ns=segment.window_end_ns,
        )
        self._fresh.append((cells, tallies))

    def drain(self, interval: int, open_sockets: int, active_connections: int) -> Snapshot:
        """Everything folded since the previous interval.  Draining an interval again returns all of it again."""
        if interval != self._interval:
            self._interval = interval
            self._reported = []
            self._interval_began = self._drained
        self._reported += self._fresh
        self._fresh = []
        self._drained = self._vitals.mark()
        health = self._vitals.health(self._interval_began, self._drained, open_sockets, active_connections)
        cells = CellTable.merge_all([cells for cells, _ in self._reported])
        tallies = merge_tallies([tallies for _, tallies in self._reported])
        return Snapshot(self._worker, interval, cells, tallies, health)
