"""The messages of the probe's client, and its counts of broken streams and unanswered calls."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

import pytest

from loadgen.measure.throughput import UNKNOWN, ProbeResult
from loadgen.model.probe import Direction, Kind
from loadgen.model.units import NS_PER_S
from loadgen.probe.api import ProbeError
from loadgen.probe.iperf3 import State
from tests.support.probe_steps import receive_cookie, receive_parameters
from tests.support.probes import (
    Peer,
    probe,
    run,
    scripted_server,
    short,
    until,
)


def test_a_broken_stream_has_not_reached_its_limit() -> None:
    reset = asyncio.Event()

    async def resets(peer: Peer) -> None:
        await receive_cookie(peer)
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.writer.transport.abort()
        await asyncio.sleep(0.02)
        reset.set()

    async def goes_on(peer: Peer) -> None:
        await receive_parameters(peer)
        peer.send(State.CREATE_STREAMS)
        await reset.wait()
        peer.send(State.TEST_START, State.TEST_RUNNING)
        assert await peer.state() == State.TEST_END
        peer.send(State.EXCHANGE_RESULTS)
        await peer.block()
        peer.send({"streams": [{"id": 1, "bytes": 0}]}, State.DISPLAY_RESULTS)

    async def scenario() -> None:
        async with scripted_server(goes_on, resets) as port:
            with pytest.raises(ProbeError, match="broke the test off in the middle"):
                await probe(short(limit_bytes=1000), port)

    run(scenario)


def test_unanswered_calls_are_counted_and_not_timed() -> None:
    async def of_ours(peer: Peer) -> None:
        await receive_parameters(peer)
        peer.send(State.LOADGEN, {"version": "1"}, State.CREATE_STREAMS, State.TEST_START, State.TEST_RUNNING)
        assert await peer.state() == State.TEST_END
        peer.send(State.EXCHANGE_RESULTS)
        await peer.block()
        peer.send({"streams": []}, State.DISPLAY_RESULTS)
        await peer.ended()

    async def hangs_up(peer: Peer) -> None:
        await receive_cookie(peer)
        await peer.close()

    async def scenario() -> ProbeResult:
        async with scripted_server(of_ours, hangs_up) as port:
            return await probe(short(kind=Kind.CRR, parallel=2), port)

    latency = run(scenario).latency
    assert latency.failed > 0
    assert (latency.transactions, latency.p50_ns) == (0, UNKNOWN)


@pytest.mark.parametrize("kind", [Kind.RR, Kind.CRR])
def test_a_server_without_request_response_is_recognised(kind: Kind) -> None:
    said: list[int] = []

    async def stock(peer: Peer) -> None:
        await receive_parameters(peer)
        peer.send(State.CREATE_STREAMS)
        said.append(await peer.state())

    async def scenario() -> None:
        async with scripted_server(stock) as port:
            with pytest.raises(ProbeError, match="is a stock iperf3, which has no request/response test") as caught:
                await probe(short(kind=kind), port)
            assert "loadgen iperf --server" in caught.value.hint
            await until(lambda: bool(said))

    run(scenario)
    assert said == [State.CLIENT_TERMINATE]


def test_a_stock_server_understands_the_parameters() -> None:
    seen: dict[str, Any] = {}

    async def watching(peer: Peer) -> None:
        seen.update(await receive_parameters(peer))
        await peer.close()

    async def scenario() -> None:
        async with scripted_server(watching) as port:
            test = short(direction=Direction.BIDIR, parallel=3, omit_ns=NS_PER_S // 2, window_bytes=65536)
            with pytest.raises(ProbeError):
                await probe(test, port)

    run(scenario)
    assert json.dumps(seen.pop("loadgen"))
    assert seen.pop("client_version").startswith("loadgen ")
    assert seen == {
        "tcp": True, "omit": 1, "time": 1, "num": 0, "blockcount": 0, "parallel": 3, "len": 1 << 20,
        "pacing_timer": 1000, "bidirectional": True, "window": 65536,
    }  # fmt: skip
