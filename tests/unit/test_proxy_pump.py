"""The pumps alone, on pairs of sockets: no call waits, and no byte is left for the next flow."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from loadgen.proxy.pump import BULK_READS, CopyPump, End, Pump, SplicePump
from tests.support.proxies import PATIENCE_S, is_stream, read_exactly, stream

DATA_BYTES = 150_000


@dataclass
class Flow:
    """A flow from `source` to `sink`, through `end`, whose peer accepts little at once."""

    pump: Pump
    source: socket.socket
    end: End
    sink: socket.socket


@pytest.fixture(params=[SplicePump, CopyPump], ids=["splice", "copy"])
def flow(request: pytest.FixtureRequest) -> Iterator[Flow]:
    pump: Pump = request.param()
    source, inner = socket.socketpair()
    outer, sink = socket.socketpair()
    outer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 10)
    ends = (End(inner, 0, pump.move, blocking=True), End(outer, 1, pump.move, blocking=True))
    ends[0].peer, ends[1].peer = ends[1], ends[0]
    ends[0].streak = 1  # no longer a small flow
    for each in (source, sink):
        each.settimeout(PATIENCE_S)
    try:
        yield Flow(pump, source, ends[0], sink)
    finally:
        pump.close()
        for sock in (source, inner, outer, sink):
            sock.close()


def promptly(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "it waits"


def test_bytes_that_the_peer_does_not_accept_are_held_and_written_later(flow: Flow) -> None:
    flow.source.sendall(stream(0, DATA_BYTES))
    promptly(lambda: flow.end.move(flow.end))
    assert flow.end.read_bytes == DATA_BYTES
    assert 0 < flow.end.held_bytes < DATA_BYTES
    stash = flow.end.stash
    assert stash is not None
    received = b""
    while flow.end.held_bytes:
        for _ in range(2):  # the first time there is room, the second time there is none
            flow.end.peer.harvest()  # as if this direction had become a bulk flow
            promptly(lambda: stash.write(flow.end))
        received += read_exactly(flow.sink, DATA_BYTES - flow.end.held_bytes - len(received))
    received += read_exactly(flow.sink, DATA_BYTES - len(received))
    assert is_stream(0, received)


def test_a_held_flow_keeps_its_bytes_while_another_continues(flow: Flow) -> None:
    flow.source.sendall(stream(0, DATA_BYTES))
    flow.end.move(flow.end)
    first = flow.end.stash
    assert first is not None
    held_bytes = flow.end.held_bytes
    received = read_exactly(flow.sink, DATA_BYTES - held_bytes)
    flow.end.stash, flow.end.held_bytes, offset = None, 0, flow.end.offset
    flow.source.sendall(b"another" * 3000)  # less than the peer accepts at once
    flow.end.move(flow.end)
    assert not flow.end.held_bytes
    assert read_exactly(flow.sink, 21_000) == b"another" * 3000
    flow.end.stash, flow.end.held_bytes, flow.end.offset = first, held_bytes, offset
    while flow.end.held_bytes:
        first.write(flow.end)
        received += read_exactly(flow.sink, DATA_BYTES - flow.end.held_bytes - len(received))
    assert is_stream(0, received)


def test_the_next_flow_gets_no_bytes_of_a_broken_one(flow: Flow) -> None:
    flow.source.sendall(b"not for others" * 2000)
    flow.end.peer.sock.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenPipeError):
        flow.end.move(flow.end)
    assert flow.end.read_bytes == flow.end.held_bytes == 0
    fresh, far = socket.socketpair()
    with fresh, far:
        flow.end.peer.sock, old = fresh, flow.end.peer.sock
        flow.end.peer.fd = fresh.fileno()
        flow.source.sendall(stream(0, 20_000))
        flow.end.move(flow.end)
        assert is_stream(0, read_exactly(far, 20_000))
        old.close()


def test_a_bulk_flow_is_read_in_blocking_mode_without_long_waits(flow: Flow) -> None:
    for _ in range(BULK_READS + 2):
        flow.source.sendall(stream(0, 20_000))
        assert flow.end.move(flow.end) == 20_000
        assert is_stream(0, read_exactly(flow.sink, 20_000))
    assert flow.end.streak == BULK_READS
    assert os.get_blocking(flow.end.fd)
    flow.end.unblock()
    assert not os.get_blocking(flow.end.fd)
    flow.end.harvest()
    assert os.get_blocking(flow.end.fd)
    raised: list[BaseException] = []

    def read_nothing() -> None:
        try:
            flow.end.move(flow.end)
        except BlockingIOError as error:
            raised.append(error)

    promptly(read_nothing)
    assert raised


def test_the_end_of_a_stream_is_zero_bytes(flow: Flow) -> None:
    flow.source.shutdown(socket.SHUT_WR)
    assert flow.end.move(flow.end) == 0
    assert flow.end.stash is None
