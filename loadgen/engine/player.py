"""The Python engine: plays an assignment on the event loop that owns it.  The definition of what an engine does."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.engine.agenda import Agenda
from loadgen.engine.api import Assignment, EndedHook, Segment
from loadgen.engine.body import BodySpec
from loadgen.engine.connection import Connection
from loadgen.engine.vitals import Vitals
from loadgen.measure.cells import Cell
from loadgen.measure.fold import FoldContext, fold
from loadgen.measure.record import RECORD_DTYPE
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.tally import merge_tallies
from loadgen.model.errors import TargetError
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S

_BUFFER_BYTES = 262_144
_RECORDS = 65_536
_PULSE_S = 0.1  # how often the lease and time-outs are looked at
_TRY_S = 1.0  # how long one of several addresses of a target may take to answer
_PACK = struct.Struct("<qqqqIIII").pack_into
assert struct.calcsize("<qqqqIIII") == RECORD_DTYPE.itemsize

_Part = tuple[dict[tuple[int, int], Cell], NDArray[np.void]]


class Player:
    """See :class:`loadgen.engine.api.Engine`.

    `now_ns` is the monotonic clock, `vitals` reads what the process itself costs.  Raises TargetError
    when a target's host cannot be resolved.
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
        self.agenda = Agenda(loop, now_ns)
        self.buffer = bytearray(_BUFFER_BYTES)
        self.open_sockets = 0
        self._assignment = assignment
        self._ended = ended
        load, tape = assignment.load, assignment.tape
        self.line_bps = load.line_bps
        self.ns_per_byte = 8 * NS_PER_S / load.line_bps if load.line_bps else 0.0
        self.paced_reads = load.paced_reads and load.line_bps > 0
        self.error_rest_ns = load.error_rest_ns
        self.addresses = [_resolve(target) for target in assignment.targets]
        self._decode(assignment)
        target_of = np.repeat(np.arange(len(assignment.shares), dtype=np.int32), assignment.shares)
        host_lines = [f"Host: {target.authority}\r\n".encode() for target in assignment.targets]
        self._connections = [
            Connection(self, number, int(target_of[number]), host_lines[target_of[number]])
            for number in assignment.shard.connections
        ]
        self._context = FoldContext(
            kind=np.ascontiguousarray(tape.ops["kind"]),
            group=np.ascontiguousarray(tape.ops["group"]),
            kinds=len(tape.kinds),
            groups=len(tape.groups),
            target_of=target_of,
            line_bps=load.line_bps,
            bound=load.bound,
        )
        self._records = bytearray(_RECORDS * RECORD_DTYPE.itemsize)
        self._record_at = 0
        self._fresh: list[_Part] = []  # folded, and in no snapshot yet
        self._reported: list[_Part] = []  # already in a snapshot of the current interval
        self._interval = -1
        self._vitals = vitals
        self._drained = self._interval_began = vitals.mark()
        self._segment: Segment | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._pulse_timer: asyncio.TimerHandle | None = None
        self._lease_until_ns = 0
        self._swept_ns = 0

    def _decode(self, assignment: Assignment) -> None:
        """The tape as lists by row: what the hot path looks up must not be boxed by numpy each time."""
        tape = assignment.tape
        strings = [tape.strings[i] for i in range(len(tape.strings))]
        ops = tape.ops
        self.rows = len(ops)
        self.lines = [strings[i] for i in ops["line"].tolist()]
        self.rests = [strings[i] for i in ops["rest"].tolist()]
        self.literals = [strings[i] for i in ops["literal"].tolist()]
        self.cookies = [strings[i] for i in ops["cookie"].tolist()]
        self.statuses: list[int] = ops["status"].tolist()
        self.flags: list[int] = ops["flags"].tolist()
        self._check_of: list[int] = ops["check"].tolist()
        self._specs: list[BodySpec | None] = [None] * len(tape.checks)
        self._strings = tape.strings
        self._checks = tape.checks

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
        starts = self._assignment.tape.starts[segment.index]
        rows, delays = starts["row"].tolist(), starts["delay_ns"].tolist()
        for connection in self._connections:
            connection.start(rows[connection.number], segment.start_ns + delays[connection.number])
        wait_ns = segment.end_ns - self.now_ns()
        self._end_timer = self.loop.call_later(max(0.0, wait_ns / NS_PER_S), self._end, "complete")
        self._pulse()

    def renew(self, until_ns: int) -> None:
        """Extend the lease."""
        self._lease_until_ns = max(self._lease_until_ns, until_ns)

    def stop(self) -> None:
        """End the segment now."""
        self._end("stopped")

    def drain(self, interval: int) -> Snapshot:
        """All that was recorded since the interval before; draining it again returns the whole of it again."""
        self._fold()
        if interval != self._interval:
            self._interval = interval
            self._reported = []
            self._interval_began = self._drained
        self._reported += self._fresh
        self._fresh = []
        self._drained = self._vitals.mark()
        health = self._vitals.health(self._interval_began, self._drained, self.open_sockets, self._active())
        cells: dict[tuple[int, int], Cell] = {}
        for part, _ in self._reported:
            for key, cell in part.items():
                cells[key] = cells[key].merge(cell) if key in cells else cell
        tallies = merge_tallies([tallies for _, tallies in self._reported])
        return Snapshot(self._assignment.worker, interval, cells, tallies, health)

    def _active(self) -> int:
        return len(self._connections) if self._segment is not None else 0

    def record(
        self,
        due_ns: int,
        sent_ns: int,
        done_ns: int,
        received_bytes: int,
        row: int,
        connection: int,
        outcome: int,
        connected: int,
    ) -> None:
        """Write one finished operation down."""
        at = self._record_at
        _PACK(self._records, at, due_ns, sent_ns, done_ns, received_bytes, row, connection, outcome, connected)
        self._record_at = at = at + RECORD_DTYPE.itemsize
        if at == len(self._records):
            self._fold()

    def _fold(self) -> None:
        """Turn what was recorded into counts.  Records only ever exist inside a segment."""
        segment = self._segment
        if segment is None or self._record_at == 0:
            return
        records = np.frombuffer(self._records, dtype=RECORD_DTYPE, count=self._record_at // RECORD_DTYPE.itemsize)
        part = fold(
            records,
            self._context,
            window=segment.index,
            window_start_ns=segment.window_start_ns,
            window_end_ns=segment.window_end_ns,
        )
        self._fresh.append(part)
        self._record_at = 0

    def _pulse(self) -> None:
        segment = self._segment
        if segment is None:
            return
        now_ns = self.now_ns()
        if now_ns > self._lease_until_ns:
            self._end("lease expired")
            return
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
        for connection in self._connections:
            connection.stop(now_ns)
        for timer in (self._end_timer, self._pulse_timer):
            if timer is not None:
                timer.cancel()
        self._fold()
        self._segment = None
        self._ended(segment, why)


def _resolve(target: Target) -> tuple[int, tuple[str, int] | tuple[str, int, int, int]]:
    """Address family and socket address."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name can be spelled so
        why = error.strerror if isinstance(error, OSError) else "it is no host name"
        raise TargetError(f"target {target.name}: host {target.host!r} cannot be resolved: {why}") from error
    family, _, _, _, address = next(filter(_answers, found), found[0]) if len(found) > 1 else found[0]
    return family, address  # type: ignore[return-value]  # AF_INET and AF_INET6 only


def _answers(candidate: tuple[Any, ...]) -> bool:
    """Whether anybody accepts there: a name may stand for addresses that its server does not listen on."""
    family, kind, protocol, _, address = candidate
    try:
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(_TRY_S)
            sock.connect(address)
    except OSError:
        return False
    return True
