"""The canary of the Python engine: a connection like any other, with a tape, records and a schedule of its own.

Its timer is the kernel's, and as exact as that of the compiled engine.  The agenda wakes connections in steps of half a
millisecond: that is known, shows in the lateness of the load, and would hide what the canary is there to find.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from loadgen.engine.agenda import Agenda
from loadgen.engine.api import Assignment, Load, Segment
from loadgen.engine.canary import HOST, HOST_LINE, MAX_BEHIND_NS, PERIOD_NS, canary_tape, phase_ns
from loadgen.engine.columns import TapeColumns
from loadgen.engine.connection import Connection
from loadgen.engine.context import EngineContext, Playable
from loadgen.engine.readiness import Readiness
from loadgen.engine.records import Records
from loadgen.engine.resolve import Ways
from loadgen.engine.timer import periodic_timer


class CanarySlot:
    """A :class:`~loadgen.engine.context.Dispatcher` of one connection to `assignment.canary_port`."""

    def __init__(
        self, assignment: Assignment, loop: asyncio.AbstractEventLoop, now_ns: Callable[[], int], agenda: Agenda
    ) -> None:
        load = assignment.load
        self._loop = loop
        self._now_ns = now_ns
        self._kept: list[NDArray[np.void]] = []
        self._records = Records(self._keep)
        self._context = EngineContext(
            Load(line_bps=0, bound=load.bound, timeout_ns=load.timeout_ns, error_rest_ns=load.error_rest_ns),
            now_ns=now_ns,
            agenda=agenda,
            records=self._records,
            tape=TapeColumns(canary_tape()),
            ways=[Ways(((socket.AF_INET, (HOST, assignment.canary_port)),))],
        )
        self._context.dispatcher = self
        # The agenda needs a number that no connection of the load has.
        self._connection = Connection(self._context, sum(assignment.shares), 0, HOST_LINE, sources=())
        self._phase_ns = phase_ns(assignment.shard)
        self._due_ns = 0  # of the next operation
        self._is_free = False
        self._timer = -1

    def start(self, segment: Segment, readiness: Readiness) -> None:
        """Begin a segment."""
        self._context.readiness = readiness
        self._due_ns = segment.start_ns + self._phase_ns
        self._is_free = True
        self._connection.offer()
        self._timer = periodic_timer(self._due_ns, PERIOD_NS)
        self._loop.add_reader(self._timer, self._on_timer)

    def free(self, connection: Playable, target: int, now_ns: int) -> None:
        """The connection has no operation any more: play the next one, or wait until it is due."""
        self._is_free = True
        self._play_if_due(now_ns)

    def expire(self, now_ns: int, timeout_ns: int) -> None:
        """Fail the operation if nothing has happened for `timeout_ns`."""
        self._connection.expire(now_ns, timeout_ns)

    def stop(self, now_ns: int) -> None:
        """End the segment: an operation in progress is recorded as CUT."""
        self._is_free = False
        self._connection.stop(now_ns)
        self._loop.remove_reader(self._timer)
        os.close(self._timer)

    def take(self) -> NDArray[np.void]:
        """The records since the last call."""
        self._keep()
        kept, self._kept = self._kept, []
        return np.concatenate(kept)

    def _on_timer(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._timer, 8)
        self._play_if_due(self._now_ns())

    def _play_if_due(self, now_ns: int) -> None:
        behind_ns = now_ns - self._due_ns
        if not self._is_free or behind_ns < 0:
            return
        if behind_ns > MAX_BEHIND_NS:
            self._due_ns += behind_ns // PERIOD_NS * PERIOD_NS
        due_ns, self._due_ns, self._is_free = self._due_ns, self._due_ns + PERIOD_NS, False
        self._connection.play(0, due_ns, now_ns)

    def _keep(self) -> None:
        self._kept.append(self._records.take().copy())
