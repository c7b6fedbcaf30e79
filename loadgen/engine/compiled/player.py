"""The Python side of the compiled engine: sets it up, starts a thread for each segment, and counts its records.

The thread plays without the GIL.  It shares with the event loop only a ring of records, a lease, a stop flag, and two
event descriptors through which they wake each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loadgen.engine.accounts import Accounts
from loadgen.engine.api import Assignment, EndedHook, Segment
from loadgen.engine.canary import HOST, HOST_LINE, MAX_BEHIND_NS, PERIOD_NS, phase_ns, with_canary
from loadgen.engine.compiled._core import Core
from loadgen.engine.compiled.layout import NOBODY, Ending
from loadgen.engine.resolve import Address, resolve, uses
from loadgen.engine.sources import sources_by_family
from loadgen.engine.tcp_accounts import FIELDS
from loadgen.engine.vitals import Mark, Vitals
from loadgen.measure.record import RECORD_DTYPE
from loadgen.measure.snapshot import Snapshot
from loadgen.model.units import NS_PER_S
from loadgen.schedule.arrivals import offset_pieces
from loadgen.schedule.optape import FIRST_STATUS_SET, OpTape
from loadgen.schedule.processes import PIECE

if TYPE_CHECKING:
    from loadgen.engine.compiled._core import Arrays

_WHY = {Ending.COMPLETE: "complete", Ending.STOPPED: "stopped", Ending.LEASE_EXPIRED: "lease expired"}
_BODY_BYTES = 1 << 62  # the limit for lengths of a body, so that no sum of them overflows
_AHEAD = 1 << 18  # operations of all engines whose due times are known ahead: 26 ms at the highest rate
_STRETCHES = 2  # of records that are counted before the event loop has a turn: all that the ring holds
_STOP_S = 10.0  # much longer than it takes to close all sockets


class CompiledPlayer:
    """The compiled implementation of :class:`loadgen.engine.api.Engine`.

    `kernel_stamps`: whether replies are stamped by the kernel.  Raises TargetError when a target's host cannot be
    resolved, FleetError when a source address does not belong to this machine.
    """

    def __init__(
        self,
        assignment: Assignment,
        loop: asyncio.AbstractEventLoop,
        ended: EndedHook,
        *,
        vitals: Vitals,
        kernel_stamps: bool,
    ) -> None:
        self._assignment = assignment
        self._loop = loop
        self._ended = ended
        self._vitals = vitals
        self._accounts = Accounts(assignment, vitals)
        self._numbers = np.array(assignment.shard.connections, dtype=np.uint32)
        self._core = self._make_core(assignment, kernel_stamps)
        self._tcp = np.zeros((len(self._numbers), len(FIELDS)), np.int64)
        self._segment: Segment | None = None
        self._end_mark: Mark | None = None
        self._pieces: Iterator[NDArray[np.int64]] | None = None  # due times that the playing thread does not know yet
        self._thread: threading.Thread | None = None
        self._why = Ending.COMPLETE
        self._lease_until_ns = 0

    def _make_core(self, assignment: Assignment, kernel_stamps: bool) -> Core:
        load = assignment.load
        ways = resolve(assignment.dialed, load.resolve, load.ip_version)
        target_of = self._accounts.target_of[self._numbers].astype(np.uint32)
        self.addresses = uses(assignment.targets, ways, zip(self._numbers.tolist(), target_of.tolist(), strict=True))
        remotes = [address for one in ways for address in one.used]
        count = np.array([len(one.used) for one in ways], dtype=np.uint32)
        turn, nth = np.divmod(self._numbers, count[target_of])
        remote_of = (np.cumsum(count) - count)[target_of].astype(np.uint32) + nth
        sources, source_of = _sources(load.sources, np.array([family for family, _ in remotes])[remote_of], turn)
        stand_ins = _stand_ins(assignment.shares, self._numbers, target_of)
        targets = [
            (f"Host: {target.host_header}\r\n".encode(), stand_in)
            for target, stand_in in zip(assignment.targets, stand_ins, strict=True)
        ]
        tape, numbers = assignment.tape, self._numbers
        if tape.lanes:
            numbers, target_of, remote_of, source_of = (
                np.tile(column, tape.lanes) for column in (numbers, target_of, remote_of, source_of)
            )
        if assignment.canary_port:  # one more target, row and connection, all of them the last
            tape = with_canary(tape, len(targets))
            target_of = np.append(target_of, np.uint32(len(targets)))
            targets.append((HOST_LINE, 0))
            remote_of = np.append(remote_of, np.uint32(len(remotes)))
            remotes.append((socket.AF_INET, (HOST, assignment.canary_port)))
            numbers, source_of = (np.append(column, np.uint32(NOBODY)) for column in (numbers, source_of))
        return Core(
            arrays_of(tape, len(targets)),
            targets,
            [_packed(address) for address in remotes],
            sources,
            numbers,
            target_of,
            remote_of,
            source_of,
            8 * NS_PER_S / load.line_bps if load.line_bps else 0.0,
            line_bps=load.line_bps,
            timeout_ns=load.timeout_ns,
            error_rest_ns=load.error_rest_ns,
            paced_reads=load.paced_reads and load.line_bps > 0,
            kernel_stamps=kernel_stamps,
            open=load.arrivals is not None,
            max_backlog=load.arrivals.max_backlog if load.arrivals is not None else 0,
            canary_times=(phase_ns(assignment.shard), PERIOD_NS, MAX_BEHIND_NS),
            values=tape.values,
            numbering=(load.part, load.parts, _longest(tape, targets)),
            requests=load.requests,
            request_ns=load.request_ns,
            lanes=tape.lanes,
        )

    def start(self, segment: Segment) -> None:
        """Begin a segment.  Raises RuntimeError while another one is played."""
        if self._segment is not None:
            raise RuntimeError("cannot start a segment: the previous one has not ended")
        self._segment = segment
        starts = self._assignment.tape.starts[segment.index][self._numbers]
        rows = np.ascontiguousarray(starts["row"])
        if rows.size and rows.max() >= len(self._assignment.tape.ops):
            raise ValueError(
                f"a connection starts at row {rows.max()}, but the tape has {len(self._assignment.tape.ops)} rows"
            )
        due_ns = np.ascontiguousarray(starts["delay_ns"]) + segment.start_ns
        self._accounts.start(segment)
        self._end_mark = None
        self._core.arm(segment.start_ns, segment.end_ns)
        self._pieces = self._arrivals(segment)
        self._feed()
        self._thread = threading.Thread(target=self._play, args=(rows, due_ns), name="loadgen-player", daemon=True)
        self._loop.add_reader(self._core.fileno(), self._on_notice)
        self._thread.start()

    def renew(self, until_ns: int) -> None:
        """Extend the lease until `until_ns`; an earlier time changes nothing."""
        self._lease_until_ns = max(self._lease_until_ns, until_ns)
        self._core.renew(self._lease_until_ns)

    def stop(self) -> None:
        """End the segment now, if one is played."""
        if self._segment is None:
            return
        self._core.stop()
        # The records of the end may be more than the ring holds, so read while the thread ends.
        while not self._core.over and select.select([self._core.fileno()], [], [], _STOP_S)[0]:
            self._on_notice()
        self._on_notice()

    def drain(self, interval: int) -> Snapshot:
        """Everything recorded since the previous interval.  Draining an interval again returns all of it again."""
        self._fold()
        self._count_tcp()
        active = len(self._numbers) if self._segment is not None else 0
        return self._accounts.drain(interval, self._core.open_sockets, active, self._core.shown())

    @property
    def handshakes(self) -> tuple[int, int]:
        """None: this engine does not support TLS."""
        return 0, 0

    @property
    def done_ns(self) -> int:
        """When the given number of operations was done; 0 before."""
        return self._core.done_ns

    def take_canary(self) -> NDArray[np.void]:
        """The records of the canary since the last call."""
        return np.frombuffer(self._core.canary(), dtype=RECORD_DTYPE)

    def take_remarks(self) -> Mapping[str, int]:
        """None: what the compiled engine notices are outcomes."""
        return {}

    def _arrivals(self, segment: Segment) -> Iterator[NDArray[np.int64]]:
        """The open loop's due times after the start, piece by piece."""
        arrivals = self._assignment.load.arrivals
        if arrivals is None:
            return iter(())
        return offset_pieces(
            rate_per_s=arrivals.rate_per_s,
            poisson=arrivals.poisson,
            seed=arrivals.seed,
            part=arrivals.part,
            parts=arrivals.parts,
            length_ns=segment.end_ns - segment.start_ns,
            ramps=arrivals.ramps,
            total=arrivals.total,
        )

    def _feed(self) -> None:
        """Let the playing thread know further due times, if it has few left."""
        arrivals = self._assignment.load.arrivals
        ahead = max(PIECE, _AHEAD // arrivals.parts) if arrivals is not None else 1
        while self._pieces is not None and self._core.dues < ahead:
            piece = next(self._pieces, None)
            if piece is None:
                self._pieces = None
                piece = np.zeros(0, np.int64)
            self._core.feed(np.ascontiguousarray(piece))

    def _play(self, rows: NDArray[np.uint32], due_ns: NDArray[np.int64]) -> None:
        """Play the segment; the body of the thread."""
        arrivals = self._assignment.load.arrivals
        first, step, counted = (arrivals.part, arrivals.parts, arrivals.total > 0) if arrivals else (0, 1, False)
        self._why = Ending(self._core.play(rows, due_ns, first, step, counted))
        self._end_mark = self._vitals.mark()  # here, because the kernel forgets how long a thread that ended has waited

    def _on_notice(self) -> None:
        """Handle a notice of the playing thread: there are many records, few due times, or the segment is over."""
        segment, over = self._segment, self._core.over
        if segment is None:
            return
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._core.fileno())
        self._fold()
        if over:
            self._end(segment)
        else:
            self._feed()

    def _fold(self) -> None:
        """Turn the records in the ring into counts.  Records exist only while a segment is played."""
        if self._segment is None:
            return
        for _ in range(_STRETCHES):  # two when the ring wraps around
            memory = self._core.records()
            if not memory:
                return
            records = np.frombuffer(memory, dtype=RECORD_DTYPE)
            self._accounts.fold(records, self._segment)
            self._core.take(len(records))

    def _count_tcp(self) -> None:
        if self._segment is not None:
            self._core.tcp(self._tcp)
            self._accounts.count_tcp(self._tcp, self._segment, time.monotonic_ns())

    def _end(self, segment: Segment) -> None:
        assert self._thread is not None
        self._count_tcp()
        self._loop.remove_reader(self._core.fileno())
        self._thread.join()
        self._accounts.end(self._end_mark)
        self._thread = self._segment = None
        self._ended(segment, _WHY[self._why])


