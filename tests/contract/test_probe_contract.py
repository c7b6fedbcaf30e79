"""Both ends of a probe over loopback: correct results in every direction."""

from __future__ import annotations

import asyncio
import socket

import pytest

from loadgen.measure.throughput import UNKNOWN, ProbeResult
from loadgen.model.probe import Direction, Kind, Transport
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe import client
from loadgen.probe.connect import Path
from loadgen.probe.messages import Parameters
from loadgen.probe.sockets import tune
from tests.support.calm import in_a_calm_moment
from tests.support.probe_steps import played
from tests.support.probes import (
    HOST,
    SHORT_NS,
    footprint,
    probe,
    run,
    serving,
    short,
)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("parallel", [1, 3])
def test_a_limit_is_exact_to_the_byte_in_every_direction(direction: Direction, parallel: int) -> None:
    limit = 3_000_001
    result, served = played(short(direction=direction, parallel=parallel, limit_bytes=limit, block_bytes=10_000))
    both = (Direction.SEND, Direction.RECEIVE) if direction is Direction.BIDIR else (direction,)
    for one in both:
        streams = [stream for stream in result.streams if stream.direction is one]
        assert len(streams) == parallel
        assert sum(stream.sent_bytes for stream in streams) == limit
        assert sum(stream.received_bytes for stream in streams) == limit
    assert len(result.streams) == parallel * len(both)
    assert result.peer.startswith("loadgen ")
    (test,) = served.tests
    assert test.ended == "done"
    assert test.received_bytes == (limit if direction is not Direction.RECEIVE else 0)
    assert test.sent_bytes == (limit if direction is not Direction.SEND else 0)


@pytest.mark.parametrize("direction", Direction)
@in_a_calm_moment
def test_a_timed_test_counts_received_bytes(direction: Direction) -> None:
    result, _ = played(short(direction=direction))
    assert result.wall_ns == pytest.approx(SHORT_NS, rel=0.5)
    for stream in result.streams:
        assert 0 < stream.received_bytes <= stream.sent_bytes
        assert stream.received_ns == pytest.approx(SHORT_NS, rel=0.5)
        assert (stream.retransmits >= 0, stream.rtt_ns > 0, stream.cwnd_max_bytes > 0) == (True, True, True)
    assert result.local_cpu_ns > 0
    assert result.remote_cpu_ns > 0
    assert result.discarded == (direction is not Direction.SEND)
    assert sum(tick.sent_bytes + tick.received_bytes for tick in result.ticks) > 0


@in_a_calm_moment
def test_a_busy_end_is_distinguished_from_a_waiting_one() -> None:
    """Writes of 1000 bytes make the sender the limit; at 8 Mbit/s the sender mostly sleeps."""
    flood, _ = played(short(block_bytes=1000, duration_ns=3 * SHORT_NS))
    paced, _ = played(short(rate_bps=8_000_000, duration_ns=3 * SHORT_NS))
    assert flood.local_runnable_ns > 0.9 * flood.wall_ns
    assert paced.local_runnable_ns < flood.local_runnable_ns
    for result in (flood, paced):
        assert 0 < result.local_busiest_ns <= result.local_runnable_ns
        assert result.remote_busiest_ns > 0


def test_windows_are_requested_at_both_ends() -> None:
    result, _ = played(short(window_bytes=65536, limit_bytes=1 << 20))
    for granted in (result.local_granted, result.remote_granted):
        assert (granted.send_bytes, granted.receive_bytes) == (131072, 131072)  # Linux doubles the requested size


@pytest.mark.parametrize(("window_bytes", "mss_bytes", "most"), [(1, 0, 536), (4096, 0, 2048), (16_384, 1400, 1400)])
def test_segments_fit_into_small_windows(window_bytes: int, mss_bytes: int, most: int) -> None:
    """Over loopback a segment is 64 KB otherwise, and each write waits for a timer of the kernel."""

    async def opened() -> int:
        with socket.create_server((HOST, 0)) as server:
            path = Path(socket.AF_INET, server.getsockname())
            asked = Parameters(window_bytes=window_bytes, mss_bytes=mss_bytes)
            with await path.tcp(asked, b"c" * 37, NS_PER_S) as ours:
                return ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)

    assert 0 < run(opened) <= most


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("direction", Direction)
@in_a_calm_moment
def test_a_paced_stream_keeps_its_rate(transport: Transport, direction: Direction) -> None:
    result, _ = played(short(transport=transport, direction=direction, rate_bps=8_000_000, block_bytes=1000))
    for stream in result.streams:
        assert stream.received_bps == pytest.approx(8_000_000, rel=0.5)


