"""Streams of bytes over TCP: one loop that sends, one that receives."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection

from loadgen.model.units import NS_PER_S
from loadgen.probe.streams import BYTES, LAST, LIMIT, STOP, Stream

BLOCK_BYTES = 1 << 20
"""Of a write when nothing is asked: the fewest calls that still stay in the cache (network.md has the figures)."""

RECEIVE_BYTES = 1 << 20
"""Of a read at most."""

LOW_WATER_BYTES = 1 << 18
"""A fast receiver is woken up for so much.  On veth and loopback it takes a third off the CPU time of both ends."""

_FAST_NS_PER_BYTE = 8  # 1 Gbit/s: there the low water is 2 ms
_CALLS = 32  # between two looks at the rate

_NAP_NS = NS_PER_S // 20  # a paced thread wakes at least so often, to notice the end
_DEBT_NS = NS_PER_S  # what a paced thread is behind by more than this it need not catch up with
_PACED_BLOCKS_PER_S = 100
_SMALLEST_PACED_BLOCK_BYTES = 4 << 10


def block_bytes(parallel: int, rate_bps: int) -> int:
    """What one write should be when nobody asked for a size.

    Many streams share the cache and the memory; a paced one writes some hundred times a second.
    """
    size = BLOCK_BYTES if parallel <= 8 else BLOCK_BYTES // 4 if parallel <= 64 else BLOCK_BYTES // 8
    if rate_bps:
        size = min(size, max(_SMALLEST_PACED_BLOCK_BYTES, rate_bps // 8 // _PACED_BLOCKS_PER_S))
    return size


def payload(size: int) -> memoryview:
    """`size` bytes that do not compress, to be sent again and again by all streams of a test."""
    return memoryview(os.urandom(min(size, 1 << 16)) * -(-size // (1 << 16)))[:size]


class Pace:
    """When the next block of a stream of `rate_bps` is due."""

    __slots__ = ("_due_ns", "_ns_per_byte")

    def __init__(self, rate_bps: int, now_ns: int) -> None:
        self._ns_per_byte = 8 * NS_PER_S / rate_bps
        self._due_ns = float(now_ns)

    def wait_ns(self, now_ns: int) -> int:
        """How long to wait; 0 or less when the next block may go."""
        self._due_ns = max(self._due_ns, now_ns - _DEBT_NS)
        return int(self._due_ns - now_ns)

    def sent(self, count: int) -> None:
        """So many bytes have gone."""
        self._due_ns += count * self._ns_per_byte


class TcpSender(Stream):
    """Writes `block` again and again: as fast as it goes, or paced."""

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
        """Until told to stop, or until exactly `cell[LIMIT]` bytes are sent."""
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
    """Reads until the other end stops, and lets the kernel drop the bytes instead of copying them out (MSG_TRUNC).

    `eager` streams (no window was asked, no number of bytes ends the test) that are fast are woken up only for
    a good piece (SO_RCVLOWAT): fewer wake-ups, less of the sender's time spent on them.  A slow stream is not, or what
    waits in the kernel would be missing at the test's end.
    """

    def __init__(
        self, number: int, sock: socket.socket, *, eager: bool, timed: bool = False, cores: Collection[int] = ()
    ) -> None:
        super().__init__(number, sock, sends=False, cores=cores)
        self._eager = eager
        self._timed = timed

    def work(self) -> None:
        """Until the end of the stream.  It goes on after the test's end, so that the sender is not blocked."""
        receive, cell = self.sock.recv_into, self.cell
        buffer, flags = bytearray(RECEIVE_BYTES), socket.MSG_TRUNC  # never written to, so never really there
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
                    break
                if not got:
                    if not cell[STOP]:
                        self.broken = "it closed a data connection"
                    return
                received += got
                cell[BYTES] = received
                if timed:
                    cell[LAST] = now_ns()
                if got < low:  # its time was over before there was enough
                    break
            if eager:
                is_fast = (received - before) * _FAST_NS_PER_BYTE > now_ns() - began_ns
                if is_fast != bool(low):
                    low = LOW_WATER_BYTES if is_fast else 0
                    self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low or 1)
