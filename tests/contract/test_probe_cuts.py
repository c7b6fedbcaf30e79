"""Tests that end in the middle: what was measured until then is a result, which says that it was cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from loadgen.measure.throughput import UNKNOWN, ProbeResult, Tick
from loadgen.model.probe import Direction, IperfPlan, Kind, ProbeTest, Transport
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe.api import ProbeError, Stop
from loadgen.probe.attempts import run_test
from loadgen.verdict.network import judge_iperf
from tests.support.calm import in_a_calm_moment
from tests.support.lab import needs_iperf3
from tests.support.probes import HOST, run, serving, short, stock_server, until
from tests.support.relay import relay
from tests.support.tcp_relay import Relay

TCP_RATE_BPS = 80_000_000
"""Slow, so that a path in Python carries it."""


def long(**changes: Any) -> ProbeTest:
    return short(**{"duration_ns": 60 * NS_PER_S, "rate_bps": TCP_RATE_BPS, "block_bytes": 8000, **changes})


def forget(tick: Tick) -> None:
    del tick


async def stopped(test: ProbeTest, port: int, after_s: float = 0.4) -> ProbeResult:
    stop = Stop()
    playing = asyncio.create_task(run_test(test, HOST, port, on_tick=forget, stop=stop))
    await until(lambda: stop.is_heeded)
    await asyncio.sleep(after_s)
    stop.asked.set()
    return await playing


@contextlib.contextmanager
def either_server(stock: bool) -> Iterator[Callable[[Callable[[int], Awaitable[ProbeResult]]], ProbeResult]]:
    """A function that runs a scenario with the port of a server."""
    if stock:
        with stock_server() as port:
            yield lambda scenario: run(lambda: scenario(port))
    else:

        async def with_ours(scenario: Callable[[int], Awaitable[ProbeResult]]) -> ProbeResult:
            async with serving() as served:
                result = await scenario(served.port)
                (test,) = await served.until_served(1)
                assert test.ended == "done"  # the server has exchanged its results
                return result

        yield lambda scenario: run(lambda: with_ours(scenario))


def of_one_row(result: ProbeResult, **changes: Any) -> Any:
    test = result.test
    plan = IperfPlan(
        host="192.0.2.1", windows_bytes=(0,), directions=(test.direction,), transport=test.transport, kind=test.kind,
        rate_bps=test.rate_bps, block_bytes=test.block_bytes, duration_ns=test.duration_ns, repeats=2,
    )  # fmt: skip
    return judge_iperf(plan, [result], others=(0.0, "none"), **changes)


@needs_iperf3
@pytest.mark.parametrize("stock", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        *({"direction": direction} for direction in Direction),
        {"transport": Transport.UDP, "rate_bps": 800_000, "block_bytes": 1000},
        {"limit_bytes": 1 << 40},
    ],
)
@in_a_calm_moment
def test_a_stopped_test_is_a_shorter_test(changes: dict[str, Any], stock: bool) -> None:
    """The far end exchanges its counts as at the end of a whole test."""
    with either_server(stock) as played:
        result = played(lambda port: stopped(long(**changes), port))
    assert result.cut == "it was interrupted"
    assert 300 * NS_PER_MS < result.wall_ns < 10 * NS_PER_S
    for stream in result.streams:
        assert 0 < stream.received_bytes <= stream.sent_bytes
        assert stream.received_ns == pytest.approx(result.wall_ns, rel=0.3)
    report = of_one_row(result, interrupted=True)
    assert report.rows[0].mbit_per_s > 0
    assert "interrupted after 0 of 2 tests" in report.reasons[0]
    assert any(note.startswith("A test was cut (") and "s of 60 s" in note for note in report.notes)


def test_a_stopped_request_response_test_has_times() -> None:
    with either_server(stock=False) as played:
        result = played(lambda port: stopped(short(kind=Kind.RR, duration_ns=60 * NS_PER_S), port))
    assert result.cut
    assert result.latency.transactions > 0
    assert result.latency.p99_ns > 0


@pytest.mark.parametrize("direction", Direction)
@in_a_calm_moment
def test_a_server_that_is_stopped_in_the_middle_leaves_what_was_measured(direction: Direction) -> None:
    async def scenario() -> ProbeResult:
        async with serving() as served:
            playing = asyncio.create_task(run_test(long(direction=direction), HOST, served.port, on_tick=forget))
            await asyncio.sleep(0.5)
            await served.server.close()
            return await playing

    result = run(scenario)
    assert result.cut.endswith("was stopped and broke the test off") or "broke the test off" in result.cut
    for stream in result.streams:
        assert 0 < stream.received_bytes <= stream.sent_bytes
        assert stream.received_bps == pytest.approx(TCP_RATE_BPS, rel=0.6)
    report = of_one_row(result, problems=("receive auto: gone",))
    assert report.verdict.value == "INVALID"
    assert report.rows[0].mbit_per_s > 0


class Mortal(Relay):
    """Carries bytes until :attr:`dead` is set; then it drops them, and closes nothing: a link that went down."""

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream)
        self.dead = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(HOST, self._upstream)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.ensure_future(self._carry(source, sink))
            self._tasks.add(task)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(1 << 16):
                if self.dead:
                    await asyncio.sleep(60)
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            return
        finally:
            sink.close()


@pytest.mark.parametrize("direction", [Direction.SEND, Direction.RECEIVE])
def test_a_path_that_dies_leaves_what_was_measured(direction: Direction) -> None:
    """The test lasts its time, and the far end's counts never come."""

    async def scenario() -> ProbeResult:
        async with serving() as served, Mortal(served.port) as path:
            test = long(direction=direction, duration_ns=800 * NS_PER_MS)
            playing = asyncio.create_task(run_test(test, HOST, path.port, on_tick=forget, patience_ns=500 * NS_PER_MS))
            await asyncio.sleep(0.4)
            path.dead = True
            return await playing

    result = run(scenario)
    assert result.cut.endswith(" s")  # did not answer for …, accepted no data for …
    (stream,) = result.streams
    assert 0 < stream.received_bytes <= stream.sent_bytes
    assert result.wall_ns >= 800 * NS_PER_MS
    assert of_one_row(result).rows[0].mbit_per_s > 0


