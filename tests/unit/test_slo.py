from __future__ import annotations

import numpy as np
import pytest

from loadgen.measure.cells import Cell
from loadgen.measure.histogram import Histogram
from loadgen.model.errors import PlanError
from loadgen.model.outcome import OUTCOMES, Outcome
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.slo import Slo


def cell(times_ms: list[int], **outcomes: int) -> Cell:
    found = np.zeros(OUTCOMES, np.int64)
    found[Outcome.OK] = len(times_ms)
    for name, count in outcomes.items():
        found[Outcome[name]] = count
    times = Histogram.of(np.array(times_ms, np.int64) * NS_PER_MS)
    return Cell(found, np.zeros((1, 1, 3), np.int64), 0, 0, 0, 0, 0, times, times, times)


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
        ("shed<1%", 0, True),
    ],
)
def test_an_objective_is_judged_with_its_numbers(text: str, value: float, ok: bool) -> None:
    check = Slo.parse(text).judge(cell(HUNDRED), 10.0)
    assert check.value == pytest.approx(value, rel=2e-3)
    assert check.ok is ok
    assert check.detail


def test_shed_and_cut_operations_are_no_errors() -> None:
    found = cell(HUNDRED[:98], TIMED_OUT=2, SHED=50, CUT=50)
    errors = Slo.parse("errors<=2%").judge(found, 1.0)
    assert (errors.value, errors.ok) == (2.0, True)
    shed = Slo.parse("shed<25%").judge(found, 1.0)
    assert (shed.value, shed.ok) == (25.0, False)


@pytest.mark.parametrize("text", ["p99<1h", "mean<1h", "max<1h", "errors<100%", "shed<100%"])
def test_without_measurements_no_objective_is_met(text: str) -> None:
    check = Slo.parse(text).judge(cell([]), 1.0)
    assert not check.ok
    assert check.value == 0.0


NONE = (
    "p99 p99< p<5ms p0<5ms p101<5ms p99>5ms rate<5/s errors<5 errors<5ms p99=5ms errors>1% rate>x latency<5ms max<5ly"
)


@pytest.mark.parametrize("text", ["", *NONE.split()])
def test_invalid_objectives_are_refused_with_examples(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        Slo.parse(text)
    assert caught.value.hint


def test_a_time_without_a_unit_is_in_seconds() -> None:
    assert Slo.parse("p99<5").limit == 5000
