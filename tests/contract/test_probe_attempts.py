"""A server that listens anew in the moment of a connection, as a stock iperf3 does between two tests."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from loadgen.measure.throughput import ProbeResult
from loadgen.probe import attempts
from loadgen.probe.api import NotListeningError
from loadgen.probe.client import Client
from tests.support.probes import HOST, Served, probe, run, serving, short


async def accepted(listener: socket.socket) -> socket.socket:
    sock, _ = await asyncio.get_running_loop().sock_accept(listener)
    return sock


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def close(sock: socket.socket) -> None:
    sock.close()


Ending = Callable[[socket.socket], None]
ENDINGS = pytest.mark.parametrize("end", [reset, close], ids=lambda end: str(end.__name__))


@pytest.fixture
def listener() -> socket.socket:
    sock = socket.create_server((HOST, 0))
    sock.setblocking(False)
    return sock


@ENDINGS
def test_a_server_that_listens_anew_is_tried_again(listener: socket.socket, end: Ending) -> None:
    port = listener.getsockname()[1]

    async def scenario() -> ProbeResult:
        playing = asyncio.ensure_future(probe(short(), port))
        early = await accepted(listener)
        listener.close()
        async with serving(port=port):
            end(early)
            return await playing

    assert run(scenario).streams[0].received_bytes > 0


def test_a_refused_connection_is_tried_again(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    port = listener.getsockname()[1]
    listener.close()
    opening: list[Callable[[], Awaitable[Served]]] = []

    class Attempt(Client):
        async def close(self) -> None:
            await super().close()
            while opening:
                await opening.pop()()

    async def scenario() -> ProbeResult:
        later = serving(port=port)
        opening.append(later.__aenter__)
        try:
            return await probe(short(), port)
        finally:
            await later.__aexit__(None, None, None)

    monkeypatch.setattr(attempts, "Client", Attempt)
    assert run(scenario).streams[0].received_bytes > 0


@ENDINGS
def test_a_server_that_ends_each_connection_is_tried_twice_and_told(listener: socket.socket, end: Ending) -> None:
    port, ended = listener.getsockname()[1], []

    async def end_all() -> None:
        while True:
            end(await accepted(listener))
            ended.append(end)

    async def scenario() -> None:
        ending = asyncio.ensure_future(end_all())
        try:
            await probe(short(), port)
        finally:
            ending.cancel()
            await asyncio.wait({ending})
            listener.close()

    message = f"^{HOST}:{port} is probably no iperf3 server: it .* before it said anything$"
    with pytest.raises(NotListeningError, match=message):
        run(scenario)
    assert len(ended) == 2


def test_nobody_there_is_told_as_a_refusal(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(NotListeningError, match=f"^{HOST}:{port} refuses the connection$") as caught:
        run(lambda: probe(short(), port))
    assert "iperf3 -s" in caught.value.hint
