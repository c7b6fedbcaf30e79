"""The open loop: each operation is due at its own time and goes to any free connection of its target.

Every due operation gets exactly one record.  An operation that finds no free connection waits and keeps its due
time, so its wait is part of its response time.  The backlog of a target is bounded: an operation that would exceed
it is recorded as SHED.  An operation that still waits when the segment ends is recorded as CUT.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from loadgen.engine.agenda import LOOK_EVERY
from loadgen.engine.api import Arrivals, Segment
from loadgen.engine.context import EngineContext, Playable
from loadgen.measure.record import RECORD_DTYPE
from loadgen.model.outcome import Outcome
from loadgen.schedule.arrivals import offset_pieces

_NEVER = 1 << 63
_BEHIND_NS = 10_000_000  # an engine that is this late sheds many operations at once
_AT_ONCE = 2_048  # recording so many takes half a millisecond


class OpenLoop:
    """A :class:`~loadgen.engine.context.Dispatcher`.  `shares[t]` is the number of connections to target t."""

    number = -1  # in the agenda it comes before all connections that are due at the same time

    def __init__(self, context: EngineContext, arrivals: Arrivals, shares: Sequence[int]) -> None:
        self._context = context
        self._arrivals = arrivals
        self._target_of_row = context.tape.targets
        # The connection number of each target under which operations that were never sent are recorded.
        self._stand_in = list(accumulate(shares, initial=0))[:-1]
        self._free: list[deque[Playable]] = [deque() for _ in shares]
        self._waiting: list[deque[tuple[int, int]]] = [deque() for _ in shares]  # (due_ns, row), oldest first
        self._pieces: Iterator[NDArray[np.int64]] = iter(())  # of due times after the start
        self._piece: list[int] = []  # due times, latest first, so that pop() returns the next one
        self._start_ns = 0
        self._operation = 0  # the next one of this engine, counted over all engines
        self._due_ns = _NEVER

    def start(self, segment: Segment, connections: Iterable[Playable]) -> None:
        """Begin a segment.  All of `connections` become free."""
        arrivals = self._arrivals
        for free, waiting in zip(self._free, self._waiting, strict=True):
            free.clear()
            waiting.clear()
        mine = set()
        for connection in connections:
            if connection.target not in mine:
                mine.add(connection.target)
                self._stand_in[connection.target] = connection.number
            connection.offer()
            self._free[connection.target].append(connection)
        self._pieces = offset_pieces(
            rate_per_s=arrivals.rate_per_s,
            poisson=arrivals.poisson,
            seed=arrivals.seed,
            part=arrivals.part,
            parts=arrivals.parts,
            length_ns=segment.end_ns - segment.start_ns,
            ramps=arrivals.ramps,
            total=arrivals.total,
        )
        self._piece = []
        self._start_ns = segment.start_ns
        self._operation = arrivals.part - arrivals.parts
        self._advance()
        if self._due_ns < _NEVER:
            self._context.agenda.push(self._due_ns, self)

    def wake(self, now_ns: int) -> None:
        """Dispatch the next LOOK_EVERY operations that are due; the agenda wakes this again if more are."""
        if self._due_ns < now_ns - _BEHIND_NS and self._is_full():
            self._never_sent_until(now_ns, Outcome.SHED)
        clock, begun = self._context.now_ns, 0
        while self._due_ns <= now_ns and begun < LOOK_EVERY:
            row = self._operation % len(self._target_of_row)
            target = self._target_of_row[row]
            if self._free[target]:
                self._free[target].popleft().play(row, self._due_ns, now_ns)
            elif len(self._waiting[target]) < self._arrivals.max_backlog:
                self._waiting[target].append((self._due_ns, row))
            else:
                self._never_sent(self._due_ns, row, self._due_ns, Outcome.SHED)
            self._advance()
            begun += 1
            now_ns = clock()
        if begun == LOOK_EVERY:
            self._context.readiness.look()
        if self._due_ns < _NEVER:
            self._context.agenda.push(self._due_ns, self)
        else:
            self._settle()

    def free(self, connection: Playable, target: int, now_ns: int) -> None:
        """Give `connection` the operation that has waited longest, or keep it until one is due."""
        waiting = self._waiting[target]
        if waiting:
            due_ns, row = waiting.popleft()
            connection.play(row, due_ns, now_ns)
        else:
            self._free[target].append(connection)
            if self._due_ns == _NEVER:
                self._settle()

    def _settle(self) -> None:
        """Tell the quota, if the number of operations is given and none is left to begin."""
        quota = self._context.quota
        if quota is None or any(self._waiting):
            return
        if quota.left > 0:
            quota.close(sum(map(len, self._free)))
        else:
            quota.retire()

    def stop(self, now_ns: int) -> None:
        """End the segment: operations that were due and never sent are recorded as CUT."""
        while self._due_ns <= now_ns:
            self._never_sent_until(now_ns, Outcome.CUT)
        self._due_ns = _NEVER
        for waiting in self._waiting:
            for due_ns, row in waiting:
                self._never_sent(due_ns, row, now_ns, Outcome.CUT)
            waiting.clear()

    def _advance(self) -> None:
        """Move on to the next operation of this engine."""
        if not self._piece and (piece := next(self._pieces, None)) is not None:
            self._piece = (piece[::-1] + self._start_ns).tolist()
        self._operation += self._arrivals.parts
        self._due_ns = self._piece.pop() if self._piece else _NEVER

    def _is_full(self) -> bool:
        """Whether no connection is free and no operation may wait."""
        most = self._arrivals.max_backlog
        return not any(self._free) and all(len(waiting) >= most for waiting in self._waiting)

    def _never_sent_until(self, now_ns: int, outcome: Outcome) -> None:
        """Record the next operations that were due until `now_ns`, many at once: one by one, those of a high rate would
        take longer than it lasts.
        """
        due_ns = np.array([self._due_ns, *reversed(self._piece[-_AT_ONCE:])], np.int64)
        due_ns = due_ns[: np.searchsorted(due_ns, now_ns, side="right")]
        parts, targets = self._arrivals.parts, np.asarray(self._target_of_row)
        rows = np.zeros(len(due_ns), RECORD_DTYPE)
        rows["due_ns"] = due_ns
        rows["done_ns"] = due_ns if outcome is Outcome.SHED else now_ns
        rows["row"] = (self._operation + parts * np.arange(len(due_ns))) % len(targets)
        rows["connection"] = np.asarray(self._stand_in)[targets[rows["row"]]]
        rows["outcome"] = outcome
        self._context.records.put_all(rows)
        del self._piece[len(self._piece) - (len(due_ns) - 1) :]
        self._operation += parts * (len(due_ns) - 1)
        self._advance()

    def _never_sent(self, due_ns: int, row: int, done_ns: int, outcome: Outcome) -> None:
        number = self._stand_in[self._target_of_row[row]]
        self._context.records.put(due_ns, 0, done_ns, 0, row, number, outcome, 0)