def arrays_of(tape: OpTape, targets: int) -> Arrays:
    """The arrays of `tape` for C: contiguous, with every index within its table.

    `targets` is the number of targets.  Raises ValueError when an index is out of range, because C would read beyond
    the table.
    """
    ops, checks = np.ascontiguousarray(tape.ops), np.ascontiguousarray(tape.checks)
    data, offsets = tape.strings.data, np.ascontiguousarray(tape.strings.offsets, dtype=np.int64)
    strings = len(offsets) - 1
    bounds = [(ops[name], strings) for name in ("line", "rest", "cookie", "literal")]
    bounds += [(checks[name], strings) for name in ("anchor", "prefix", "period", "suffix")]
    bounds += [(ops["template"], 1 if tape.values is None else len(tape.values.templates) - 1)]
    bounds += [(ops["status"], FIRST_STATUS_SET + max(1, len(tape.status_sets)))]
    bounds += [(ops["check"], len(checks)), (ops["next"], len(ops)), (ops["target"], targets)]
    bounds += [(np.maximum(checks[name], 0), _BODY_BYTES) for name in ("content_bytes", "literal_at")]
    if not len(ops) or any(column.size and column.max() >= bound for column, bound in bounds):
        raise ValueError("an index in the tape is out of range of its table")
    if offsets[0] < 0 or np.any(np.diff(offsets) < 0) or offsets[-1] > len(data):
        raise ValueError("the offsets of the tape's strings are out of range of their text")
    return ops, checks, data, offsets, np.ascontiguousarray(tape.status_sets)


