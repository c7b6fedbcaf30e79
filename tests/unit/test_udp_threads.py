"""The threads of UDP streams, on sockets that are lists: what is in a datagram, and what is none of the test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from loadgen.probe.datagrams import header_of, stamp
from loadgen.probe.iperf3 import COOKIE_BYTES, UDP_CONNECT, UDP_CONNECT_LEGACY
from loadgen.probe.streams import LIMIT, STOP
from loadgen.probe.udp import UdpReceiver, UdpSender

T = TypeVar("T")
HEADER = header_of(counters_64bit=False)
DAY_S = 86_400


def in_loop(work: Callable[[], T]) -> T:
    async def inside() -> T:
        return work()

    return asyncio.run(inside())


class Sending:
    """A socket that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: memoryview) -> int:
        self.sent.append(bytes(data))
        return len(data)


class Receiving:
    """A socket at which these datagrams have arrived; `after` is called when all were read."""

    def __init__(self, datagrams: list[bytes]) -> None:
        self.datagrams = list(datagrams)
        self.after: Callable[[], None] = lambda: None

    def recv_into(self, buffer: bytearray) -> int:
        data = self.datagrams.pop(0)
        buffer[: len(data)] = data
        if not self.datagrams:
            self.after()
        return len(data)


def test_datagrams_carry_the_time_of_day() -> None:
    """iperf3 before 3.7 compares it with its own: a time since the start of the machine was a jitter of days."""
    sock: Any = Sending()

    def work() -> None:
        sender = UdpSender(1, sock, memoryview(bytes(100)), rate_bps=0)
        sender.cell[LIMIT] = 300
        sender.work()

    in_loop(work)
    found = [HEADER.unpack_from(one) for one in sock.sent]
    assert [number for _, _, number in found] == [1, 2, 3]
    assert all(abs(seconds - time.time()) < DAY_S and micros < 1_000_000 for seconds, micros, _ in found)


def datagram(number: int) -> bytes:
    return HEADER.pack(*stamp(time.time_ns()), number) + bytes(88)


@pytest.mark.parametrize(
    "other",
    [
        UDP_CONNECT,
        UDP_CONNECT + b"c" * COOKIE_BYTES,
        UDP_CONNECT_LEGACY + b"c" * COOKIE_BYTES,
        UDP_CONNECT[::-1] + b"c" * COOKIE_BYTES,
        b"",
        b"short",
    ],
    ids=repr,
)
def test_a_greeting_that_comes_again_is_in_no_count(other: bytes) -> None:
    sock: Any = Receiving([other, datagram(1), other, datagram(2), datagram(4), other])

    def work() -> tuple[int, ...]:
        receiver = UdpReceiver(1, sock)
        sock.after = lambda: receiver.cell.__setitem__(STOP, 1)
        receiver.work()
        return receiver.read()

    assert in_loop(work) == (300, 4, 1, 0, 0)
