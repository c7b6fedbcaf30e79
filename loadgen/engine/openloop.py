"""The open loop: operations are due whatever became of those before, and go to whichever connection is free.

Rules: every operation that was due has exactly one record.  One that finds no free connection of its target waits
and keeps its due time, so that its wait is in its response time; the backlog of a target is bounded, and what would
make it longer is recorded as SHED.  What still waits when the segment ends is CUT.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from loadgen.engine.agenda import LOOK_EVERY
from loadgen.engine.api import Arrivals, Segment
from loadgen.model.outcome import Outcome
from loadgen.schedule.arrivals import offsets_ns

if TYPE_CHECKING:
    from loadgen.engine.connection import Connection
    from loadgen.engine.player import Player

_NEVER = 1 << 63
_CHUNK = 4_096  # due times that are taken out of numpy at once


class OpenLoop:
    """See the module.  `target_of_row[r]` is the target of row r, `shares[t]` how many connections target t has."""

    number = -1  # in the agenda, before all connections that are due at the same time

    def __init__(self, player: Player, arrivals: Arrivals, target_of_row: Sequence[int], shares: Sequence[int]) -> None:
        self._player = player
        self._arrivals = arrivals
        self._target_of_row = target_of_row
        # A connection of each target, by which operations that none ever took are recorded.
        self._stand_in = list(accumulate(shares, initial=0))[:-1]
        self._free: list[deque[Connection]] = [deque() for _ in shares]
        self._waiting: list[deque[tuple[int, int]]] = [deque() for _ in shares]  # (due, row), the oldest first
        self._offsets = np.zeros(0, np.int64)
        self._taken = 0  # how many of the offsets are or were in the chunk
        self._chunk: list[int] = []  # the newest at the front, so that the next is popped from the end
        self._start_ns = 0
        self._operation = 0  # of all engines': the next one that is ours
        self._due_ns = _NEVER

    def start(self, segment: Segment, connections: Iterable[Connection]) -> None:
        """Begin a segment in which all of `connections` are free."""
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
        )
        self._taken, self._chunk = 0, []
        self._start_ns = segment.start_ns
        self._operation = arrivals.part - arrivals.parts
        self._advance()
        if self._due_ns < _NEVER:
            self._player.agenda.push(self._due_ns, self)

    def wake(self, now_ns: int) -> None:
        """The agenda's call: operations are due."""
        clock, due = self._player.now_ns, 0
        while self._due_ns <= now_ns:
            row = self._operation % len(self._target_of_row)
            target = self._target_of_row[row]
            if self._free[target]:
                self._free[target].popleft().play(row, self._due_ns, now_ns)
            elif len(self._waiting[target]) < self._arrivals.max_backlog:
                self._waiting[target].append((self._due_ns, row))
            else:
                self._never_sent(self._due_ns, row, self._due_ns, Outcome.SHED)
            self._advance()
            due += 1
            if not due % LOOK_EVERY:
                self._player.readiness.look()
            now_ns = clock()
        if self._due_ns < _NEVER:
            self._player.agenda.push(self._due_ns, self)

    def free(self, connection: Connection, target: int, now_ns: int) -> None:
        """A connection has nothing to do: it plays what has waited longest, or waits itself."""
        waiting = self._waiting[target]
        if waiting:
            due_ns, row = waiting.popleft()
            connection.play(row, due_ns, now_ns)
        else:
            self._free[target].append(connection)

    def stop(self, now_ns: int) -> None:
        """The segment is over: what was due and never sent is cut."""
        while self._due_ns <= now_ns:
            self._never_sent(self._due_ns, self._operation % len(self._target_of_row), now_ns, Outcome.CUT)
            self._advance()
        self._due_ns = _NEVER
        for waiting in self._waiting:
            for due_ns, row in waiting:
                self._never_sent(due_ns, row, now_ns, Outcome.CUT)
            waiting.clear()

    def _advance(self) -> None:
        """Go to the next operation of ours."""
        if not self._chunk:
            chunk = self._offsets[self._taken : self._taken + _CHUNK]
            self._taken += len(chunk)
            self._chunk = (chunk[::-1] + self._start_ns).tolist()
        self._operation += self._arrivals.parts
        self._due_ns = self._chunk.pop() if self._chunk else _NEVER

    def _never_sent(self, due_ns: int, row: int, done_ns: int, outcome: Outcome) -> None:
        number = self._stand_in[self._target_of_row[row]]
        self._player.records.put(due_ns, 0, done_ns, 0, row, number, outcome, 0)
