"""The steps of the probe's protocol as a scripted client or server plays them, up to a given state."""

from __future__ import annotations

from typing import Any

from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import ProbeTest
from loadgen.model.units import NS_PER_MS
from loadgen.probe.iperf3 import State
from tests.support.probes import (
    COOKIE,
    HOST,
    Peer,
    Served,
    probe,
    run,
    serving,
)

QUICK_NS = 100 * NS_PER_MS
"""Time limit in seconds for tests where one end never answers."""

RIGHT: dict[str, Any] = {"tcp": True, "omit": 0, "time": 5, "num": 0, "blockcount": 0, "parallel": 1, "len": 1000}
"""Parameters that the server accepts, as iperf3 writes them."""


async def in_parameters(peer: Peer) -> None:
    """Play a client until the server asks for its parameters."""
    peer.send(COOKIE)
    assert await peer.state() == State.PARAM_EXCHANGE


async def in_streams(peer: Peer) -> None:
    """Play a client until the server asks it to open its streams."""
    await in_parameters(peer)
    peer.send(RIGHT)
    assert await peer.state() == State.CREATE_STREAMS


async def in_running(peer: Peer, port: int) -> Peer:
    """Play a client until its test runs; returns its data connection."""
    await in_streams(peer)
    data = await Peer.connect(port)
    data.send(COOKIE)
    assert await peer.state() == State.TEST_START
    assert await peer.state() == State.TEST_RUNNING
    return data


async def in_results(peer: Peer, port: int) -> Peer:
    """Play a client until the results are exchanged; returns its data connection."""
    data = await in_running(peer, port)
    data.send(bytes(5000))
    peer.send(State.TEST_END)
    assert await peer.state() == State.EXCHANGE_RESULTS
    return data


async def refused(peer: Peer) -> None:
    """Check that the server answers with an error and closes."""
    assert await peer.state() == State.SERVER_ERROR
    await peer.ended()


async def receive_cookie(peer: Peer) -> None:
    """Play a server until it has read the cookie."""
    assert len(await peer.reader.readexactly(37)) == 37


async def receive_parameters(peer: Peer) -> dict[str, Any]:
    """Play a server until it has read the parameters; returns them."""
    await receive_cookie(peer)
    peer.send(State.PARAM_EXCHANGE)
    return await peer.block()


async def server_in_running(peer: Peer) -> None:
    """Play a server until the test runs."""
    await receive_parameters(peer)
    peer.send(State.CREATE_STREAMS, State.TEST_START, State.TEST_RUNNING)


async def server_in_results(peer: Peer) -> None:
    """Play a server until it has read the client's results."""
    await server_in_running(peer)
    assert await peer.state() == State.TEST_END
    peer.send(State.EXCHANGE_RESULTS)
    await peer.block()


def played(test: ProbeTest, **limits: int) -> tuple[ProbeResult, Served]:
    """Play a test against our own server to its end; returns the result and the server."""

    async def scenario() -> tuple[ProbeResult, Served]:
        async with serving(HOST, **limits) as served:
            result = await probe(test, served.port)
            await served.until_served(1)
            return result, served

    return run(scenario)