def _longest(tape: OpTape, targets: list[tuple[bytes, int]]) -> int:
    """The most bytes that a request with values can have.  Raises ValueError when a template is out of range."""
    if tape.values is None:
        return 0
    tape.values.check()
    return tape.values.longest(max(len(host_line) for host_line, _ in targets))


def _sources(
    sources: tuple[str, ...], family_of: NDArray[np.int64], turn: NDArray[np.uint32]
) -> tuple[list[bytes], NDArray[np.uint32]]:
    """The socket addresses to connect from, and the index of the one that each connection uses: by its turn."""
    found = sources_by_family(sources)
    packed: list[bytes] = []
    source_of = np.full(len(turn), NOBODY, dtype=np.uint32)
    for family, texts in found.items():
        mine = family_of == family
        source_of[mine] = len(packed) + turn[mine] % len(texts)
        packed += [_packed((family, (text, 0))) for text in texts]
    return packed, source_of


def _stand_ins(shares: tuple[int, ...], numbers: NDArray[np.uint32], target_of: NDArray[np.uint32]) -> list[int]:
    """By target, the number of the connection under which unsent operations are recorded: one of this engine if any."""
    first = np.concatenate([[0], np.cumsum(shares)[:-1]]).astype(np.int64)
    found, begins = np.unique(target_of, return_index=True)
    first[found] = numbers[begins]
    return [int(number) for number in first]


def _packed(address: Address) -> bytes:
    """`address` as a struct sockaddr_in or sockaddr_in6."""
    family, rest = address
    host, port = rest[0].split("%")[0], rest[1]
    flow, scope = rest[2:] if len(rest) == 4 else (0, 0)
    if family == socket.AF_INET:
        return struct.pack("=H", family) + struct.pack("!H", port) + socket.inet_pton(family, host) + bytes(8)
    return (
        struct.pack("=H", family)
        + struct.pack("!HI", port, flow)
        + socket.inet_pton(family, host)
        + struct.pack("=I", scope)
    )
