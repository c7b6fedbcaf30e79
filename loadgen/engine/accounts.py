"""The reports of an engine: records folded into counts, and counts merged into snapshots.  All engines share it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from loadgen.engine.api import Assignment, Load, Segment
from loadgen.engine.tcp_accounts import TcpAccounts
from loadgen.engine.vitals import Mark, PlayedTime, Vitals
from loadgen.measure.cells import CellTable
from loadgen.measure.fold import FoldContext, fold
from loadgen.measure.shown import Shown
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.stages import fold_stages
from loadgen.measure.tally import TALLY_DTYPE, merge_tallies
from loadgen.measure.tcp_view import TcpView
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS
from loadgen.schedule.optape import OpTape

_Part = tuple[CellTable, NDArray[np.void], CellTable]
"""Cells, tallies, and the cells of stages."""

_NO_CELLS = CellTable.of({})


class Accounts:
    """The counts of one engine.  `target_of` (int32) is the target index by global connection number."""

    def __init__(self, assignment: Assignment, vitals: Vitals) -> None:
        tape, load = assignment.tape, assignment.load
        if tape.lanes and (
            load.arrivals or load.requests or load.streams or any(one.tls for one in assignment.targets)
        ):
            raise ValueError("pages need a closed loop without a number of requests, over HTTP/1.1 without TLS")
        self.target_of = np.repeat(np.arange(len(assignment.shares), dtype=np.int32), assignment.shares)
        self._worker = assignment.worker
        self._starts = tape.starts
        self._connections = np.array(assignment.shard.connections, np.int64)
        self._context = FoldContext(
            kind=np.ascontiguousarray(tape.ops["kind"]),
            group=np.ascontiguousarray(tape.ops["group"]),
            kinds=len(tape.kinds),
            groups=len(tape.groups),
            target_of=self.target_of,
            line_bps=load.line_bps,
            bound=load.bound,
            error_rest_ns=load.error_rest_ns,
            is_open=load.arrivals is not None,
            think_ns=_think_ns(tape, load),
            own_bounds=tape.own_bounds,
        )
        ramps = load.arrivals.ramps if load.arrivals else ()
        self._stage_ends_ns = np.cumsum([length for length, _, _ in ramps], dtype=np.int64)  # after the start
        self._fresh: list[_Part] = []  # folded, but in no snapshot yet
        self._reported: list[_Part] = []  # already in a snapshot of the current interval
        self._tcp = TcpAccounts(self._connections, self.target_of[self._connections], load.streams)
        self._tcp_fresh: list[TcpView] = []  # in the same way
        self._tcp_reported: list[TcpView] = []
        self._interval = -1
        self._told: set[tuple[int, Outcome]] = set()  # what snapshots of earlier intervals show
        self._telling: set[tuple[int, Outcome]] = set()  # what those of the current interval show
        self._vitals = vitals
        self._played = PlayedTime()
        self._drained = self._interval_began = Mark(0, 0, 0, 0)

    def start(self, segment: Segment) -> None:
        """Begin a segment: count the time of a paced loop's connections before their first operations are due.

        Each starts inside of an operation, as if its line time had begun before the segment (see the tape's `starts`):
        what is left of it is pacing.
        """
        self._tcp.start(segment)
        mark = self._vitals.mark()
        # The engine waits until the segment starts.  This wait must not count as time in which the engine was idle.
        self._played.begin(dataclasses.replace(mark, at_ns=max(mark.at_ns, segment.start_ns)))
        if not self._context.line_bps or self._context.is_open:
            return
        due_ns = segment.start_ns + self._starts["delay_ns"][segment.index, self._connections]
        pacing_ns = np.minimum(due_ns, segment.window_end_ns) - max(segment.start_ns, segment.window_start_ns)
        waits = pacing_ns > 0
        rows = np.zeros(np.count_nonzero(waits), TALLY_DTYPE)
        rows["window"], rows["connection"], rows["pacing_ns"] = (
            segment.index,
            self._connections[waits],
            pacing_ns[waits],
        )
        self._fresh.append((_NO_CELLS, rows, _NO_CELLS))

    def end(self, mark: Mark | None = None) -> None:
        """The segment has ended, now or at `mark`."""
        self._played.end(mark or self._vitals.mark())

    def fold(self, records: NDArray[np.void], segment: Segment) -> None:
        """Turn `records` (RECORD_DTYPE) of a segment into counts.  The caller may reuse the array afterwards."""
        cells, tallies = fold(
            records,
            self._context,
            window=segment.index,
            window_start_ns=segment.window_start_ns,
            window_end_ns=segment.window_end_ns,
        )
        stages = _NO_CELLS
        if len(self._stage_ends_ns):
            stages = fold_stages(records, self._context, segment.start_ns, self._stage_ends_ns)
        self._fresh.append((cells, tallies, stages))

    def count_tcp(self, table: NDArray[np.int64], segment: Segment, now_ns: int) -> None:
        """Count what is new in the table of TCP connections (loadgen.engine.tcp_accounts) at `now_ns`."""
        self._tcp_fresh.append(self._tcp.view(table, segment, now_ns))

    def drain(
        self,
        interval: int,
        open_sockets: int,
        active_connections: int,
        seen: Mapping[tuple[int, Outcome], bytes],
    ) -> Snapshot:
        """Everything folded since the previous interval.  Draining an interval again returns all of it again.

        `seen`: what was seen of failed operations since the engine was made, by target and outcome.
        """
        if interval != self._interval:
            self._told |= self._telling
            self._telling = set()
            self._interval = interval
            self._reported = []
            self._tcp_reported = []
            self._interval_began = self._drained
        self._reported += self._fresh
        self._fresh = []
        self._tcp_reported += self._tcp_fresh
        self._tcp_fresh = []
        self._drained = self._played.until(self._vitals.mark())
        health = self._vitals.health(self._interval_began, self._drained, open_sockets, active_connections)
        cells = CellTable.merge_all([cells for cells, _, _ in self._reported])
        tallies = merge_tallies([tallies for _, tallies, _ in self._reported])
        stages = CellTable.merge_all([stages for _, _, stages in self._reported])
        shown = {key: text for key, text in seen.items() if key not in self._told} if seen else {}
        self._telling |= shown.keys()
        tcp = TcpView.merge_all(self._tcp_reported)
        return Snapshot(self._worker, interval, cells, tallies, health, Shown.of(shown), stages, tcp)


def _think_ns(tape: OpTape, load: Load) -> NDArray[np.int64] | None:
    """The think time of each row; None in a loop without think times."""
    think_ms = tape.ops["think_ms"]
    if not load.line_bps or load.arrivals is not None or not think_ms.any():
        return None
    return think_ms.astype(np.int64) * NS_PER_MS
