"""The Python engine: plays an assignment on the event loop that owns it.  The definition of what an engine does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from loadgen.engine.accounts import Accounts
from loadgen.engine.agenda import Agenda
from loadgen.engine.api import Assignment, EndedHook, Segment
from loadgen.engine.body import BodySpec
from loadgen.engine.connection import Connection
from loadgen.engine.http1 import Head
from loadgen.engine.openloop import OpenLoop
from loadgen.engine.readiness import Readiness
from loadgen.engine.records import Records
from loadgen.engine.resolve import resolve
from loadgen.engine.sources import sources_by_family
from loadgen.engine.tls import TlsConnection, client_context
from loadgen.engine.vitals import Vitals
from loadgen.measure.snapshot import Snapshot
from loadgen.model.units import NS_PER_MS, NS_PER_S

_RIGHT = frozenset(range(200, 400))  # statuses, where none is asked for
_READ_BYTES = 65_536  # more at once would be memory that the kernel has to find for each read
_PACED_READ_BYTES = 4_096
_DOUBT_S = 0.05
_PULSE_S = 0.1  # how often the lease and time-outs are looked at


class Player:
    """See :class:`loadgen.engine.api.Engine`.

    `now_ns` is the monotonic clock, `vitals` reads what the process itself costs.  Raises TargetError
    when a target's host cannot be resolved, FleetError when a source address is none of this machine.
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
        self.loop = loop
        self.now_ns = now_ns
        self.agenda = Agenda(loop, now_ns, self._look)
        self.known_heads: dict[bytes, Head] = {}
        self.readiness: Readiness  # of the segment that is played
        self.open_sockets = 0
        self._assignment = assignment
        self._ended = ended
        load = assignment.load
        self.line_bps = load.line_bps
        self.ns_per_byte = 8 * NS_PER_S / load.line_bps if load.line_bps else 0.0
        self.paced_reads = load.paced_reads and load.line_bps > 0
        self.read_bytes = _PACED_READ_BYTES if self.paced_reads else _READ_BYTES
        self.error_rest_ns = load.error_rest_ns
        self.addresses = [resolve(target) for target in assignment.targets]
        self._sources = sources_by_family(load.sources)
        self._decode(assignment)
        self._accounts = Accounts(assignment, vitals)
        target_of = self._accounts.target_of
        host_lines = [f"Host: {target.authority}\r\n".encode() for target in assignment.targets]
        if any(target.tls for target in assignment.targets):
            self.tls = client_context(verify=load.tls_verify)
        self._connections = [
            self._connection(number, int(target_of[number]), host_lines[target_of[number]])
            for number in assignment.shard.connections
        ]
        self.arrivals: OpenLoop | None = None
        if load.arrivals is not None:
            self.arrivals = OpenLoop(self, load.arrivals, assignment.tape.ops["target"].tolist(), assignment.shares)
        self.records = Records(self._fold)
        self._segment: Segment | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._pulse_timer: asyncio.Handle | None = None
        self._lease_until_ns = 0
        self._lease_doubted = False
        self._swept_ns = 0

    def _decode(self, assignment: Assignment) -> None:
        """The tape as lists by row: what the hot path looks up must not be boxed by numpy each time."""
        tape = assignment.tape
        strings = [tape.strings[i] for i in range(len(tape.strings))]
        ops = tape.ops
        self.next_rows: list[int] = ops["next"].tolist()
        self.lines = [strings[i] for i in ops["line"].tolist()]
        self.rests = [strings[i] for i in ops["rest"].tolist()]
        self.literals = [strings[i] for i in ops["literal"].tolist()]
        self.cookies = [strings[i] for i in ops["cookie"].tolist()]
        right = {status: frozenset([status]) for status in np.unique(ops["status"]).tolist()} | {0: _RIGHT}
        self.right_statuses = [right[status] for status in ops["status"].tolist()]
        self.flags: list[int] = ops["flags"].tolist()
        # A reply with this head and of this length is right, and leaves its connection open, whatever its body.
        self.repeats: list[tuple[bytes, int]] = [(b"", -1)] * len(ops)
        self._check_of: list[int] = ops["check"].tolist()
        self._specs: list[BodySpec | None] = [None] * len(tape.checks)
        self._strings = tape.strings
        self._checks = tape.checks
        self.checked: list[bool] = (tape.checks["content_bytes"][ops["check"]] >= 0).tolist()

    def _connection(self, number: int, target: int, host_line: bytes) -> Connection:
        found = self._assignment.targets[target]
        if found.tls:
            return TlsConnection(self, number, target, host_line, found.host)
        return Connection(self, number, target, host_line)

    def source_of(self, number: int, target: int) -> str | None:
        """The address that connection `number` to `target` is made from; None leaves it to the kernel."""
        usable = self._sources.get(self.addresses[target][0], [])
        return usable[number % len(usable)] if usable else None

    def spec(self, row: int) -> BodySpec:
        """What the body of the reply to `row` must look like (decoded when it is first needed)."""
        index = self._check_of[row]
        spec = self._specs[index]
        if spec is None:
            spec = self._specs[index] = BodySpec.decode(self._checks[index], self._strings)
        return spec

    def start(self, segment: Segment) -> None:
        """Begin a segment; the one before must have ended."""
        if self._segment is not None:
            raise RuntimeError("a segment is still being played")
        self._segment = segment
        self._lease_doubted = False
        self.readiness = Readiness(self.loop, self.now_ns)
        if self.arrivals is not None:
            self.arrivals.start(segment, self._connections)
        else:
            starts = self._assignment.tape.starts[segment.index]
            rows, delays = starts["row"].tolist(), starts["delay_ns"].tolist()
            for connection in self._connections:
                connection.start(rows[connection.number], segment.start_ns + delays[connection.number])
        wait_ns = segment.end_ns - self.now_ns()
        self._end_timer = self.loop.call_later(max(0.0, wait_ns / NS_PER_S), self._end, "complete")
        self._pulse()

    def _look(self) -> None:
        self.readiness.look()

    def renew(self, until_ns: int) -> None:
        """Extend the lease."""
        self._lease_until_ns = max(self._lease_until_ns, until_ns)

    def stop(self) -> None:
        """End the segment now."""
        self._end("stopped")

    def drain(self, interval: int) -> Snapshot:
        """All that was recorded since the interval before; draining it again returns the whole of it again."""
        self._fold()
        return self._accounts.drain(interval, self.open_sockets, self._active())

    def _active(self) -> int:
        return len(self._connections) if self._segment is not None else 0

    def _fold(self) -> None:
        """Turn what was recorded into counts.  Records only ever exist inside a segment."""
        segment = self._segment
        if segment is not None and self.records.at:
            self._accounts.fold(self.records.take(), segment)

    def _pulse(self) -> None:
        segment = self._segment
        if segment is None:
            return
        now_ns = self.now_ns()
        if now_ns > self._lease_until_ns:
            if self._lease_doubted:
                self._end("lease expired")
                return
            # In a long turn of the loop (of very many connections) a renewal may have come that is not heard yet: it
            # takes several turns more, to be polled, read, and taken by whoever waits for it.
            self._lease_doubted = True
            self._pulse_timer = self.loop.call_later(_DOUBT_S, self._pulse)
            return
        self._lease_doubted = False
        timeout_ns = self._assignment.load.timeout_ns
        if now_ns - self._swept_ns > min(timeout_ns // 8, 500 * NS_PER_MS):
            self._swept_ns = now_ns
            for connection in self._connections:
                connection.expire(now_ns, timeout_ns)
        self._pulse_timer = self.loop.call_later(_PULSE_S, self._pulse)

    def _end(self, why: str) -> None:
        segment = self._segment
        if segment is None:
            return
        now_ns = self.now_ns()
        self.agenda.clear()
        if self.arrivals is not None:
            self.arrivals.stop(now_ns)
        for connection in self._connections:
            connection.stop(now_ns)
        self.readiness.close()
        for timer in (self._end_timer, self._pulse_timer):
            if timer is not None:
                timer.cancel()
        self._fold()
        self._segment = None
        self._ended(segment, why)