def test_datagrams_whose_arrival_nobody_tells_are_no_result() -> None:
    """Only the receiver knows how many arrived."""

    async def scenario() -> None:
        async with serving() as served, relay(served.port, lambda number: 1) as port:
            test = long(transport=Transport.UDP, rate_bps=800_000, block_bytes=1000)
            playing = asyncio.create_task(run_test(test, HOST, port, on_tick=forget))
            await asyncio.sleep(0.4)
            await served.server.close()
            await playing

    with pytest.raises(ProbeError, match=r"broke the test off|was stopped"):
        run(scenario)


def test_datagrams_that_this_end_received_are_a_result() -> None:
    async def scenario() -> ProbeResult:
        async with serving() as served:
            test = long(transport=Transport.UDP, direction=Direction.RECEIVE, rate_bps=800_000, block_bytes=1000)
            playing = asyncio.create_task(run_test(test, HOST, served.port, on_tick=forget))
            await asyncio.sleep(0.4)
            await served.server.close()
            return await playing

    (stream,) = run(scenario).streams
    assert stream.received_bytes > 0
    assert stream.lost in (0, UNKNOWN)


def test_a_complete_test_counts_and_a_cut_one_of_its_cell_does_not() -> None:
    with either_server(stock=False) as played:
        cut = played(lambda port: stopped(long(), port))
    with either_server(stock=False) as played:
        whole = played(lambda port: run_test(long(duration_ns=NS_PER_S), HOST, port, on_tick=forget))
    plan = IperfPlan(
        host="192.0.2.1", windows_bytes=(0,), directions=(Direction.SEND,), rate_bps=TCP_RATE_BPS, block_bytes=8000,
        repeats=2,
    )  # fmt: skip
    report = judge_iperf(plan, [whole, cut], others=(0.0, "none"), interrupted=True)
    assert report.rows[0].repeats == 1
    assert "after 1 of 2 tests" in report.reasons[0]
    assert any("in no row, because its cell has complete tests" in note for note in report.notes)
