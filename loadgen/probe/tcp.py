"""TCP streams: a sender, paced or at full speed, and a receiver."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection

from loadgen.model.units import NS_PER_S
from loadgen.probe.streams import BYTES, LAST, LIMIT, QUIET, QUIET_BYTES, STOP, Stream

BLOCK_BYTES = 1 << 20
"""Default size of a write: large, for few calls, but small enough for the CPU cache."""

RECEIVE_BYTES = 1 << 20
"""Largest size of a read."""

LOW_WATER_BYTES = 1 << 18
"""A fast receiver wakes up only for this much.  On veth and loopback, it saves a third of both ends' CPU time."""

_FAST_NS_PER_BYTE = 8  # 1 Gbit/s; at this rate the low-water mark takes 2 ms
_CALLS = 32  # number of calls between two measurements of the rate

_NAP_NS = NS_PER_S // 20  # longest sleep of a paced thread, so that it notices the end
_DEBT_NS = NS_PER_S  # a paced thread does not catch up on more than this
_PACED_BLOCKS_PER_S = 100
_SMALLEST_PACED_BLOCK_BYTES = 4 << 10


def block_bytes(parallel: int, rate_bps: int) -> int:
    """The default size of a write for `parallel` streams at `rate_bps` (0: not paced).

    Many streams share cache and memory, so their writes are smaller.  A paced stream writes about 100 times per second.
    """
    size = BLOCK_BYTES if parallel <= 8 else BLOCK_BYTES // 4 if parallel <= 64 else BLOCK_BYTES // 8
    if rate_bps:
        size = min(size, max(_SMALLEST_PACED_BLOCK_BYTES, rate_bps // 8 // _PACED_BLOCKS_PER_S))
    return size


def payload(size: int) -> memoryview:
    """`size` random bytes, which do not compress; all streams of a test send them repeatedly."""
    return memoryview(os.urandom(min(size, 1 << 16)) * -(-size // (1 << 16)))[:size]


class Pace:
    """Computes when the next block of a stream of `rate_bps` is due."""

    __slots__ = ("_due_ns", "_ns_per_byte")

    def __init__(self, rate_bps: int, now_ns: int) -> None:
        self._ns_per_byte = 8 * NS_PER_S / rate_bps
        self._due_ns = float(now_ns)

    def wait_ns(self, now_ns: int) -> int:
        """Time until the next block is due; 0 or less if it can be sent now."""
        self._due_ns = max(self._due_ns, now_ns - _DEBT_NS)
        return int(self._due_ns - now_ns)

    def sent(self, count: int) -> None:
        """Note that `count` bytes were sent."""
        self._due_ns += count * self._ns_per_byte


class TcpSender(Stream):
    """Writes `block` repeatedly: at full speed, or paced at `rate_bps` in bursts of `burst_blocks`."""

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        block: memoryview,
        *,
        rate_bps: int = 0,
        burst_blocks: int = 1,
        cores: Collection[int] = (),
    ) -> None:
        super().__init__(number, sock, sends=True, cores=cores)
        self._block = block
        self._rate_bps = rate_bps
        self._burst_blocks = max(1, burst_blocks)

    def work(self) -> None:
        """Send until told to stop, or until exactly `cell[LIMIT]` bytes are sent."""
        if self._rate_bps:
            self._paced()
        else:
            self._flood()
        self.cell[LAST] = time.monotonic_ns()

    def _flood(self) -> None:
        send, block, cell = self.sock.send, self._block, self.cell
        size, sent = len(block), 0
        while not cell[STOP]:
            rest = cell[LIMIT] - sent
            if rest < size:
                if rest <= 0:
                    return
                block = self._block[:rest]
            try:
                sent += send(block)
            except BlockingIOError:
                continue
            cell[BYTES] = sent

    def _paced(self) -> None:
        send, block, cell, now_ns = self.sock.send, self._block, self.cell, time.monotonic_ns
        pace, sent, burst = Pace(self._rate_bps, now_ns()), 0, 0
        rest = memoryview(b"")
        while not cell[STOP]:
            if not burst:
                wait_ns = pace.wait_ns(now_ns())
                if wait_ns > 0:
                    time.sleep(min(wait_ns, _NAP_NS) / NS_PER_S)
                    continue
                burst = self._burst_blocks
            if not rest:
                rest = block[: max(0, cell[LIMIT] - sent)]
                if not rest:
                    return
            try:
                done = send(rest)
            except BlockingIOError:
                continue
            pace.sent(done)
            sent += done
            cell[BYTES] = sent
            rest = rest[done:]
            if not rest:
                burst -= 1


class TcpReceiver(Stream):
    """Reads until the far end stops; the kernel drops the bytes instead of copying them (MSG_TRUNC).

    `eager`: whether a fast stream may use a low-water mark (SO_RCVLOWAT), for fewer wake-ups and less work of the
    sender; only for tests without a window and without a byte limit.  A slow stream does not use it: bytes that wait in
    the kernel would be missing at the end of the test.  `timed`: whether to record the time of each read.
    """

    def __init__(
        self, number: int, sock: socket.socket, *, eager: bool, timed: bool = False, cores: Collection[int] = ()
    ) -> None:
        super().__init__(number, sock, sends=False, cores=cores)
        self._eager = eager
        self._timed = timed

    def work(self) -> None:
        """Read until the end of the stream, also after the end of the test, so that the sender does not block."""
        receive, cell = self.sock.recv_into, self.cell
        buffer, flags = bytearray(RECEIVE_BYTES), socket.MSG_TRUNC  # never written to, so it uses no memory
        eager, timed, now_ns, some = self._eager, self._timed, time.monotonic_ns, range(_CALLS)
        received = low = 0
        while True:
            began_ns, before = now_ns(), received
            for _ in some:
                try:
                    got = receive(buffer, 0, flags)
                except BlockingIOError:
                    if cell[STOP]:
                        return
                    if not cell[QUIET] or received != cell[QUIET_BYTES]:
                        cell[QUIET_BYTES], cell[QUIET] = received, now_ns()
                    break
                if not got:
                    if not cell[STOP]:
                        self.broken = "it closed a data connection"
                    return
                received += got
                cell[BYTES] = received
                if timed:
                    cell[LAST] = now_ns()
                if got < low:  # the time-out came before the low-water mark
                    break
            if eager:
                is_fast = (received - before) * _FAST_NS_PER_BYTE > now_ns() - began_ns
                if is_fast != bool(low):
                    low = LOW_WATER_BYTES if is_fast else 0
                    self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low or 1)
