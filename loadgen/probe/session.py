"""One test at the server, from the client's parameters to the exchange of results."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from loadgen import __version__
from loadgen.measure.throughput import UNKNOWN
from loadgen.model.errors import PlanError
from loadgen.model.probe import MAX_UDP_BLOCK_BYTES, MIN_UDP_BLOCK_BYTES, Direction, Kind, Transport
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe.api import ProbeError, ServedTest, ServerLimits
from loadgen.probe.control import Control, PeerGoneError, PeerSilentError
from loadgen.probe.door import Door, Turn
from loadgen.probe.iperf3 import ERROR, UDP_COOKIES, ProtocolError, ServerFault, State, fault_text, stream_ids
from loadgen.probe.messages import Parameters, Results, StreamCount
from loadgen.probe.meter import Meter, no_cpu_ns, share
from loadgen.probe.rr import ANSWER, Echo
from loadgen.probe.sockets import check_congestion, congestion_of, granted, tune
from loadgen.probe.streams import LIMIT, Stream
from loadgen.probe.tcp import TcpReceiver, TcpSender, payload
from loadgen.probe.udp import UdpReceiver, UdpSender, settle

T = TypeVar("T")

_TICK_NS = NS_PER_S
_CONTESTED_SHARE = 0.2  # of the patience: a silent test may not hold the turn of its address for longer
_DRAIN_STEP_NS = 5 * NS_PER_MS
_DRAIN_QUIET_NS = 200 * NS_PER_MS  # without new bytes for this time, a limited test has received everything


class RefusedError(ProbeError):
    """The client requested a test that this server does not support."""

    def __init__(self, fault: ServerFault, errno: int = 0) -> None:
        super().__init__(f"was refused: {fault_text(fault, errno)}")
        self.fault = fault
        self.errno = errno


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a test: its host, this end's address of the control connection, and the cookie."""

    host: str
    local: Any
    cookie: bytes


