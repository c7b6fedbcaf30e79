"""Percentiles, means and maxima of times that are partly known by lower bounds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.cells import Cell
from loadgen.measure.censored import Span, Times
from loadgen.measure.histogram import Histogram
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS
from tests.support.evidence import histograms


def ms(values: Sequence[float]) -> Histogram:
    return Histogram.of((np.array(values, np.float64) * NS_PER_MS).astype(np.int64))


def times(known: Sequence[float], failed: Sequence[float] = (), cut: Sequence[float] = ()) -> Times:
    return Times(ms(known), ms(failed), ms(cut))


def in_ms(span: Span | None) -> Any:
    assert span is not None
    return span.low / NS_PER_MS, span.high / NS_PER_MS


def test_a_silent_server_leaves_only_a_lower_bound_of_the_percentile() -> None:
    """Two seconds of answers in 4 ms, then two seconds of silence, at 50 operations a second."""
    silent = times([4] * 100, cut=range(20, 2020, 20))
    assert in_ms(silent.percentile(99)) == (pytest.approx(1960, rel=0.002), math.inf)
    assert in_ms(silent.percentile(50)) == (pytest.approx(4, rel=0.002), pytest.approx(4, rel=0.002))
    assert in_ms(silent.percentile(100)) == (2000, math.inf)
    assert in_ms(silent.mean())[1] == math.inf


def test_one_answer_among_refusals_holds_no_percentile() -> None:
    refused = times([3], failed=[0.1] * 99_999)
    assert in_ms(refused.percentile(99)) == (pytest.approx(0.1, rel=0.002), math.inf)
    assert in_ms(refused.percentile(0.001)) == (pytest.approx(0.1, rel=0.002), pytest.approx(3, rel=0.002))


def test_forty_percent_of_time_outs_leave_the_median_known() -> None:
    found = times([5] * 60, failed=[1000] * 40)
    assert in_ms(found.percentile(50)) == (pytest.approx(5, rel=0.002),) * 2
    assert in_ms(found.percentile(60)) == (pytest.approx(5, rel=0.002),) * 2
    assert in_ms(found.percentile(61)) == (1000, math.inf)


def test_what_is_ordinarily_under_way_at_the_end_leaves_all_values_bounded() -> None:
    """Ten connections, each inside of an operation, and nothing is wrong."""
    found = times(list(range(1, 101)), cut=[5.5, 10.5, 20.5, 30.5, 40.5, 50.5, 60.5, 70.5, 80.5, 90.5])
    low, high = in_ms(found.percentile(99))
    assert low <= high <= 101
    assert in_ms(found.percentile(100)) == (100, 100)
    assert math.isfinite(in_ms(found.mean())[1])


def test_a_cut_operation_counts_as_those_that_took_longer() -> None:
    """Two of 1 ms, one of 10 and one of 20; the cut one waited 5 ms, so it becomes half of 10 and half of 20."""
    found = times([1, 1, 10, 20], cut=[5])
    assert in_ms(found.percentile(40))[1] == pytest.approx(1, rel=0.002)
    assert in_ms(found.percentile(69))[1] == pytest.approx(10, rel=0.002)  # 3.45 of 5; 3.5 are up to 10 ms
    assert in_ms(found.percentile(71))[1] == pytest.approx(20, rel=0.002)
    assert in_ms(found.mean()) == (pytest.approx(37 / 5, rel=0.002), pytest.approx(47 / 5, rel=0.002))


def test_a_little_more_patience_than_the_slowest_answer_needed_is_no_silence() -> None:
    """The request that had waited 25 ms may take up to twice the slowest time; the one of 50 ms is unanswered."""
    found = times([10] * 97 + [20], cut=[25])
    assert in_ms(found.percentile(100)) == (25, 40)
    assert in_ms(found.percentile(98))[1] == pytest.approx(20, rel=0.002)
    assert in_ms(found.mean())[1] == pytest.approx((970 + 20 + 40) / 99, rel=0.002)
    both = times([10] * 97 + [20], cut=[25, 50])
    assert in_ms(both.percentile(100)) == (50, math.inf)
    assert in_ms(both.percentile(99))[1] == 40


def test_without_an_answer_nothing_has_an_upper_bound() -> None:
    assert in_ms(times([], cut=[100, 200]).percentile(50)) == (pytest.approx(100, rel=0.002), math.inf)
    assert times([]).percentile(50) is None
    assert times([]).mean() is None


@given(known=histograms, failed=histograms, cut=histograms, q=st.floats(0.1, 100))
def test_an_interval_is_in_order_and_all_known_is_exact(
    known: Histogram, failed: Histogram, cut: Histogram, q: float
) -> None:
    found = Times(known, failed, cut)
    for span in (found.percentile(q), found.mean()):
        assert (span is None) == (found.total == 0)
        assert span is None or span.low <= span.high
    exact = Times.exactly(known)
    if known.total:
        value = known.percentile_ns(q)
        assert value is not None
        assert exact.percentile(q) == Span(value, value)
        mean = known.mean_ns
        assert mean is not None
        assert exact.mean() == Span(mean, mean)
    worse = Times(known, Histogram.merge_all([failed, Histogram.of(np.array([5]))]), cut).percentile(100)
    assert worse is not None
    assert worse.high == math.inf


def test_a_record_without_lower_bounds_counts_what_failed_with_nothing() -> None:
    outcomes = np.zeros(len(Outcome), np.int64)
    outcomes[[Outcome.OK, Outcome.TIMED_OUT, Outcome.CUT]] = 2, 3, 4
    old = dataclasses.replace(Cell.empty(1, 1), outcomes=outcomes, response=ms([1, 2]))
    found = Times.response_of(old)
    assert (found.total, found.failed.total, found.cut.total) == (9, 3, 4)
    assert in_ms(found.percentile(99))[1] == math.inf
