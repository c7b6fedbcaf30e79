"""The end that limited an iperf test, and the statements about its rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import Direction, IperfPlan, Kind
from loadgen.verdict.network import judge_iperf
from loadgen.verdict.result import Verdict
from tests.support.iperf_judging import BIDIR, NOBODY, UDP, check, judged, row, slower
from tests.support.networks import IPERF, iperf_results


def test_a_busy_far_end_is_reported() -> None:
    result = judged(change=lambda one: dataclasses.replace(one, remote_cpu_ns=int(one.wall_ns * 0.97)))
    assert result.verdict is Verdict.CONFORMING
    assert result.notes == (
        "The far end used up to 97 % of a core in 40 of 40 tests while this end had CPU to spare: "
        "the far end may be the limit.",
    )


@pytest.mark.parametrize(
    ("peer", "parallel", "near", "says"),
    [("iperf 3.12", 4, 0.5, True), ("loadgen 0.1.0", 4, 0.5, False), ("iperf 3.12", 1, 0.97, False)],
)
def test_a_far_end_may_be_the_limit(peer: str, parallel: int, near: float, says: bool) -> None:
    """loadgen has a thread per stream, iperf3 3.12 one thread for all; an equally busy end is equally suspect."""

    def busy(one: ProbeResult) -> ProbeResult:
        wall = one.wall_ns
        return dataclasses.replace(one, peer=peer, remote_cpu_ns=int(wall * 0.97), local_cpu_ns=int(wall * near))

    notes = judged(dataclasses.replace(IPERF, parallel=parallel), busy).notes
    assert any("the far end may be the limit" in note for note in notes) is says


def with_cpu(here: float, there: float, *, waited: float = 0.0) -> Callable[[ProbeResult], ProbeResult]:
    """Return a change of a test: the busiest thread of each end used this share of a core; this end's also waited."""

    def change(one: ProbeResult) -> ProbeResult:
        return dataclasses.replace(
            one,
            local_busiest_ns=int(one.wall_ns * here),
            local_runnable_ns=int(one.wall_ns * (here + waited)),
            remote_busiest_ns=int(one.wall_ns * there),
        )

    return change


LIMITED = "tests limited by this end"
RR = dataclasses.replace(IPERF, kind=Kind.RR, directions=(Direction.SEND,), windows_bytes=(0,))


@pytest.mark.parametrize(
    ("here", "waited", "there", "ok"),
    [
        (0.96, 0.0, 0.40, False),
        (0.94, 0.0, 0.40, True),
        (0.50, 0.46, 0.40, False),  # another process used its core
        (0.96, 0.0, 0.96, True),  # the rate is also that of the far end
        (0.40, 0.0, 0.99, True),
    ],
)
@pytest.mark.parametrize("plan", [IPERF, BIDIR, RR], ids=["one way", "bidir", "rr"])
def test_a_rate_limited_by_this_end_is_a_lower_bound(
    plan: IperfPlan, here: float, waited: float, there: float, ok: bool
) -> None:
    result = judged(plan, with_cpu(here, there, waited=waited))
    assert check(result, LIMITED).ok is ok
    assert (result.verdict is Verdict.CONFORMING) is ok
    assert all(one.limited_here is not ok for one in result.rows)
    if not ok:
        assert f"this end's busiest thread used {100 * here:.0f} % of a core" in result.reasons[0]
        assert "the rates are lower bounds" in result.notes[0]


def test_one_limited_run_of_four_is_found() -> None:
    results = iperf_results()
    results[0] = with_cpu(0.99, 0.2)(results[0])
    found = judge_iperf(IPERF, results, others=NOBODY)
    assert (found.verdict, check(found, LIMITED).value) == (Verdict.INVALID, 1)


def test_a_required_rate_may_be_reached_by_a_lower_bound() -> None:
    reached = judged(dataclasses.replace(IPERF, at_least_bps=500_000_000), with_cpu(0.99, 0.2))
    assert reached.verdict is Verdict.CONFORMING
    assert all(one.limited_here for one in reached.rows)
    missed = judged(dataclasses.replace(IPERF, at_least_bps=900_000_000), with_cpu(0.99, 0.2))
    assert missed.verdict is Verdict.INVALID
    assert check(missed, LIMITED).value == 16  # four runs of the four cells below the rate


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_over_loopback_a_limit_is_reported(host: str) -> None:
    """Both ends are on the measured machine."""
    result = judged(dataclasses.replace(IPERF, host=host), with_cpu(0.99, 0.2))
    assert result.verdict is Verdict.CONFORMING
    assert "this end was the limit" in result.notes[0]
    assert all(one.limited_here for one in result.rows)


def test_limits_of_both_ends_are_reported() -> None:
    assert judged(change=with_cpu(0.99, 0.99)).notes == (
        "Both ends were at the limit of a core in 40 of 40 tests: the rates are those of their CPUs.",
    )


@pytest.mark.parametrize(("share", "limited"), [(1.0, False), (0.5, True)])
def test_an_end_that_keeps_the_requested_rate_is_no_limit(share: float, limited: bool) -> None:
    plan = dataclasses.replace(IPERF, rate_bps=400_000_000)
    result = judged(plan, lambda one: with_cpu(0.99, 0.2)(slower(one, share)))
    assert result.rows[0].limited_here is limited


@pytest.mark.parametrize(("lost", "ok"), [(17, False), (0, True)])
def test_datagrams_lost_at_a_slow_end_are_not_lost_by_the_path(lost: int, ok: bool) -> None:
    def busy(one: ProbeResult) -> ProbeResult:
        streams = tuple(dataclasses.replace(stream, lost=lost) for stream in one.streams)
        return with_cpu(0.99, 0.2)(dataclasses.replace(one, streams=streams))

    result = judged(UDP, busy)
    assert (check(result, LIMITED).ok, result.verdict is Verdict.CONFORMING) == (ok, ok)
    assert not row(result, 0, Direction.SEND).limited_here


def test_a_record_without_the_busiest_thread_uses_all_threads() -> None:
    def old(one: ProbeResult) -> ProbeResult:
        return dataclasses.replace(one, local_cpu_ns=int(one.wall_ns * 3.9), remote_cpu_ns=int(one.wall_ns * 0.2))

    assert not judged(dataclasses.replace(IPERF, parallel=4), old).trust.valid
    assert judged(dataclasses.replace(IPERF, parallel=8), old).trust.valid
