"""The client of one test: against a loadgen server, or a stock `iperf3 -s`."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from loadgen import __version__
from loadgen.measure.throughput import UNKNOWN, Granted, ProbeResult, StreamResult, Tick
from loadgen.model.errors import PlanError
from loadgen.model.probe import MIN_DURATION_NS, Direction, Kind, ProbeTest, Transport
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe.api import OnTick, ProbeError, Stop
from loadgen.probe.asking import parameters_of
from loadgen.probe.connect import Path, connect
from loadgen.probe.control import Control
from loadgen.probe.crr import Caller
from loadgen.probe.endings import ended_by, too_old_for_bidir
from loadgen.probe.iperf3 import (
    COOKIE_BYTES,
    UDP_COOKIES,
    ProtocolError,
    State,
    cookie_of,
    stream_ids,
)
from loadgen.probe.making import stream_of
from loadgen.probe.messages import Parameters, Results
from loadgen.probe.meter import Meter, share
from loadgen.probe.outcome import alone, pair_streams
from loadgen.probe.result import result_of, with_far_end
from loadgen.probe.rr import MEASURED, OVER, PHASE, Asker
from loadgen.probe.sockets import congestion_of, granted, segment_bytes
from loadgen.probe.strangers import first_state
from loadgen.probe.streams import BYTES, LIMIT, Stream
from loadgen.probe.tcp import TcpReceiver, payload
from loadgen.probe.udp import settle

_TICK_NS = NS_PER_S
_LOOK_NS = NS_PER_S // 4  # longest time until a broken stream is noticed
_LOOK_LIMITED_NS = 2 * NS_PER_MS  # the same for the end of a test with a byte limit
_RESULTS_BYTES = 1 << 22
_HURRY_NS = 2 * NS_PER_S  # for the exchange of results after the user stopped the test
_LAST_WORD_S = 0.2  # a server that ends a test closes its streams before it sends the reason


class Client:
    """One test.  Messages of its errors are sentences about the server without the subject."""

    def __init__(self, test: ProbeTest, on_tick: OnTick, patience_ns: int, stop: Stop, token: str) -> None:
        self._stop = stop
        self._meter: Meter | None = None
        self._test, self._token = test, token
        self._on_tick, self._patience_ns = on_tick, patience_ns
        self._path: Path
        self._control: Control | None = None
        self._watch: asyncio.Task[State] | None = None
        self._cookie = cookie_of(os.urandom(COOKIE_BYTES))
        self._streams: list[Stream] = []
        self._askers: list[Asker] = []
        self._peer = ""
        self._greeting_end = b""
        self._ticks: list[Tick] = []
        self._finished = False

    async def run(self, host: str, port: int) -> ProbeResult:
        """Run the whole test: connect, measure, exchange results.  Raises ProbeError or PlanError."""
        test, patience_ns = self._test, self._test.connect_timeout_ns or self._patience_ns
        self._path, sock = await connect(host, port, patience_ns, ip_version=test.ip_version, bind=test.bind)
        self._control = control = Control(sock, self._patience_ns)
        await self._judge(await first_state(control, self._cookie), (State.PARAM_EXCHANGE,))
        asked = parameters_of(self._test, segment_bytes(sock))
        await control.send(
            asked.to_wire(f"loadgen {__version__}") | ({"authtoken": self._token} if self._token else {})
        )
        await self._meet(control)
        if not self._peer:
            asked = replace(asked, omit_ns=math.ceil(asked.omit_ns / NS_PER_S) * NS_PER_S)
        await self._open_streams(control, asked)
        await self._expect(control, State.TEST_START)
        await self._expect(control, State.TEST_RUNNING)
        return await self._measure(control, asked)

    async def close(self) -> None:
        """Close all sockets and end all threads; tell the server if the test ended early."""
        if self._control is not None and not self._finished:
            self._control.last_words(State.CLIENT_TERMINATE)
        try:
            await asyncio.gather(*(stream.close() for stream in self._streams))
        finally:
            if self._control is not None:
                await self._control.close()

    async def _meet(self, control: Control) -> None:
        """Find out whether the server is loadgen or a stock iperf3, and wait until it accepts streams."""
        state = await self._expect(control, State.LOADGEN, State.CREATE_STREAMS)
        if state is State.LOADGEN:
            server = await control.block(_RESULTS_BYTES)
            self._peer = Results.from_wire({"loadgen": server}).version
            self._greeting_end = self._cookie if server.get(UDP_COOKIES) is True else b""
            await self._expect(control, State.CREATE_STREAMS)
        elif self._test.kind is not Kind.STREAM:
            raise ProbeError(
                "is a stock iperf3, which has no request/response test", hint="run `loadgen iperf --server` there"
            )

    async def _open_streams(self, control: Control, asked: Parameters) -> None:
        test, path = self._test, self._path
        if test.kind is Kind.CRR:
            self._askers = [Caller(0, path.address, path.family, self._cookie, test.parallel, test.cores)]
        elif test.kind is Kind.RR:
            for index in range(test.parallel):
                sock = await path.tcp(asked, self._cookie, self._patience_ns)
                self._askers.append(Asker(index, sock, test.cores))
                self._streams = [*self._askers]
        else:
            block = payload(asked.block_bytes)
            count = test.parallel * (2 if test.direction is Direction.BIDIR else 1)
            watch = control.watch()
            for index, number in enumerate(stream_ids(count)):
                if watch.done():
                    await self._hear_early(watch, index)
                sends = test.direction is not Direction.RECEIVE and index < test.parallel
                try:
                    sock = await self._socket(asked, index, watch)
                except ProbeError:
                    if watch.done():
                        await self._hear_early(watch, index)
                    raise
                self._streams.append(stream_of(test, asked, number, sock, block, sends=sends))
        self._streams = [*self._askers] or self._streams

    async def _hear_early(self, control: asyncio.Task[State], streams: int) -> None:
        """Judge the message that came when only `streams` of the streams were open.  Raises ProbeError."""
        state = control.result()
        if state is State.TEST_START:
            self._check_age(streams)
        else:
            await self._judge(state, ())

    def _check_age(self, streams: int) -> None:
        """Raise ProbeError if the server takes only `streams` streams because it does not know --bidir."""
        if self._test.direction is Direction.BIDIR and not self._peer and streams == self._test.parallel:
            self._meter = None  # half of a test is no result
            raise too_old_for_bidir()

    async def _socket(self, asked: Parameters, index: int, control: asyncio.Task[State]) -> socket.socket:
        test = self._test
        port = test.client_port + index if test.client_port else 0
        if test.transport is Transport.UDP:
            return await self._path.udp(asked, self._greeting_end, self._patience_ns, control, port)
        return await self._path.tcp(asked, self._cookie, test.connect_timeout_ns or self._patience_ns, port)

    async def _measure(self, control: Control, asked: Parameters) -> ProbeResult:
        self._watch = control.watch()
        began_ns = time.monotonic_ns()
        limited = bool(self._test.limit_bytes)
        meter = Meter(self._streams, began_ns, limited=limited, besides=time.thread_time_ns)
        if not asked.omit_ns:
            self._begin_to_count(meter)
        try:
            for stream in self._streams:
                stream.start()
        except OSError as error:
            raise PlanError(
                f"this machine cannot run {len(self._streams)} streams: {error.strerror}",
                hint="use fewer parallel streams",
            ) from error
        if asked.omit_ns:
            await self._until(began_ns + asked.omit_ns, meter, omitted=True)
            meter.omit_until(time.monotonic_ns())
            self._begin_to_count(meter)
        await self._until(began_ns + asked.omit_ns + self._test.duration_ns, meter, omitted=False)
        meter.end(time.monotonic_ns())
        if self._stop.asked.is_set():
            control.hurry(_HURRY_NS)
        for asker in self._askers:
            asker.cell[PHASE] = OVER
        for stream in self._streams:
            if stream.sends or self._test.transport is Transport.TCP:
                # A TCP receiver continues until the server stops, which could otherwise block in a write.  Receivers of
                # datagrams are closed with the test: stragglers are not lost.
                stream.stop()
        return await self._exchange(control, asked, meter)

    def _begin_to_count(self, meter: Meter) -> None:
        self._meter, self._stop.is_heeded = meter, True
        for asker in self._askers:
            asker.cell[PHASE] = MEASURED
        senders = [stream for stream in self._streams if stream.sends and not self._askers]
        for stream, limit in zip(senders, share(self._test.limit_bytes, len(senders)), strict=True):
            stream.cell[LIMIT] = stream.cell[BYTES] + limit

    async def _until(self, end_ns: int, meter: Meter, *, omitted: bool) -> None:
        """Tick every second until `end_ns` or the byte limit.  Raises ProbeError if the server or a stream fails."""
        limited = bool(self._test.limit_bytes) and not omitted
        assert self._watch is not None
        stop = asyncio.ensure_future(self._stop.asked.wait())
        try:
            await self._tick_until(end_ns, meter, {self._watch, stop}, omitted=omitted, limited=limited)
        finally:
            stop.cancel()

    async def _tick_until(
        self, end_ns: int, meter: Meter, signs: set[asyncio.Future[Any]], *, omitted: bool, limited: bool
    ) -> None:
        tick_ns = time.monotonic_ns() + _TICK_NS
        while (now_ns := time.monotonic_ns()) < end_ns and not (limited and self._limit_reached(meter)):
            if self._stop.asked.is_set():
                break
            if now_ns >= tick_ns:
                self._tick(meter.tick(now_ns, omitted=omitted))
                tick_ns += _TICK_NS * (1 + (now_ns - tick_ns) // _TICK_NS)
                continue
            look_ns = now_ns + (_LOOK_LIMITED_NS if limited else _LOOK_NS)
            wait_s = (min(end_ns, tick_ns, look_ns) - now_ns) / NS_PER_S
            await asyncio.wait(signs, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            await self._check_all_is_well(meter)
        await self._check_all_is_well(meter)  # a sender that failed counts as ended
        self._tick(meter.tick(time.monotonic_ns(), omitted=omitted))

    def _limit_reached(self, meter: Meter) -> bool:
        sent_enough = all(stream.ended for stream in self._streams if stream.sends)
        _, received = meter.progress()
        receives = any(not stream.sends for stream in self._streams)
        return sent_enough and (not receives or received >= self._test.limit_bytes)

    def _tick(self, tick: Tick) -> None:
        if self._askers:
            tick = replace(tick, received_bytes=tick.sent_bytes)
        self._ticks.append(tick)
        self._on_tick(tick)

    async def _check_all_is_well(self, meter: Meter) -> None:
        assert self._watch is not None
        broken = next((stream.broken for stream in self._streams if stream.broken), "")
        if broken or self._watch.done():
            meter.end(time.monotonic_ns())  # nothing arrives any more
        if broken and not self._watch.done():
            await asyncio.wait({self._watch}, timeout=_LAST_WORD_S)
        if self._watch.done():
            await self._judge(self._watch.result(), ())
        if broken:
            if all(stream.cell[BYTES] <= 1 for stream in self._streams if not stream.sends):  # ACCESS_DENIED at most
                self._check_age(self._test.parallel)
            raise ProbeError(f"broke the test off in the middle: {broken}")

    async def _exchange(self, control: Control, asked: Parameters, meter: Meter) -> ProbeResult:
        # A transaction that is under way may still be answered.
        await asyncio.gather(*(asker.hang_up() for asker in self._askers))
        await control.send(State.TEST_END)
        await self._judge(await control.soon(), (State.EXCHANGE_RESULTS,))
        congestion = congestion_of(self._streams[0].sock) if self._test.transport is Transport.TCP else ""
        local_granted = granted(self._streams[0].sock)
        # The histograms may be read only after their threads have ended.
        if self._askers:
            await asyncio.gather(*(asker.close() for asker in self._askers))
        user_share, system_share = meter.cpu_shares
        counts = () if self._askers else meter.counts()
        mine = Results(
            cpu_share=user_share + system_share,
            cpu_user_share=user_share,
            cpu_system_share=system_share,
            has_retransmits=any(count.retransmits != UNKNOWN for count in counts),
            congestion=congestion,
            streams=counts,
            version=__version__,
            cpu_ns=meter.cpu_ns,
            busiest_ns=meter.busiest_ns,
            granted_send_bytes=local_granted.send_bytes,
            granted_receive_bytes=local_granted.receive_bytes,
        )
        await control.send(mine.to_wire())
        theirs = Results.from_wire(await control.block(_RESULTS_BYTES))
        await self._expect(control, State.DISPLAY_RESULTS)
        await control.send(State.IPERF_DONE)
        self._finished = True
        if self._test.transport is Transport.UDP:
            receivers = [stream for stream in self._streams if not stream.sends]
            counts = await settle(counts, receivers, theirs.streams)
        sending = {stream.id for stream in self._streams if stream.sends}
        limited = bool(self._test.limit_bytes)
        streams = pair_streams(
            counts,
            theirs,
            sending=sending,
            transport=self._test.transport,
            limited=limited,
            block_bytes=asked.block_bytes,
        )
        return replace(
            with_far_end(self._result(meter, streams, local_granted, congestion), theirs),
            cut="it was interrupted" if self._stop.asked.is_set() else "",
        )

    def _result(
        self, meter: Meter, streams: tuple[StreamResult, ...], local_granted: Granted, congestion: str
    ) -> ProbeResult:
        """The result as far as this end knows it.  Threads of askers must have ended."""
        return result_of(
            self._test,
            meter,
            streams,
            peer=f"loadgen {self._peer}" if self._peer else "",
            local_granted=local_granted,
            congestion=congestion,
            discarded=any(isinstance(stream, TcpReceiver) for stream in self._streams),
            ticks=tuple(self._ticks),
            askers=self._askers,
        )

    async def known_alone(self, cut: str) -> ProbeResult | None:
        """What this end knows of a test that failed because of `cut`; None if it is too little to judge."""
        meter, test = self._meter, self._test
        if meter is None or not self._streams:
            return None
        now_ns = time.monotonic_ns()
        if not meter.is_over:
            meter.end(now_ns)
        if meter.wall_ns < MIN_DURATION_NS:
            return None
        sock = self._streams[0].sock
        local_granted = granted(sock)
        congestion = congestion_of(sock) if test.transport is Transport.TCP else ""
        await asyncio.gather(*(asker.close() for asker in self._askers))
        sending = {stream.id for stream in self._streams if stream.sends}
        streams = () if self._askers else alone(meter.counts(), sending=sending, transport=test.transport)
        if not streams and not self._askers:
            return None
        return replace(self._result(meter, streams, local_granted, congestion), cut=cut)

    async def _expect(self, control: Control, *wanted: State) -> State:
        return await self._judge(await control.soon(), wanted)

    async def _judge(self, state: State, wanted: Sequence[State]) -> State:
        if state in wanted:
            return state
        assert self._control is not None
        if (error := await ended_by(state, self._control, self._test)) is not None:
            self._finished = True
            raise error
        due = " or ".join(one.name for one in wanted) or "nothing"
        raise ProtocolError(f"broke the protocol: it sent {state.name} instead of {due}")