class Session:
    """A test whose client has sent its cookie.  Error messages are sentences about the client without the subject."""

    def __init__(self, client: Client, control: Control, door: Door, limits: ServerLimits) -> None:
        self._client = client
        self._control = control
        self._door = door
        self._limits = limits
        self._asked = Parameters()
        self._what = "no parameters"
        self._streams: list[Stream] = []
        self._waiting: list[socket.socket] = []  # data connections, in order of arrival
        self._wanted = 0
        self._came = asyncio.Event()
        self._watch: asyncio.Task[State] | None = None
        self._meter: Meter | None = None
        self._answers = False  # whether a CRR test is running

    async def run(self) -> None:
        """Run the whole test.  Raises ProbeError if the client ends it early, is refused, or breaks the protocol."""
        control = self._control
        try:
            await control.send(State.PARAM_EXCHANGE)
            self._asked = asked = Parameters.from_wire(await control.block(self._limits.parameters_bytes))
            self._what = _what(asked)
            _check(asked, self._limits)
            if asked.version:
                await control.send(State.LOADGEN, {"version": __version__, UDP_COOKIES: True})
            self._watch = control.watch()
            await self._open_streams(asked)
            await self._measure(asked)
        except (RefusedError, OSError) as error:  # OSError: this machine lacks a descriptor, thread or socket option
            refusal = error if isinstance(error, RefusedError) else RefusedError(ServerFault.STREAM, error.errno or 0)
            control.last_words(State.SERVER_ERROR, ERROR.pack(refusal.fault, refusal.errno))
            raise refusal from error.__cause__
        except ProtocolError:
            control.last_words(State.SERVER_ERROR, ERROR.pack(ServerFault.PARAMETERS, 0))
            raise

    def offer(self, sock: socket.socket) -> bool:
        """Take over a connection with this test's cookie; False (and not taken) if the test expects none."""
        if self._answers:
            with contextlib.suppress(OSError):
                sock.send(ANSWER)
            sock.close()
            return True
        if len(self._waiting) >= self._wanted:
            return False
        self._waiting.append(sock)
        self._came.set()
        return True

    def terminate(self) -> None:
        """Tell the client that the server is stopping."""
        self._control.last_words(State.SERVER_TERMINATE)

    async def close(self) -> None:
        """End all threads and close all sockets."""
        self._answers = False
        self._wanted = 0
        await asyncio.gather(*(stream.close() for stream in self._streams))
        for sock in self._waiting[len(self._streams) :]:
            sock.close()
        await self._control.close()

    def served(self, ended: str) -> ServedTest:
        """Summary of the test after its end; `ended` says how it ended."""
        meter = self._meter
        measured = meter is not None and meter.is_over
        counts = meter.counts() if meter is not None and meter.is_over else ()
        sending = {stream.id for stream in self._streams if stream.sends}
        return ServedTest(
            client=self._client.host.removeprefix("::ffff:"),
            what=self._what,
            ended=ended,
            seconds=meter.wall_ns / NS_PER_S if meter is not None and measured else 0.0,
            sent_bytes=sum(count.bytes for count in counts if count.id in sending),
            received_bytes=sum(count.bytes for count in counts if count.id not in sending),
            cpu_seconds=meter.cpu_ns / NS_PER_S if meter is not None and measured else 0.0,
        )

    async def _open_streams(self, asked: Parameters) -> None:
        count = asked.parallel * (2 if asked.direction is Direction.BIDIR else 1)
        if asked.kind is Kind.CRR:
            self._answers = True
            await self._control.send(State.CREATE_STREAMS)
            return
        block = payload(0 if asked.direction is Direction.SEND else asked.block_bytes)
        patience_s = self._limits.patience_ns / NS_PER_S  # per stream, because clients open streams one by one
        if asked.transport is Transport.UDP:
            async with contextlib.AsyncExitStack() as turn:
                cookie = self._client.cookie if asked.udp_cookies else None
                my_turn = turn.enter_async_context(self._door.turn_of(self._client.host, cookie))
                mine = await self._unless_it_speaks(my_turn, None)
                await self._control.send(State.CREATE_STREAMS)
                for _ in range(count):
                    await self._unless_it_speaks(self._let_in(mine, patience_s * _CONTESTED_SHARE), patience_s)
        else:
            self._wanted = count
            await self._control.send(State.CREATE_STREAMS)
            while len(self._waiting) < count:
                self._came.clear()
                await self._unless_it_speaks(self._came.wait(), patience_s)
        for index, number in enumerate(stream_ids(count)):
            sock = self._waiting[index]
            tune(sock, asked)
            self._streams.append(self._stream(asked, index, number, sock, block))

    async def _let_in(self, turn: Turn, contested_s: float) -> None:
        self._waiting.append(await turn.stream(self._client.local, contested_s))

    async def _unless_it_speaks(self, what: Coroutine[Any, Any, T], patience_s: float | None) -> T:
        """The result of `what`, if it comes within `patience_s`.  A message of the client meanwhile ends the test."""
        assert self._watch is not None
        coming = asyncio.ensure_future(what)
        try:
            await asyncio.wait({coming, self._watch}, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                return coming.result()
            if self._watch.done():
                raise _break_off(self._watch.result())
            raise PeerSilentError("did not open its streams")
        finally:
            coming.cancel()

    def _stream(self, asked: Parameters, index: int, number: int, sock: socket.socket, block: memoryview) -> Stream:
        sends = asked.direction is not Direction.SEND and (
            asked.direction is Direction.RECEIVE or index >= asked.parallel
        )
        timed = bool(_limit(asked))
        burst, wide = asked.burst_blocks, asked.counters_64bit
        if asked.kind is Kind.RR:
            return Echo(number, sock)
        if asked.transport is Transport.UDP:
            if sends:
                return UdpSender(number, sock, block, rate_bps=asked.rate_bps, burst_blocks=burst, counters_64bit=wide)
            return UdpReceiver(number, sock, counters_64bit=wide, timed=timed)
        if sends:
            return TcpSender(number, sock, block, rate_bps=asked.rate_bps, burst_blocks=burst)
        return TcpReceiver(number, sock, eager=not (timed or asked.window_bytes), timed=timed)

    async def _measure(self, asked: Parameters) -> None:
        control = self._control
        senders = [stream for stream in self._streams if stream.sends]
        if asked.version and asked.transport is Transport.TCP and not asked.omit_ns:
            # In all other cases only the client decides when the limit is reached: datagrams may get lost, after a
            # warm-up both ends start to count at different bytes, and a stock client misses very early bytes.
            for stream, limit in zip(senders, share(_limit(asked), len(senders)), strict=True):
                stream.cell[LIMIT] = limit
        await control.send(State.TEST_START, State.TEST_RUNNING)
        began_ns = time.monotonic_ns()
        limited = bool(_limit(asked)) and not asked.omit_ns
        # CRR is answered by the loop's thread, which is not part of any stream.
        besides = time.thread_time_ns if asked.kind is Kind.CRR else no_cpu_ns
        self._meter = meter = Meter(self._streams, began_ns, limited=limited, besides=besides)
        for stream in self._streams:
            stream.start()
        if asked.omit_ns and not await self._ended_by(began_ns + asked.omit_ns, meter):
            meter.omit_until(time.monotonic_ns())
        longest_ns = self._limits.longest_ns
        if asked.duration_ns:
            longest_ns = min(longest_ns, asked.omit_ns + asked.duration_ns + self._limits.patience_ns)
        if not await self._ended_by(began_ns + longest_ns, meter):
            raise PeerSilentError("did not end its test in time")
        meter.end(time.monotonic_ns())
        state = await control.soon()
        if state is not State.TEST_END:
            raise _break_off(state)
        await asyncio.gather(*(stream.hang_up() for stream in senders))
        await self._exchange(asked, meter, drain=limited)

    async def _ended_by(self, end_ns: int, meter: Meter) -> bool:
        """Wait for a message of the client until `end_ns`; whether it came."""
        assert self._watch is not None
        while not self._watch.done() and (now_ns := time.monotonic_ns()) < end_ns:
            await asyncio.wait({self._watch}, timeout=min(_TICK_NS, end_ns - now_ns) / NS_PER_S)
            if not self._watch.done():
                meter.tick(time.monotonic_ns(), omitted=False)
        return self._watch.done()

    async def _exchange(self, asked: Parameters, meter: Meter, *, drain: bool) -> None:
        control = self._control
        await control.send(State.EXCHANGE_RESULTS)
        theirs = Results.from_wire(await control.block(self._limits.results_bytes))
        if drain:
            await self._drain(theirs)
            meter.end(time.monotonic_ns())
        counts: tuple[StreamCount, ...] = ()
        if asked.kind is Kind.STREAM:
            counts = meter.counts()
            if asked.transport is Transport.UDP:
                receivers = [stream for stream in self._streams if not stream.sends]
                counts = await settle(counts, receivers, theirs.streams)
        await control.send(self._results(asked, meter, counts).to_wire(), State.DISPLAY_RESULTS)
        state = await control.soon()
        if state is not State.IPERF_DONE:
            raise _break_off(state)

    async def _drain(self, theirs: Results) -> None:
        """Wait until receivers have all bytes that the client sent, or until no more bytes arrive."""
        sent = {count.id: count.bytes for count in theirs.streams}
        receivers = [stream for stream in self._streams if not stream.sends]
        before, quiet_ns = -1, 0
        while quiet_ns < _DRAIN_QUIET_NS and any(
            stream.read()[0] < sent.get(stream.id, 0) and not stream.ended for stream in receivers
        ):
            await asyncio.sleep(_DRAIN_STEP_NS / NS_PER_S)
            now = sum(stream.read()[0] for stream in receivers)
            quiet_ns = quiet_ns + _DRAIN_STEP_NS if now == before else 0
            before = now

    def _results(self, asked: Parameters, meter: Meter, counts: tuple[StreamCount, ...]) -> Results:
        sock = self._streams[0].sock if self._streams else self._control.sock
        buffers = granted(sock)
        user_share, system_share = meter.cpu_shares
        tcp = asked.transport is Transport.TCP
        return Results(
            cpu_share=user_share + system_share,
            cpu_user_share=user_share,
            cpu_system_share=system_share,
            has_retransmits=any(count.retransmits != UNKNOWN for count in counts),
            congestion=congestion_of(sock) if tcp else "",
            streams=counts,
            output=_output(asked, meter) if asked.wants_output else "",
            version=__version__,
            cpu_ns=meter.cpu_ns,
            busiest_ns=meter.busiest_ns,
            granted_send_bytes=buffers.send_bytes,
            granted_receive_bytes=buffers.receive_bytes,
        )


def _limit(asked: Parameters) -> int:
    return asked.limit_bytes or asked.limit_blocks * asked.block_bytes


def _check(asked: Parameters, limits: ServerLimits) -> None:
    """Raises RefusedError for a test beyond `limits` or beyond this machine."""
    streams = asked.parallel * (2 if asked.direction is Direction.BIDIR else 1)
    if streams > limits.streams:
        raise RefusedError(ServerFault.STREAMS)
    if asked.omit_ns + asked.duration_ns > limits.longest_ns:
        raise RefusedError(ServerFault.DURATION)
    datagram = MIN_UDP_BLOCK_BYTES <= asked.block_bytes <= MAX_UDP_BLOCK_BYTES
    if asked.transport is Transport.UDP and not datagram:
        raise RefusedError(ServerFault.UDP_BLOCK)
    if asked.transport is Transport.TCP:
        try:
            check_congestion(asked.congestion)
        except PlanError:
            raise RefusedError(ServerFault.CONGESTION) from None


def _break_off(state: State) -> ProbeError:
    if state is State.CLIENT_TERMINATE:
        return PeerGoneError("broke the test off")
    return ProtocolError(f"sent {state.name} at the wrong time")


def _what(asked: Parameters) -> str:
    if asked.kind is not Kind.STREAM:
        return f"{asked.kind.value.upper()}, {asked.parallel} at once"
    streams = "1 stream" if asked.parallel == 1 else f"{asked.parallel} streams"
    return f"{asked.transport.value.upper()}, {streams}, {asked.direction.value}"


def _output(asked: Parameters, meter: Meter) -> str:
    seconds = meter.wall_ns / NS_PER_S
    total = sum(count.bytes for count in meter.counts())
    mbit_per_s = total * 8 / seconds / 1e6 if seconds else 0.0
    return f"loadgen {__version__}: {_what(asked)}: {total} bytes in {seconds:.2f} s, {mbit_per_s:.1f} Mbit/s\n"
