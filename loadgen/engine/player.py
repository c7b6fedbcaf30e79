"""The Python engine: plays an assignment on the event loop that owns it.  It defines what every engine must do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.engine.accounts import Accounts
from loadgen.engine.agenda import Agenda
from loadgen.engine.api import Assignment, EndedHook, Segment
from loadgen.engine.canary_slot import CanarySlot
from loadgen.engine.columns import TapeColumns
from loadgen.engine.connection import Connection
from loadgen.engine.context import EngineContext, Slot
from loadgen.engine.openloop import OpenLoop
from loadgen.engine.pages import User
from loadgen.engine.quota import Quota
from loadgen.engine.readiness import Readiness
from loadgen.engine.records import Records
from loadgen.engine.remarks import Remarks
from loadgen.engine.resolve import resolve, uses
from loadgen.engine.sources import sources_by_family
from loadgen.engine.tcp_looks import TcpLooks
from loadgen.engine.tls import client_context
from loadgen.engine.tunnelled import new_secured
from loadgen.engine.vitals import Vitals
from loadgen.measure.events import AddressUse
from loadgen.measure.record import RECORD_DTYPE
from loadgen.measure.snapshot import Snapshot
from loadgen.model.units import NS_PER_MS, NS_PER_S

_DOUBT_S = 0.05  # how long an engine waits for a renewal in transit before it believes that its lease expired
_QUICK_S = 0.005  # the least time between two looks for requests that take too long
_PULSE_S = 0.1  # how often the lease and the time-outs are checked


class Player:
    """The Python implementation of :class:`loadgen.engine.api.Engine`.

    `now_ns` is the monotonic clock, and `vitals` measures the process itself.  Raises TargetError when a target's
    host cannot be resolved, FleetError when a source address does not belong to this machine.
    """

    def __init__(
        self,
        assignment: Assignment,
        loop: asyncio.AbstractEventLoop,
        ended: EndedHook,
        *,
        now_ns: Callable[[], int],
        vitals: Vitals,
    ) -> None:
        self._assignment = assignment
        self._loop = loop
        self._ended = ended
        self._now_ns = now_ns
        self._agenda = Agenda(loop, now_ns, self._look)
        self._records = Records(self._fold)
        self._tcp = TcpLooks(assignment.shard.connections)
        load = assignment.load
        counted = load.requests > 0 or (load.arrivals is not None and load.arrivals.total > 0)
        slots = len(assignment.shard.connections)
        self._quota = Quota(load.requests, slots, now_ns, self._on_done) if counted else None
        self._context = EngineContext(
            assignment.load,
            now_ns=now_ns,
            agenda=self._agenda,
            records=self._records,
            tape=TapeColumns(assignment.tape),
            ways=resolve(assignment.dialed, assignment.load.resolve, assignment.load.ip_version),
            tcp=self._tcp,
            quota=self._quota,
        )
        self._accounts = Accounts(assignment, vitals)
        self._remarks = Remarks()
        self._connections = self._make_connections()
        self._open_loop: OpenLoop | None = None
        if assignment.load.arrivals is not None:
            self._open_loop = OpenLoop(self._context, assignment.load.arrivals, assignment.shares)
            self._context.dispatcher = self._open_loop
        self._canary = CanarySlot(assignment, loop, now_ns, self._agenda) if assignment.canary_port else None
        self._segment: Segment | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._pulse_timer: asyncio.Handle | None = None
        self._lease_until_ns = 0
        self._lease_doubted = False
        self._swept_ns = 0

    def _make_connections(self) -> Sequence[Slot]:
        """The connections of this engine's shard, in the order of their numbers."""
        load, targets, context = self._assignment.load, self._assignment.targets, self._context
        host_lines = [f"Host: {target.host_header}\r\n".encode() for target in targets]
        sources = sources_by_family(load.sources)
        if load.streams:
            from loadgen.engine.http2.slots import make_slots  # other loads need no h2

            return make_slots(self._assignment, context, self._accounts.target_of.tolist(), sources, self._remarks)
        tls_context = (
            client_context(verify=load.tls_verify, settings=load.tls) if any(target.tls for target in targets) else None
        )
        made: list[Slot] = []
        for number in self._assignment.shard.connections:
            index = int(self._accounts.target_of[number])
            target, host_line = targets[index], host_lines[index]
            usable = sources.get(context.ways[index].of(number)[0], [])
            if target.tls:
                assert tls_context is not None
                made.append(
                    new_secured(
                        context,
                        number,
                        index,
                        host_line,
                        sources=usable,
                        target=target,
                        settings=load.tls,
                        tls_context=tls_context,
                    )
                )
            elif context.tape.lanes:
                made.append(User(context, number, index, host_line, sources=usable))
            else:
                made.append(Connection(context, number, index, host_line, sources=usable))
        return made

    def start(self, segment: Segment) -> None:
        """Begin a segment.  Raises RuntimeError while another one is played."""
        if self._segment is not None:
            raise RuntimeError("cannot start a segment: the previous one has not ended")
        self._segment = segment
        self._accounts.start(segment)
        self._lease_doubted = False
        if self._quota is not None:
            self._quota.start()
        self._context.readiness = Readiness(self._loop, self._now_ns)
        if self._open_loop is not None:
            self._open_loop.start(segment, self._connections)
        else:
            starts = self._assignment.tape.starts[segment.index]
            rows, delays = starts["row"].tolist(), starts["delay_ns"].tolist()
            for connection in self._connections:
                connection.start(rows[connection.number], segment.start_ns + delays[connection.number])
        if self._canary is not None:
            self._canary.start(segment, self._context.readiness)
        self._end_later(segment)
        self._pulse()

    def renew(self, until_ns: int) -> None:
        """Extend the lease until `until_ns`; an earlier time changes nothing."""
        self._lease_until_ns = max(self._lease_until_ns, until_ns)

    def stop(self) -> None:
        """End the segment now, if one is played."""
        self._end("stopped")

    def drain(self, interval: int) -> Snapshot:
        """Everything recorded since the previous interval.  Draining an interval again returns all of it again."""
        self._fold()
        self._count_tcp()
        return self._accounts.drain(interval, self._context.open_sockets, self._active(), self._context.shown)

    @property
    def handshakes(self) -> tuple[int, int]:
        """The TLS handshakes since the engine was made: full ones, resumed ones."""
        full, resumed = self._context.handshakes
        return full, resumed

    @property
    def done_ns(self) -> int:
        """When the given number of operations was done; 0 before."""
        return self._quota.done_ns if self._quota is not None else 0

    @property
    def addresses(self) -> tuple[AddressUse, ...]:
        """The addresses of targets whose names have several, with the connections of this engine to each."""
        streams = self._assignment.load.streams or 1  # on one TCP connection
        made = {(connection.number // streams, connection.target) for connection in self._connections}
        return uses(self._assignment.targets, self._context.ways, made)

    def take_canary(self) -> NDArray[np.void]:
        """The records of the canary since the last call."""
        return self._canary.take() if self._canary is not None else np.zeros(0, dtype=RECORD_DTYPE)

    def take_remarks(self) -> Mapping[str, int]:
        """How often each remark about servers was made since the last call; only HTTP/2 makes any."""
        return self._remarks.take()

    def _on_done(self) -> None:
        self._loop.call_soon(self._end, "complete")

    def _look(self) -> None:
        self._context.readiness.look()

    def _active(self) -> int:
        return len(self._connections) if self._segment is not None else 0

    def _fold(self) -> None:
        """Turn records into counts.  Records exist only while a segment is played."""
        segment = self._segment
        if segment is not None and self._records.at:
            self._accounts.fold(self._records.take(), segment)

    def _count_tcp(self) -> None:
        if self._segment is not None:
            self._accounts.count_tcp(self._tcp.table(), self._segment, self._now_ns())

    def _pulse(self) -> None:
        """Check the lease and the time-outs, now and periodically."""
        segment = self._segment
        if segment is None:
            return
        now_ns = self._now_ns()
        if now_ns > self._lease_until_ns:
            if self._lease_doubted:
                self._end("lease expired")
                return
            # After a long turn of the loop (with very many connections) a renewal may already be in the pipe.  The
            # loop needs several more turns to poll it, read it and hand it over.
            self._lease_doubted = True
            self._pulse_timer = self._loop.call_later(_DOUBT_S, self._pulse)
            return
        self._lease_doubted = False
        timeout_ns, request_ns = self._assignment.load.timeout_ns, self._context.request_ns
        if now_ns - self._swept_ns > min(timeout_ns // 8, request_ns // 8, 500 * NS_PER_MS):
            self._swept_ns = now_ns
            # After a moment in which this engine stood still, replies are there that came in time.
            self._context.readiness.catch_up()
            for connection in self._connections:
                connection.expire(now_ns, timeout_ns)
            if self._canary is not None:
                self._canary.expire(now_ns, timeout_ns)
        self._tcp.look(now_ns, self._connections)
        pulse_s = max(_QUICK_S, min(_PULSE_S, request_ns / 8 / NS_PER_S))
        self._pulse_timer = self._loop.call_later(pulse_s, self._pulse)

    def _end_later(self, segment: Segment) -> None:
        wait_ns = segment.end_ns - self._now_ns()
        self._end_timer = self._loop.call_later(max(0.0, wait_ns / NS_PER_S), self._complete, segment)

    def _complete(self, segment: Segment) -> None:
        """End the segment, but not before its time: a timer of uvloop may fire 1.5 ms early."""
        if self._now_ns() < segment.end_ns:
            self._end_later(segment)
        else:
            self._end("complete")

    def _end(self, why: str) -> None:
        segment = self._segment
        if segment is None:
            return
        now_ns = self._now_ns()
        self._agenda.clear()
        if self._open_loop is not None:
            self._open_loop.stop(now_ns)
        for connection in self._connections:
            connection.stop(now_ns)
        if self._canary is not None:
            self._canary.stop(now_ns)
        self._context.readiness.close()
        for timer in (self._end_timer, self._pulse_timer):
            if timer is not None:
                timer.cancel()
        self._fold()
        self._count_tcp()
        self._accounts.end()
        self._segment = None
        self._ended(segment, why)
