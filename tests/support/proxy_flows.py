"""Helpers for tests of a proxy's flows: sending, waiting for counters, and blocking a flow."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.probe import Mode
from tests.support.proxies import (
    PATIENCE_S,
    Proxy,
    stream,
)
from tests.support.vms import within

MODES = pytest.mark.parametrize("mode", [Mode.SPLICE, Mode.COPY], ids=lambda mode: mode.value)
BULK = 6 << 20
"""Enough bytes to block a flow more than once while the other end reads."""

WINDOW_BYTES = 128 << 10
"""A small window that holds two segments of the loopback interface: with one, each write waits for a delayed ACK."""


def port_of(sock: socket.socket) -> int:
    """Return the port that a socket is bound to."""
    port: int = sock.getsockname()[1]
    return port


def settled(proxy: Proxy, **expected: int) -> ProxyCounters:
    """Wait until the counters have the expected values; returns all counters."""

    def is_so() -> bool:
        counters = proxy.counters
        return all(getattr(counters, name) == value for name, value in expected.items())

    assert within(PATIENCE_S, is_so), (expected, proxy.counters)
    return proxy.counters


def in_thread(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    """Start `work` in a thread; the caller joins it."""
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    return thread


def send(sock: socket.socket, size_bytes: int, offset: int = 0, block_bytes: int = 1 << 18) -> None:
    """Send `size_bytes` of the test stream from `offset` on, in blocks."""
    end = offset + size_bytes
    while offset < end:
        offset += sock.send(stream(offset, min(block_bytes, end - offset)))


def hold_back(proxy: Proxy, server: socket.socket) -> int:
    """Send from the upstream until the proxy holds bytes it cannot pass on; returns how many bytes were sent."""
    end = proxy.connection().ends[1]
    sent = 0
    while not end.held_bytes:
        sent += server.send(stream(sent, 4096))
        deadline = time.monotonic() + PATIENCE_S
        while end.read_bytes < sent and not end.held_bytes:
            assert time.monotonic() < deadline
            time.sleep(0.0001)
    assert within(PATIENCE_S, lambda: end.mask == 0)
    return sent


def count_turns(proxy: Proxy) -> Iterator[int]:
    """Count the turns of the proxy's loop from now on; each next() gives the number so far."""
    turn, turns = proxy.loop._turn, itertools.count()

    def counted() -> None:
        next(turns)
        turn()

    proxy.loop._turn = counted  # type: ignore[method-assign]
    return turns


@contextlib.contextmanager
def no_descriptors() -> Iterator[list[int]]:
    """Inside the context, this process can open no descriptor; closing one of the yielded ones frees one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))  # noqa: PTH208
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield taken
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in taken:
            os.close(each)
