from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from loadgen.measure.cells import Cell
from loadgen.measure.histogram import Histogram
from loadgen.model.errors import PlanError
from loadgen.model.outcome import OUTCOMES, Outcome
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.fates import Fates
from loadgen.verdict.slo import Slo


def window(times_ms: list[int], *, unanswered_ms: tuple[int, ...] = (), **outcomes: int) -> Fates:
    found = np.zeros(OUTCOMES, np.int64)
    found[Outcome.OK] = len(times_ms)
    for name, count in outcomes.items():
        found[Outcome[name]] = count
    found[Outcome.CUT] += len(unanswered_ms)
    times, unanswered = (Histogram.of(np.array(one, np.int64) * NS_PER_MS) for one in (times_ms, unanswered_ms))
    made = dataclasses.replace(Cell.empty(1, 1), outcomes=found, response=times, response_cut=unanswered)
    return Fates(made, unanswered)


HUNDRED = list(range(1, 101))


@pytest.mark.parametrize(
    ("text", "value", "ok"),
    [
        ("p99<100ms", 99, True),
        ("p99<99ms", 99, False),  # the upper end of the bucket of 99 ms is slightly above 99 ms
        ("p50 <= 51ms", 50, True),
        ("p99.9<=1s", 100, True),
        ("max<100ms", 100, False),
        ("max<=100ms", 100, True),
        ("mean<60ms", 50.5, True),
        ("mean<50ms", 50.5, False),
        ("rate>9/s", 10, True),
        ("rate>10/s", 10, False),
        ("rate>=10", 10, True),
        ("rate>1k/s", 10, False),
        ("errors<0.1%", 0, True),
        ("errors<=0", 0, True),  # in any unit
        ("errors<0", 0, False),
        ("shed<1%", 0, True),
    ],
)
def test_an_objective_is_judged_with_its_numbers(text: str, value: float, ok: bool) -> None:
    check = Slo.parse(text).judge(window(HUNDRED), 10.0)
    assert check.value == pytest.approx(value, rel=2e-3)
    assert check.ok is ok
    assert check.detail


def test_shed_and_cut_operations_are_no_errors() -> None:
    found = window(HUNDRED[:98], TIMED_OUT=2, SHED=50, CUT=50)
    errors = Slo.parse("errors<=2%").judge(found, 1.0)
    assert (errors.value, errors.ok) == (2.0, True)
    shed = Slo.parse("shed<25%").judge(found, 1.0)
    assert (shed.value, shed.ok) == (25.0, False)


@pytest.mark.parametrize("text", ["p99<1h", "mean<1h", "max<1h", "errors<100%", "shed<100%"])
def test_without_measurements_no_objective_is_met(text: str) -> None:
    check = Slo.parse(text).judge(window([]), 1.0)
    assert not check.ok
    assert not check.known


@pytest.mark.parametrize("metric", ["p99", "p50", "mean", "max"])
def test_failed_requests_leave_a_time_objective_unmet(metric: str) -> None:
    """Forty percent ended as timed out; and one answer was quick among many refusals."""
    check = Slo.parse(f"{metric}<50ms").judge(window([5] * 60, TIMED_OUT=40), 10.0)
    assert check.ok is (metric == "p50")
    assert check.at_least is (metric != "p50")
    assert not Slo.parse(f"{metric}<50ms").judge(window([1], REFUSED=99_999), 10.0).ok


def test_unanswered_requests_are_errors_and_lower_bounds() -> None:
    silent = window([4] * 100, unanswered_ms=tuple(range(20, 2020, 20)))
    p99 = Slo.parse("p99<50ms").judge(silent, 4.0)
    assert p99.value == pytest.approx(1960, rel=0.002)
    assert (p99.ok, p99.at_least) == (False, True)
    assert "100 cut" in p99.detail
    errors = Slo.parse("errors<0.1%").judge(silent, 4.0)
    assert (errors.value, errors.ok) == (50.0, False)
    assert not Slo.parse("errors<99%").judge(window([], unanswered_ms=(100, 200)), 4.0).ok


def test_a_percentile_that_is_an_interval_says_so_and_why() -> None:
    p50 = Slo.parse("p50<1ms").judge(window(HUNDRED, unanswered_ms=(5,) * 30), 10)
    assert not p50.at_least
    assert p50.detail.endswith("because 30 of them have no reply")
    assert "; it lies between " in p50.detail
    assert "lies between" not in Slo.parse("p50<1ms").judge(window(HUNDRED), 10).detail


def test_a_connection_that_hangs_in_a_closed_loop_counts_with_its_time() -> None:
    """Five of a hundred connections hang for all of ten seconds, beside a million quick answers."""
    hung = window([1] * 1_000_000, unanswered_ms=(10_000,) * 5)
    closed = Slo.parse("errors<0.1%").judge(hung, 10.0, closed_connections=100)
    assert closed.value == pytest.approx(5, rel=0.01)
    assert not closed.ok
    assert "time" in closed.detail
    assert Slo.parse("errors<0.1%").judge(hung, 10.0).ok


NONE = (
    "p99 p99< p<5ms p0<5ms p101<5ms p99>5ms rate<5/s errors<5 errors<5ms p99=5ms errors>1% rate>x latency<5ms max<5ly"
)


@pytest.mark.parametrize("text", ["", *NONE.split()])
def test_invalid_objectives_are_refused_with_examples(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        Slo.parse(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("p99 < 50", "write 50ms or 50s"),
        ("mean<1e3", "write 1e3ms or 1e3s"),
        ("max<=.5", "write .5ms or .5s"),
        ("p(95)<500", "write 500ms or 500s"),
        ("errors<0.1", "write errors<10% for that share, or errors<0.1%"),
        ("shed<=5", "write shed<=500% for that share, or shed<=5%"),
        ("rate>30m", "write 30/m, or 30M/s for millions"),
    ],
)
def test_a_limit_that_may_mean_two_things_is_refused_with_both(text: str, hint: str) -> None:
    with pytest.raises(PlanError) as caught:
        Slo.parse(text)
    assert caught.value.message.startswith(repr(text))
    assert caught.value.hint == hint


def test_objectives_of_old_records_may_have_seconds_without_a_unit() -> None:
    assert Slo.parse("p99<5", bare=True).limit == 5000


@pytest.mark.parametrize(
    ("text", "metric", "limit"),
    [
        ("p(95)<500ms", "p95", 500),  # as k6 writes it
        ("p99<1m30s", "p99", 90_000),
        ("max<1e3ms", "max", 1000),
        ("errors<1e-1%", "errors", 0.1),
        ("rate>30/m", "rate", 0.5),
        ("rate>=0", "rate", 0),
        ("rate>1e3", "rate", 1000),
    ],
)
def test_limits_are_written_as_in_other_options(text: str, metric: str, limit: float) -> None:
    found = Slo.parse(text)
    assert (found.metric, found.limit) == (metric, limit)
