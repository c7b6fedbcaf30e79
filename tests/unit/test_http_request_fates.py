"""Every due operation of an HTTP run has one fate, and none is left out of its result."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.result import Check, Verdict
from tests.support.https import ended, result

CLOSED = HttpPlan(
    requests=(HttpRequest(url="http://192.0.2.1:8080/"),), connections=20, duration_ns=4 * NS_PER_S, seed=7
)
OPEN = dataclasses.replace(CLOSED, rate_per_s=50.0, connections=300)
OK, CUT = Outcome.OK, Outcome.CUT

Operations = Sequence[tuple[float, float, Outcome]]


def of(plan: HttpPlan, operations: Operations, *slos: str, start_s: float = 0.0) -> HttpResult:
    plan = dataclasses.replace(plan, slos=slos, warmup_ns=round(start_s * NS_PER_S))
    return result(plan, given=ended(plan, operations, start_s=start_s))


def accounted(found: HttpResult) -> Check:
    return next(check for check in found.trust.checks if check.name == "time unaccounted for")


def closed(until_s: float, took_s: float = 0.04, *, hung: int = 0) -> Operations:
    """Each connection plays operations back to back until `until_s`; the first `hung` are in one for all of 4 s."""
    rounds = round(until_s / took_s)
    played = [
        (at * took_s, (at + 1) * took_s, OK) if number >= hung else (4.5, 4.5, OK)
        for at in range(rounds)
        for number in range(20)
    ]
    wait = [(until_s if number >= hung else 0.0, 4.0, CUT) for number in range(20)]
    return [one for one in [*played, *wait] if one[0] < 4.0]


SILENT = [(n / 50, n / 50 + 0.004, OK) if n < 100 else (n / 50, 4.0, CUT) for n in range(200)]


def test_two_seconds_of_answers_and_two_of_silence() -> None:
    found = of(OPEN, SILENT, "p99<50ms", "errors<0.1%")
    assert found.verdict is Verdict.NOT_CONFORMING
    assert [check.ok for check in found.slos] == [False, False]
    p99 = found.total.response_ms.p99
    assert p99 is not None
    assert p99.low >= 1900
    assert p99.high is None
    assert found.slos[1].value == pytest.approx(100 * 100 / 200)
    assert (found.total.ok, found.total.cut, found.total.unanswered, found.total.due) == (100, 100, 100, 200)
    assert "p99 is at least 1,96" in found.reasons[0]
    assert "100 requests had no complete reply at the end, after up to 2 s." in found.reasons


@pytest.mark.parametrize("plan", [CLOSED, OPEN], ids=["closed", "open"])
@pytest.mark.parametrize("slos", [(), ("errors<99%",)], ids=["no objective", "objective"])
def test_a_server_that_never_answers_does_not_conform(plan: HttpPlan, slos: tuple[str, ...]) -> None:
    found = of(plan, [(0.0, 4.0, CUT)] * 20, *slos)
    assert found.verdict is Verdict.NOT_CONFORMING
    assert found.trust.valid, "the engine is busy only in the moment in which it ends"
    assert "No request was answered: 20 had no complete reply at the end, after up to 4 s." in found.reasons


def test_connections_that_hang_are_the_server_s_and_count_with_their_time() -> None:
    found = of(CLOSED, closed(3.96, hung=1), "errors<1%")
    assert accounted(found).ok
    assert found.verdict is Verdict.NOT_CONFORMING
    assert found.slos[0].value == pytest.approx(5, rel=0.01)
    assert found.total.unanswered == 1
    without = of(CLOSED, closed(3.96, hung=1))
    assert without.verdict is Verdict.CONFORMING
    assert "1 unanswered" in without.reasons[0]


def test_a_server_that_stands_still_at_the_end_leaves_no_time_unaccounted_for() -> None:
    found = of(CLOSED, closed(3.0), "errors<1%")
    assert accounted(found).ok
    assert (found.verdict, found.total.unanswered) == (Verdict.NOT_CONFORMING, 20)
    idle = of(CLOSED, [one for one in closed(3.0) if one[2] is OK])
    assert not accounted(idle).ok
    assert idle.verdict is Verdict.INVALID


def test_a_connection_that_hangs_since_the_warm_up_counts_in_the_window() -> None:
    """Nothing of it was due in the window."""
    warm = [(due + 2, done + 2, outcome) for due, done, outcome in closed(3.96, hung=1)]
    hung = [(0.5, 6.0, CUT) if outcome is CUT and due == 2.0 else (due, done, outcome) for due, done, outcome in warm]
    found = of(CLOSED, hung, "errors<1%", start_s=2.0)
    assert accounted(found).ok
    assert (found.total.unanswered, found.slos[0].ok) == (1, False)
    assert found.slos[0].value == pytest.approx(5, rel=0.01)
    longest = found.total.response_ms.max
    assert longest is not None
    assert (round(longest.low), longest.high) == (5500, None)


def test_a_slow_server_has_the_rate_at_which_it_answers() -> None:
    """A second for each reply: 10/s with 10 connections, within one request for each connection."""
    plan = dataclasses.replace(CLOSED, connections=10, duration_ns=round(5.5 * NS_PER_S))
    played = [(float(at), min(at + 1.0, 7.8), OK if at < 7 else CUT) for at in range(8) for _ in range(10)]
    found = of(plan, played, "rate>9/s", "max<1001ms", start_s=2.3)
    assert found.verdict is Verdict.CONFORMING
    assert (found.total.ok, found.total.cut, found.total.unanswered, found.total.due) == (50, 10, 0, 60)
    assert abs(found.total.per_s - 10) * 5.5 <= 10
    assert found.sent == 80
    assert accounted(found).value == 0
    bytes_inside = 10 * (70 + 4 * 100 + 100)
    assert found.total.mbit_per_s == pytest.approx(8e-6 * bytes_inside / 5.5, rel=1e-6)


def test_a_wait_across_the_opening_of_the_window_counts_in_whole() -> None:
    """Each connection waited from 1 s before the window until 0.5 s into it."""
    warm = [(at * 0.05, at * 0.05 + 0.05, OK) for at in range(20) for _ in range(20)]
    stalled = [*warm, *[(1.0, 2.5, OK)] * 20]
    after = [(2.5 + at * 0.05, 2.55 + at * 0.05, OK) for at in range(70) for _ in range(20)]
    found = of(CLOSED, [*stalled, *after], "max<500ms", start_s=2.0)
    assert found.verdict is Verdict.NOT_CONFORMING
    longest = found.total.response_ms.max
    assert longest is not None
    assert (round(longest.low), round(longest.high or 0)) == (1500, 1500)
    assert (found.total.ok, accounted(found).ok) == (71 * 20, True)


def test_what_is_under_way_at_the_end_of_a_good_run_is_nobody_s_fault() -> None:
    played = [one for one in closed(3.98, took_s=0.02) if one[2] is OK]
    found = of(CLOSED, [*played, *[(3.985, 4.0, CUT)] * 20], "errors<=0%", "p99<50ms", "max<50ms", "mean<50ms")
    assert found.verdict is Verdict.CONFORMING
    assert (found.total.cut, found.total.unanswered) == (20, 0)
    assert found.reasons == ("All 4 objectives hold: 3,980 requests, 995 per second, 0 errors.",)


def test_failed_requests_hold_no_percentile() -> None:
    answered = [(n / 50, n / 50 + 0.004, OK) for n in range(150) if n % 5 > 1]
    timed_out = [*answered, *((n / 50, n / 50 + 1, Outcome.TIMED_OUT) for n in range(150) if n % 5 < 2)]
    found = of(OPEN, timed_out, "p99<50ms")
    assert (found.verdict, found.total.errors) == (Verdict.NOT_CONFORMING, {"TIMED_OUT": 60})
    refused = [(n / 50, n / 50, Outcome.REFUSED if n else OK) for n in range(150)]
    assert of(OPEN, refused, "p99<50ms").verdict is Verdict.NOT_CONFORMING


def test_low_rates_are_printed_as_they_are() -> None:
    found = of(OPEN, [(1.0, 1.1, OK), (2.0, 2.1, OK), (3.0, 3.1, OK)])
    assert "0.75 per second" in found.reasons[0]


def test_the_fates_of_each_target_add_up() -> None:
    found = of(OPEN, [*SILENT, (0.5, 0.6, Outcome.RESET), (0.5, 0.5, Outcome.SHED)])
    for row in (*found.targets, found.total):
        assert row.due == row.ok + sum(row.errors.values()) + row.cut == 202
        assert row.sent == found.sent == 201