@in_a_calm_moment
def test_omitted_time_is_omitted_at_both_ends() -> None:
    result, served = played(short(omit_ns=SHORT_NS, rate_bps=8_000_000, direction=Direction.BIDIR))
    for stream in result.streams:
        assert stream.received_ns == pytest.approx(SHORT_NS, rel=0.5)
        assert stream.received_bytes == pytest.approx(100_000, rel=0.5)
    assert [tick.omitted for tick in result.ticks] == [True, False]
    assert served.tests[0].seconds == pytest.approx(0.1, rel=0.5)


@pytest.mark.parametrize("direction", Direction)
def test_datagrams_are_counted_at_both_ends(direction: Direction) -> None:
    test = short(transport=Transport.UDP, direction=direction, parallel=2, rate_bps=8_000_000, block_bytes=500)
    result, _ = played(test)
    for stream in result.streams:
        assert (stream.packets - stream.lost) * 500 == stream.received_bytes
        assert 0 <= stream.lost <= stream.dropped  # a busy machine drops some
        assert (stream.out_of_order, stream.retransmits) == (0, UNKNOWN)
        assert stream.jitter_ns >= 0
        assert stream.received_bytes <= stream.sent_bytes


def test_a_limited_udp_test_sends_its_bytes() -> None:
    result, _ = played(short(transport=Transport.UDP, limit_bytes=10_300, block_bytes=1000, rate_bps=8_000_000))
    (stream,) = result.streams
    assert (stream.sent_bytes, stream.received_bytes, stream.packets, stream.lost) == (10_300, 10_300, 11, 0)


@pytest.mark.parametrize("kind", [Kind.RR, Kind.CRR])
@in_a_calm_moment
def test_request_response_is_timed(kind: Kind) -> None:
    result, served = played(short(kind=kind, parallel=2, omit_ns=SHORT_NS // 2))
    latency = result.latency
    assert latency.transactions > 0
    assert latency.failed == 0
    assert 0 < latency.p50_ns <= latency.p90_ns <= latency.p99_ns <= latency.max_ns < NS_PER_S
    assert latency.wall_ns == pytest.approx(SHORT_NS, rel=0.5)
    assert result.streams == ()
    assert result.remote_cpu_ns > 0
    assert served.tests[0].what.startswith(kind.value.upper())


def test_many_clients_are_served_at_once_each_with_its_own_result() -> None:
    tests = [short(direction=direction, limit_bytes=1_000_000 + n) for n, direction in enumerate([*Direction] * 2)]
    udp = [
        short(
            direction=direction,
            transport=Transport.UDP,
            block_bytes=100,
            rate_bps=1 << 20,
            duration_ns=5 * SHORT_NS,  # long enough for each of twelve tests at once to have its turn
        )
        for direction in [*Direction] * 2
    ]

    async def scenario() -> list[ProbeResult]:
        async with serving() as served:
            return await asyncio.gather(*(probe(test, served.port) for test in [*tests, *udp]))

    results = run(scenario)
    for test, result in zip(tests, results, strict=False):
        for stream in result.streams:
            assert stream.sent_bytes == stream.received_bytes == test.limit_bytes
    for result in results[len(tests) :]:
        for stream in result.streams:
            # A busy machine loses some datagrams.
            assert (stream.packets - stream.lost) * 100 == stream.received_bytes > 0


def test_ipv6_and_ipv4_share_a_server() -> None:
    async def scenario() -> list[str]:
        async with serving(host="::") as served:
            for host in ("::1", HOST):
                for transport in Transport:
                    await probe(short(transport=transport, limit_bytes=1000), served.port, host=host)
            return [test.client for test in await served.until_served(4)]

    assert run(scenario) == ["::1", "::1", HOST, HOST]


def test_a_type_of_service_goes_out_over_ipv4_from_a_socket_for_both() -> None:
    with socket.socket(socket.AF_INET6) as sock:
        tune(sock, Parameters(type_of_service=32))
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 32


@in_a_calm_moment
def test_ticks_are_sent_each_second_counted_from_the_end_of_the_omitted_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_TICK_NS", 80 * NS_PER_MS)  # instead of one second
    result, _ = played(short(omit_ns=40 * NS_PER_MS, rate_bps=8_000_000))
    assert [tick.omitted for tick in result.ticks] == [True, False, False]


def test_good_tests_leave_nothing_behind() -> None:
    async def scenario() -> tuple[tuple[int, int], tuple[int, int]]:
        async with serving() as served:
            before = footprint()
            for test in (
                short(limit_bytes=1000, parallel=3, direction=Direction.BIDIR),
                short(limit_bytes=1000, transport=Transport.UDP),
                short(kind=Kind.RR),
                short(kind=Kind.CRR, parallel=3),
            ):
                await probe(test, served.port)
            await served.until_served(4)
            return before, footprint()

    before, after = run(scenario)
    assert after == before
