"""UDP streams: a paced sender, and a receiver that counts loss, reordering and jitter."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Collection, Sequence

from loadgen.model.probe import MIN_UDP_BLOCK_BYTES
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe.datagrams import Arrivals, header_of, stamp
from loadgen.probe.iperf3 import GREETING_SIZES, UDP_CONNECTS
from loadgen.probe.messages import StreamCount
from loadgen.probe.outcome import by_sender
from loadgen.probe.sockets import dropped
from loadgen.probe.streams import BYTES, LAST, LIMIT, STOP, Stream
from loadgen.probe.tcp import Pace

LARGEST_DEFAULT_BYTES = 32 << 10  # over loopback the MSS is 64 KB; iperf3 has the same limit

_SETTLE_STEP_NS = 5 * NS_PER_MS
_SETTLE_QUIET_NS = 200 * NS_PER_MS  # without a new datagram for this time, missing datagrams are lost

_HIGHEST_PER_S = 4e6  # datagrams that no thread sends per second
_MOST_IN_32BIT = 1 << 31  # iperf3's own counters are signed

_NAP_NS = NS_PER_S // 20
_BUFFER_BYTES = 1 << 16  # the largest datagram

# Errors that concern one datagram, not the stream: no listener (yet), or a full queue.
_PASSING = frozenset({errno.ECONNREFUSED, errno.ENOBUFS, errno.EAGAIN})


def needs_64bit(rate_bps: int, block_bytes: int, test_ns: int) -> bool:
    """Whether a stream may send more datagrams in `test_ns` than every iperf3 counts with numbers of 32 bits.

    Numbers of 64 bits are the exception, because iperf3 3.0 does not know them, and would count no datagram at all.
    """
    per_s = rate_bps / (8 * block_bytes) if rate_bps else _HIGHEST_PER_S
    return per_s * test_ns / NS_PER_S >= _MOST_IN_32BIT


class UdpSender(Stream):
    """Sends datagrams of the payload's size, paced at `rate_bps` (0: at full speed) in bursts of `burst_blocks`."""

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        payload: memoryview,
        *,
        rate_bps: int,
        burst_blocks: int = 1,
        counters_64bit: bool = False,
        cores: Collection[int] = (),
    ) -> None:
        super().__init__(number, sock, sends=True, cores=cores)
        self._datagram = bytearray(payload)
        self._rate_bps = rate_bps
        self._burst_blocks = max(1, burst_blocks)
        self._header = header_of(counters_64bit=counters_64bit)

    def work(self) -> None:
        """Send until told to stop, or until `cell[LIMIT]` bytes are sent (except a rest too small for a header)."""
        send, datagram, cell, now_ns = self.sock.send, memoryview(self._datagram), self.cell, time.monotonic_ns
        pack, size = self._header.pack_into, len(datagram)
        wrap = 1 << (32 if self._header.size == 12 else 64)
        pace = Pace(self._rate_bps, now_ns()) if self._rate_bps else None
        since_1970_ns = time.time_ns() - now_ns()  # once, so that a step of the clock is no jitter
        sent = number = burst = 0
        while not cell[STOP]:
            if pace is not None and not burst:
                wait_ns = pace.wait_ns(now_ns())
                if wait_ns > 0:
                    time.sleep(min(wait_ns, _NAP_NS) / NS_PER_S)
                    continue
                burst = self._burst_blocks
            rest = cell[LIMIT] - sent
            if rest < size:
                if rest < MIN_UDP_BLOCK_BYTES:
                    break
                datagram = datagram[:rest]
            pack(datagram, 0, *stamp(now_ns() + since_1970_ns), (number + 1) % wrap)
            try:
                done = send(datagram)
            except OSError as error:
                if error.errno not in _PASSING:
                    raise
                continue
            number += 1
            sent += done
            cell[BYTES] = sent
            if pace is not None:
                pace.sent(done)
                burst -= 1
        cell[LAST] = now_ns()

    def read(self) -> tuple[int, int, int, int, int]:
        """Counts so far: bytes, datagrams, 0, 0, 0."""
        sent = self.cell[BYTES]
        return sent, -(-sent // len(self._datagram)), 0, 0, 0


class UdpReceiver(Stream):
    """Receives datagrams until it is stopped; `timed`: whether to record the time of each datagram."""

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        *,
        counters_64bit: bool = False,
        timed: bool = False,
        cores: Collection[int] = (),
    ) -> None:
        super().__init__(number, sock, sends=False, cores=cores)
        self._header = header_of(counters_64bit=counters_64bit)
        self._timed = timed
        self._arrivals = Arrivals(counters_64bit=counters_64bit)
        self._seen = (0, 0, 0, 0, 0)

    def work(self) -> None:
        """Receive and count datagrams until told to stop."""
        receive, unpack, take = self.sock.recv_into, self._header.unpack_from, self._arrivals.take
        buffer, cell, now_ns, arrivals = bytearray(_BUFFER_BYTES), self.cell, time.monotonic_ns, self._arrivals
        received = 0
        while not cell[STOP]:
            try:
                got = receive(buffer)
            except OSError as error:
                if error.errno not in _PASSING:
                    raise
                continue
            if got in GREETING_SIZES and bytes(buffer[:4]) in UDP_CONNECTS:  # a repeated greeting
                continue
            if got < MIN_UDP_BLOCK_BYTES:
                continue
            at_ns = now_ns()
            seconds, microseconds, number = unpack(buffer)
            if take(seconds, microseconds, number, at_ns):
                received += got
            self._seen = (received, arrivals.packets, arrivals.lost, arrivals.out_of_order, arrivals.duplicates)
            if self._timed:
                cell[LAST] = at_ns

    def read(self) -> tuple[int, int, int, int, int]:
        """Counts so far, all from the same moment; bytes of duplicates are not counted."""
        return self._seen

    def dropped(self) -> int:
        """Datagrams that the kernel dropped because this thread was too slow."""
        return dropped(self.sock)

    def jitter_ns(self) -> int:
        """The current jitter, RFC 3550, section 6.4.1."""
        return round(self._arrivals.jitter_ns)


async def settle(
    counts: Sequence[StreamCount], receivers: Sequence[Stream], theirs: Sequence[StreamCount]
) -> tuple[StreamCount, ...]:
    """`counts`, where those of `receivers` go by what their senders sent, after waiting for datagrams on their way.

    `theirs`: the far end's counts.  The receivers must still be running.
    """
    sent = {count.id: count for count in theirs}
    waiting = {stream.id: stream for stream in receivers if stream.id in sent}
    before, quiet_ns = -1, 0
    while quiet_ns < _SETTLE_QUIET_NS and any(
        stream.read()[1] < sent[number].packets + sent[number].omitted_packets for number, stream in waiting.items()
    ):
        await asyncio.sleep(_SETTLE_STEP_NS / NS_PER_S)
        now = sum(stream.read()[1] for stream in waiting.values())
        quiet_ns = quiet_ns + _SETTLE_STEP_NS if now == before else 0
        before = now
    return tuple(
        by_sender(count, sent[count.id], waiting[count.id].read()[1]) if count.id in waiting else count
        for count in counts
    )
