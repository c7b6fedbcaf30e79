"""Student's t, and intervals of ratios: known values, and laws that hold for all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.verdict.student import CONFIDENCE, mean_ratio, one_sided, two_sided, within

RATIOS = st.lists(st.floats(0.01, 100), min_size=2, max_size=30).filter(lambda them: max(them) > 1.001 * min(them))


@pytest.mark.parametrize(
    ("degrees", "t95", "t99"),  # Fisher and Yates, table III
    [(1, 12.706, 63.657), (2, 4.303, 9.925), (3, 3.182, 5.841), (9, 2.262, 3.250), (30, 2.042, 2.750)],
)
def test_quantiles_are_those_of_the_tables(degrees: int, t95: float, t99: float) -> None:
    assert two_sided(0.95, degrees) == pytest.approx(t95, abs=6e-4)
    assert two_sided(0.99, degrees) == pytest.approx(t99, abs=6e-4)


def test_many_degrees_are_the_normal_distribution() -> None:
    assert two_sided(0.95, 9999) == pytest.approx(1.95996, abs=5e-4)


@given(st.floats(0, 1e3), st.integers(1, 300))
def test_a_probability_is_one_and_more_degrees_are_narrower(t: float, degrees: int) -> None:
    assert 0 <= within(t, degrees) <= 1 + 1e-12
    assert within(t, degrees + 1) >= within(t, degrees) - 1e-12


@given(st.floats(0.01, 0.999), st.integers(1, 200))
def test_the_quantile_inverts_the_probability(confidence: float, degrees: int) -> None:
    assert within(two_sided(confidence, degrees), degrees) == pytest.approx(confidence, abs=1e-9)


@pytest.mark.parametrize(
    ("degrees", "beyond", "expected"),  # integrated numerically
    [(1, 0.01, 31.8205), (2, 1e-4, 70.7001), (4, 3e-6, 31.570), (8, 1e-4, 6.4420), (20, 3e-6, 6.0860)],
)
def test_quantiles_far_out_in_the_tail(degrees: int, beyond: float, expected: float) -> None:
    assert one_sided(beyond, degrees) == pytest.approx(expected, rel=1e-3)


def test_very_many_degrees_take_no_longer_than_many() -> None:
    assert one_sided(1e-7, 1_000_000) == pytest.approx(5.1993, rel=0.01)  # that of the normal distribution


@given(RATIOS)
def test_the_interval_holds_the_mean_and_the_mean_lies_between_the_ratios(ratios: list[float]) -> None:
    found = mean_ratio(ratios)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.mean * (1 + 1e-12)
    assert found.mean <= found.high * (1 + 1e-12)
    assert min(ratios) * (1 - 1e-9) <= found.mean <= max(ratios) * (1 + 1e-9)


@given(RATIOS)
def test_the_inverse_ratios_have_the_inverse_interval(ratios: list[float]) -> None:
    found, inverse = mean_ratio(ratios), mean_ratio([1 / ratio for ratio in ratios])
    assert inverse.mean == pytest.approx(1 / found.mean)
    if found.high and math.isfinite(found.high) and found.low:
        assert inverse.low == pytest.approx(1 / found.high, rel=1e-6)


@given(RATIOS, st.floats(0.01, 100))
def test_a_factor_moves_the_whole_interval(ratios: list[float], factor: float) -> None:
    found, moved = mean_ratio(ratios), mean_ratio([factor * ratio for ratio in ratios])
    assert moved.mean == pytest.approx(factor * found.mean)
    assert found.low is not None
    assert moved.low == pytest.approx(factor * found.low, rel=1e-6)


def test_a_few_equal_ratios_have_no_interval() -> None:
    """19 of 20 connections three times: whole numbers hide their spread, so that nothing is shown."""
    assert mean_ratio([2.0]).low is None
    few = mean_ratio([0.95] * 7)
    assert few.mean == pytest.approx(0.95)
    assert (few.low, few.high) == (None, None)
    many = mean_ratio([1.25] * 8)
    assert many.low == pytest.approx(1.25) == many.high


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    drawn = np.exp(np.random.default_rng(7).normal(0.3, 0.2, (4000, 5)))
    held = 0
    for ratios in drawn.tolist():
        found = mean_ratio(ratios)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= math.exp(0.3) <= found.high
    assert held / len(drawn) == pytest.approx(CONFIDENCE, abs=0.012)
