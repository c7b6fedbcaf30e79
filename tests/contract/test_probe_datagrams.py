"""Loss is counted by the sender: over paths that lose, duplicate or stop to carry datagrams, at both ends."""

from __future__ import annotations

import time
from typing import Any

import pytest

from loadgen.measure.throughput import ProbeResult, StreamResult
from loadgen.model.probe import Direction, ProbeTest, Transport
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe.udp import UdpReceiver
from tests.support.calm import in_a_calm_moment
from tests.support.lab import needs_iperf3
from tests.support.probes import probe, run, serving, short, stock_client, stock_server
from tests.support.relay import Fate, relay

ONE_WAY = (Direction.SEND, Direction.RECEIVE)
COUNT = 400
"""Number of datagrams of a stream: 0.4 s at 1000 per second."""


PER_S = 1000
BLOCK = 100
"""Bytes of a datagram: so few that a socket holds 340 of them while nobody reads."""


def udp(direction: Direction, **changes: Any) -> ProbeTest:
    return short(
        transport=Transport.UDP,
        direction=direction,
        rate_bps=8 * BLOCK * PER_S,
        block_bytes=BLOCK,
        **{"duration_ns": COUNT * NS_PER_MS, "window_bytes": 1 << 17, **changes},
    )


def dies_after(count: int) -> Fate:
    return lambda number: int(number <= count)


def over(fate: Fate, test: ProbeTest) -> tuple[StreamResult, ...]:
    """Return the streams of a test over a path with this fate, against a server of loadgen.

    A busy machine may drop datagrams at the receiver's socket: they are lost, and told as `dropped`.
    """

    async def scenario() -> ProbeResult:
        async with serving() as served, relay(served.port, fate) as port:
            return await probe(test, port)

    streams = run(scenario).streams
    for stream in streams:
        assert 0 < stream.packets <= PER_S * stream.sent_ns / NS_PER_S + 25  # a busy machine sends less
        assert stream.received_bytes == BLOCK * (stream.packets - stream.lost)
    return streams


@pytest.mark.parametrize("direction", Direction)
def test_a_path_that_stops_halfway_loses_the_rest(direction: Direction) -> None:
    for stream in over(dies_after(COUNT // 2), udp(direction)):
        assert stream.packets - stream.lost + stream.dropped == COUNT // 2
        assert stream.lost > COUNT // 4
        assert (stream.duplicates, stream.out_of_order) == (0, 0)


@pytest.mark.parametrize("direction", ONE_WAY)
def test_a_path_that_carries_nothing_loses_everything(direction: Direction) -> None:
    (stream,) = over(dies_after(0), udp(direction))
    assert stream.packets == stream.lost > 0


@pytest.mark.parametrize("direction", ONE_WAY)
def test_losing_the_rest_does_not_speed_up_a_byte_limit(direction: Direction) -> None:
    """200 of 400 datagrams arrive in the first half of the time: half of the rate."""
    (stream,) = over(dies_after(COUNT // 2), udp(direction, limit_bytes=BLOCK * COUNT, duration_ns=800 * NS_PER_MS))
    assert stream.packets - stream.lost + stream.dropped == COUNT // 2
    assert stream.received_bps < 5 * BLOCK * PER_S


@pytest.mark.parametrize("direction", ONE_WAY)
@in_a_calm_moment
def test_a_path_that_stops_after_the_warm_up_loses_all_later_datagrams(direction: Direction) -> None:
    """How many of the 300 belong to the warm-up depends on when it was over."""
    test = udp(direction, omit_ns=200 * NS_PER_MS, duration_ns=200 * NS_PER_MS)
    (stream,) = over(dies_after(300), test)
    assert stream.packets == pytest.approx(200, rel=0.3)
    assert stream.packets - stream.lost == pytest.approx(100, abs=60)


@pytest.mark.parametrize("direction", ONE_WAY)
def test_duplicates_do_not_take_back_losses(direction: Direction) -> None:
    """Of three datagrams, the second is lost and the third arrives twice."""
    (stream,) = over(lambda number: (1, 0, 2)[(number - 1) % 3], udp(direction))
    third = stream.packets / 3
    assert third - 2 <= stream.lost <= third + 2 + stream.dropped  # a copy of what was dropped may arrive
    assert third - 4 - stream.dropped <= stream.duplicates <= third + 4


@pytest.mark.parametrize("direction", Direction)
def test_a_good_path_loses_nothing(direction: Direction) -> None:
    for stream in over(lambda number: 1, udp(direction, parallel=2)):
        assert stream.duplicates == 0
        assert stream.lost == pytest.approx(stream.dropped, abs=2)


@pytest.mark.parametrize("direction", ONE_WAY)
def test_a_receiver_that_is_too_slow_is_told_from_a_path_that_loses(
    monkeypatch: pytest.MonkeyPatch, direction: Direction
) -> None:
    """It sleeps in the first half, and its buffer has room for a few of the 200 datagrams."""
    work = UdpReceiver.work

    def late(self: UdpReceiver) -> None:
        time.sleep(COUNT / 2000)
        work(self)

    monkeypatch.setattr(UdpReceiver, "work", late)
    (stream,) = over(lambda number: 1, udp(direction, window_bytes=4 << 10))
    assert stream.dropped == pytest.approx(stream.lost, abs=2)
    assert stream.dropped > 50


# With a stock iperf3 at one end


@needs_iperf3
@pytest.mark.parametrize("direction", ONE_WAY)
@in_a_calm_moment
def test_a_path_from_a_stock_server_that_stops_halfway_loses_half(direction: Direction) -> None:
    async def scenario(port: int) -> ProbeResult:
        async with relay(port, dies_after(COUNT // 2)) as near:
            return await probe(udp(direction), near)

    with stock_server() as port:
        (stream,) = run(lambda: scenario(port)).streams
    assert stream.packets == pytest.approx(COUNT, rel=0.25)
    assert stream.packets - stream.lost == COUNT // 2


@needs_iperf3
@in_a_calm_moment
def test_a_stock_client_receives_the_loss_of_all_its_datagrams() -> None:
    async def scenario() -> dict[str, Any]:
        async with serving() as served, relay(served.port, dies_after(500)) as near:
            return await stock_client(near, "-u", "-t", "1", "-b", "8M", "-l", "1000")

    document = run(scenario)
    assert "error" not in document, document["error"]
    stream = document["end"]["streams"][0]["udp"]
    assert stream["packets"] == pytest.approx(1000, rel=0.1)
    assert stream["lost_packets"] == stream["packets"] - 500


@needs_iperf3
@in_a_calm_moment
def test_a_receiving_stock_client_reports_the_loss_that_it_can_see() -> None:
    """iperf3 3.12 uses the highest number that arrived: this is its report, and not an error of the server."""

    async def scenario() -> tuple[dict[str, Any], int]:
        async with serving() as served, relay(served.port, lambda number: number % 2) as near:
            document = await stock_client(near, "-u", "-t", "1", "-b", "8M", "-l", "1000", "-R")
            (test,) = await served.until_served(1)
            return document, test.sent_bytes

    document, sent_bytes = run(scenario)
    stream = document["end"]["streams"][0]["udp"]
    assert stream["lost_percent"] == pytest.approx(50, abs=2)
    assert sent_bytes == pytest.approx(1_000_000, rel=0.1)
