"""The open loop: each operation is due at its own time and goes to any free connection of its target.

Every due operation gets exactly one record.  An operation that finds no free connection waits and keeps its due
time, so its wait is part of its response time.  The backlog of a target is bounded: an operation that would exceed
it is recorded as SHED.  An operation that still waits when the segment ends is recorded as CUT.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np

from loadgen.engine.agenda import LOOK_EVERY
from loadgen.engine.api import Arrivals, Segment
from loadgen.engine.context import EngineContext, Playable
from loadgen.model.outcome import Outcome
from loadgen.schedule.arrivals import offsets_ns

_NEVER = 1 << 63
_CHUNK = 4_096  # due times that are converted from numpy at once


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
        self._offsets = np.zeros(0, np.int64)
        self._taken = 0  # number of offsets that were moved to `_chunk`
        self._chunk: list[int] = []  # latest first, so that pop() returns the next one
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
        self._offsets = offsets_ns(
            rate_per_s=arrivals.rate_per_s,
            poisson=arrivals.poisson,
            seed=arrivals.seed,
            part=arrivals.part,
            parts=arrivals.parts,
            length_ns=segment.end_ns - segment.start_ns,
            ramps=arrivals.ramps,
            total=arrivals.total,
        )
        self._taken, self._chunk = 0, []
        self._start_ns = segment.start_ns
        self._operation = arrivals.part - arrivals.parts
        self._advance()
        if self._due_ns < _NEVER:
            self._context.agenda.push(self._due_ns, self)

    def wake(self, now_ns: int) -> None:
        """Dispatch the next LOOK_EVERY operations that are due; the agenda wakes this again if more are."""
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
            self._never_sent(self._due_ns, self._operation % len(self._target_of_row), now_ns, Outcome.CUT)
            self._advance()
        self._due_ns = _NEVER
        for waiting in self._waiting:
            for due_ns, row in waiting:
                self._never_sent(due_ns, row, now_ns, Outcome.CUT)
            waiting.clear()

    def _advance(self) -> None:
        """Move on to the next operation of this engine."""
        if not self._chunk:
            chunk = self._offsets[self._taken : self._taken + _CHUNK]
            self._taken += len(chunk)
            self._chunk = (chunk[::-1] + self._start_ns).tolist()
        self._operation += self._arrivals.parts
        self._due_ns = self._chunk.pop() if self._chunk else _NEVER

    def _never_sent(self, due_ns: int, row: int, done_ns: int, outcome: Outcome) -> None:
        number = self._stand_in[self._target_of_row[row]]
        self._context.records.put(due_ns, 0, done_ns, 0, row, number, outcome, 0)
