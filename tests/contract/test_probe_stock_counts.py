"""UDP against a stock iperf3 over paths that lose and duplicate: what its counts tell is reported, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from loadgen.measure.throughput import UNKNOWN, ProbeResult
from loadgen.model.probe import Direction, IperfPlan, ProbeTest, Transport
from loadgen.model.units import NS_PER_S
from loadgen.verdict.network import judge_iperf
from loadgen.verdict.network_result import IperfResult
from tests.support.calm import in_a_calm_moment
from tests.support.lab import needs_iperf3
from tests.support.probes import probe, run, serving, stock_client, stock_server
from tests.support.relay import Fate, relay

pytestmark = needs_iperf3


def udp(direction: Direction, **changes: Any) -> ProbeTest:
    return ProbeTest(
        transport=Transport.UDP,
        direction=direction,
        rate_bps=1_600_000,
        block_bytes=1000,
        **{"duration_ns": NS_PER_S, **changes},
    )


def over(fate: Fate, test: ProbeTest) -> ProbeResult:
    async def scenario(port: int) -> ProbeResult:
        async with relay(port, fate) as near:
            return await probe(test, near)

    with stock_server() as port:
        return run(lambda: scenario(port))


def judged(result: ProbeResult) -> IperfResult:
    test = result.test
    plan = IperfPlan(
        host="192.0.2.1", windows_bytes=(0,), directions=(test.direction,), transport=Transport.UDP,
        rate_bps=test.rate_bps, block_bytes=1000, duration_ns=test.duration_ns, omit_ns=test.omit_ns, repeats=1,
    )  # fmt: skip
    return judge_iperf(plan, [result], others=(0.0, "none"))


def all_but_each_ninth(number: int) -> int:
    return int(number % 9 != 0)


@in_a_calm_moment
def test_loss_is_not_reported_where_it_may_be_that_of_the_warm_up() -> None:
    """iperf3 3.12 counts the losses of the warm-up as losses, but not its datagrams."""
    result = over(all_but_each_ninth, udp(Direction.SEND, omit_ns=NS_PER_S))
    (stream,) = result.streams
    assert stream.lost == UNKNOWN
    assert stream.packets == pytest.approx(200, rel=0.2)
    report = judged(result)
    assert report.rows[0].loss_share == UNKNOWN
    assert any("warm-up (--omit), so the loss is not known" in note for note in report.notes)


@in_a_calm_moment
def test_without_loss_the_warm_up_leaves_no_doubt() -> None:
    (stream,) = over(lambda number: 1, udp(Direction.SEND, omit_ns=NS_PER_S)).streams
    assert stream.lost == 0


@pytest.mark.parametrize(("direction", "omit_ns"), [(Direction.SEND, 0), (Direction.RECEIVE, NS_PER_S)])
@in_a_calm_moment
def test_loss_is_that_of_the_path(direction: Direction, omit_ns: int) -> None:
    result = over(all_but_each_ninth, udp(direction, omit_ns=omit_ns))
    assert judged(result).rows[0].loss_share == pytest.approx(1 / 9, abs=0.03)


@in_a_calm_moment
def test_half_of_the_datagrams_twice_is_no_valid_measurement_of_a_stock_server() -> None:
    """It counts the copies as payload: half more than was sent arrives."""
    result = over(lambda number: 1 + number % 2, udp(Direction.SEND))
    (stream,) = result.streams
    assert stream.received_bytes == pytest.approx(1.5 * stream.sent_bytes, rel=0.1)
    assert stream.lost == UNKNOWN
    report = judged(result)
    failed = [check.name for check in report.trust.checks if not check.ok]
    assert failed == ["received beyond sent"]


@in_a_calm_moment
def test_duplicates_do_not_pass_for_less_loss_at_a_stock_server() -> None:
    """10 of 100 are lost, after 10 that came twice: the copies came too early to hide a loss, and show themselves."""
    result = over(lambda number: 2 if number % 100 < 10 else int(number % 100 < 90), udp(Direction.SEND))
    assert result.streams[0].lost == UNKNOWN or judged(result).rows[0].loss_share == pytest.approx(0.1, abs=0.03)


@in_a_calm_moment
def test_duplicates_and_losses_of_a_stock_sender_are_told_apart() -> None:
    result = over(lambda number: (1, 0, 2)[(number - 1) % 3], udp(Direction.RECEIVE))
    (stream,) = result.streams
    assert stream.lost == pytest.approx(stream.packets / 3, abs=20)
    assert stream.duplicates == pytest.approx(stream.packets / 3, abs=20)


def test_datagrams_carry_the_time_of_day() -> None:
    """Clients before 3.7 subtract it from theirs; the first difference is a part of their jitter."""

    async def scenario() -> float:
        async with serving() as served:
            document = await stock_client(served.port, "-u", "-R", "-n", "50K", "-l", "1000", "-b", "8M")
            return float(document["end"]["sum"]["jitter_ms"])

    assert run(scenario) < 1000
