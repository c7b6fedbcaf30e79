"""What is said of repeated values: by simulation, with a known truth."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from loadgen.verdict.sample import FALSE_ALARMS, sample_of

GROUPS = 1000
FEW = 2.5 * FALSE_ALARMS * GROUPS
"""More false alarms than these, in so many groups, have a chance of less than 1 in 10,000."""


def groups(count: int, *, seed: int = 1) -> list[list[float]]:
    chance = random.Random(seed)
    return [[chance.gauss(100, 3) for _ in range(count)] for _ in range(GROUPS)]


@pytest.mark.parametrize("count", [6, 10, 20])
def test_repeats_without_a_drift_seldom_show_one(count: int) -> None:
    assert sum(sample_of(values).drift is not None for values in groups(count)) <= FEW


@pytest.mark.parametrize("count", [6, 10, 20])
def test_repeats_without_a_disturbance_seldom_show_an_outlier(count: int) -> None:
    assert sum(bool(sample_of(values).outliers) for values in groups(count)) <= FEW


@pytest.mark.parametrize("sign", [1, -1])
def test_a_drift_is_found_with_its_size(sign: int) -> None:
    found = 0
    for values in groups(10)[:100]:
        drift = sample_of([value + sign * 2 * place for place, value in enumerate(values)]).drift
        found += drift is not None and 0.1 < sign * drift.change < 0.3
    assert found >= 80


def test_a_step_is_a_drift() -> None:
    drift = sample_of([100.0, 101.0, 99.5, 100.5, 99.0, 90.0, 89.0, 91.0, 88.0, 87.0]).drift
    assert drift is not None
    assert drift.change < 0


def test_a_run_that_stands_out_is_named_and_counts() -> None:
    values = [100.0, 101.0, 99.0, 100.5, 40.0, 99.5, 100.2, 100.8]
    found = sample_of(values)
    assert found.outliers == (4,)
    assert found.values == tuple(values)
    assert found.median == pytest.approx(100.1)


@pytest.mark.parametrize("values", [[20.0] * 8, [20.0] * 4, [20.0, 20.01, 20.0, 20.0, 20.0, 20.0]])
def test_values_that_are_alike_show_nothing(values: Sequence[float]) -> None:
    found = sample_of(values)
    assert (found.outliers, found.drift, found.noisy) == ((), None, False)


def test_one_score_that_differs_from_equal_ones_stands_out() -> None:
    assert sample_of([20.0, 20.0, 20.0, 19.0, 20.0, 20.0]).outliers == (3,)


def test_few_values_have_a_median_and_nothing_else() -> None:
    found = sample_of([100.0, 1.0, 100.0, 100.0, 100.0])
    assert (found.median, found.low, found.high, found.outliers, found.drift) == (100.0, None, None, (), None)


def test_the_coefficient_of_variation() -> None:
    found = sample_of([90.0, 100.0, 110.0])
    assert found.variation == pytest.approx(0.1)
    assert found.noisy
    assert sample_of([7.0]).variation is None
    assert sample_of([0.0, 0.0]).variation is None
