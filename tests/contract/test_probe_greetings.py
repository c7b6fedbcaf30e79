"""How UDP streams come to be: over paths that lose greetings or answers, and beside clients that stay silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import Direction, ProbeTest, Transport
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe.iperf3 import UDP_COOKIES, State
from tests.support.calm import in_a_calm_moment
from tests.support.lab import needs_iperf3
from tests.support.probe_steps import RIGHT, receive_parameters
from tests.support.probes import COOKIE, Peer, probe, run, scripted_server, serving, short, stock_client, stock_server
from tests.support.relay import Fate, relay

SOON_NS = 4 * NS_PER_S


def after(lost: int, copies: int = 1) -> Fate:
    """Each arrives `copies` times, except the first `lost` ones."""
    return lambda number: copies if number > lost else 0


def udp(**changes: Any) -> ProbeTest:
    return short(
        transport=Transport.UDP, rate_bps=800_000, block_bytes=1000, **{"duration_ns": 200 * NS_PER_MS, **changes}
    )


def over(test: ProbeTest, **fates: Fate) -> ProbeResult:
    async def scenario() -> ProbeResult:
        async with serving() as served, relay(served.port, after(0), **fates) as port:
            return await probe(test, port, patience_ns=SOON_NS)

    return run(scenario)


@pytest.mark.parametrize("lost", [{"answered": after(1)}, {"asked": after(1)}, {"answered": after(2)}])
@pytest.mark.parametrize("direction", Direction)
def test_lost_greetings_and_answers_are_repeated(direction: Direction, lost: dict[str, Fate]) -> None:
    """Also of the streams before the last, whose acceptance nothing else shows.  The handshake is in no count."""
    result = over(udp(direction=direction, parallel=2), **lost)
    assert len(result.streams) == (4 if direction is Direction.BIDIR else 2)
    for stream in result.streams:
        assert stream.received_bytes > 0
        assert (stream.lost, stream.duplicates) == (0, 0)


@pytest.mark.parametrize("direction", [Direction.SEND, Direction.RECEIVE])
def test_greetings_and_answers_that_arrive_twice_are_in_no_count(direction: Direction) -> None:
    result = over(udp(direction=direction, parallel=2), asked=after(0, 2), answered=after(0, 2))
    assert [(stream.lost, stream.duplicates) for stream in result.streams] == [(0, 0), (0, 0)]


@needs_iperf3
@pytest.mark.parametrize("direction", [Direction.SEND, Direction.RECEIVE])
@in_a_calm_moment
def test_a_stock_server_whose_answer_is_lost_is_healthy(direction: Direction) -> None:
    """It does not answer again; but it starts the test, and says so on the control connection.

    At the end it stops to read: what a busy path still holds then is lost.
    """

    async def scenario(port: int) -> ProbeResult:
        async with relay(port, after(0), answered=after(1 << 30)) as near:
            return await probe(udp(direction=direction), near, patience_ns=SOON_NS)

    with stock_server() as port:
        (stream,) = run(lambda: scenario(port)).streams
    assert stream.lost == 0
    assert stream.received_bytes > 0


def test_an_error_while_streams_are_opened_is_told_at_once() -> None:
    """Without it, the client would greet until its patience ends, and say that UDP is not answered."""

    async def script(peer: Peer) -> None:
        await receive_parameters(peer)
        peer.send(State.CREATE_STREAMS, State.SERVER_ERROR, (203).to_bytes(4, "big"), bytes(4))

    async def scenario() -> None:
        async with scripted_server(script) as port:
            await probe(udp(), port, patience_ns=20 * NS_PER_S)

    with pytest.raises(Exception, match="could not connect a stream"):
        run(scenario, timeout_s=10)


# Clients that ask for UDP and send nothing


@contextlib.asynccontextmanager
async def mute(port: int, number: int, **parameters: Any) -> AsyncIterator[Peer]:
    """A client that asks for a UDP stream, and never greets."""
    peer = await Peer.connect(port)
    peer.send(COOKIE.replace(b"a", bytes([ord("b") + number])))
    assert await peer.state() == State.PARAM_EXCHANGE
    peer.send({**RIGHT, "tcp": False, "udp": True, **parameters})
    try:
        yield peer
    finally:
        await peer.close()


def test_mute_clients_do_not_delay_others_of_their_address() -> None:
    """A client of loadgen says to which test its streams belong, so it waits for nobody."""

    async def scenario() -> ProbeResult:
        async with serving(patience_ns=60 * NS_PER_S) as served, contextlib.AsyncExitStack() as mutes:
            for number in range(3):
                await mutes.enter_async_context(mute(served.port, number))
            return await probe(udp(parallel=2), served.port, patience_ns=SOON_NS)

    assert [stream.lost for stream in run(scenario).streams] == [0, 0]


@needs_iperf3
def test_a_mute_client_of_loadgen_holds_nobody() -> None:
    async def scenario() -> dict[str, Any]:
        loadgen = {"version": "1", UDP_COOKIES: True}
        async with (
            serving(patience_ns=60 * NS_PER_S) as served,
            mute(served.port, 0, loadgen=loadgen) as peer,
        ):
            assert await peer.state() == State.LOADGEN
            await peer.block()
            assert await peer.state() == State.CREATE_STREAMS
            return await stock_client(served.port, "-u", "-n", "20K", "-l", "1000", "-b", "8M")

    assert "error" not in run(scenario)


def test_two_tests_of_an_address_at_once_keep_their_streams_apart() -> None:
    async def scenario() -> list[ProbeResult]:
        async with serving() as served:
            tests = [udp(direction=direction, parallel=3) for direction in Direction]
            return await asyncio.gather(*(probe(test, served.port) for test in tests))

    for result in run(scenario):
        assert all(stream.lost == 0 and stream.received_bytes for stream in result.streams)


@needs_iperf3
def test_a_stock_client_waits_for_each_mute_one_a_part_of_its_patience() -> None:
    """Nothing tells the streams of stock clients apart, so a silent one gives up its turn when another waits."""

    async def scenario() -> tuple[dict[str, Any], list[str]]:
        async with serving(patience_ns=2 * NS_PER_S) as served, mute(served.port, 0), mute(served.port, 1):
            document = await stock_client(served.port, "-u", "-n", "20K", "-l", "1000", "-b", "8M")
            return document, [test.ended for test in await served.until_served(3)]

    document, ended = run(scenario)
    assert "error" not in document
    assert sorted(ended) == ["done", *["it did not open its streams, and another client of its address waited"] * 2]
