"""Statistics of orders: exact where a formula is known, and by simulation with a known truth."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest

from loadgen.verdict.ranks import FEWEST, median_interval, ratio_of, slope, trend_chance


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(6, 1, 6), (8, 1, 8), (9, 2, 8), (10, 2, 9), (20, 6, 15), (50, 18, 33)],  # Conover, table of the sign test
)
def test_the_interval_of_a_median_lies_between_two_of_the_values(count: int, low: int, high: int) -> None:
    values = random.Random(count).sample([float(value) for value in range(1, count + 1)], count)
    found = median_interval(values)
    assert found is not None
    assert (found.low, found.high) == (low, high)


@pytest.mark.parametrize("count", range(FEWEST))
def test_fewer_than_six_values_give_no_interval(count: int) -> None:
    assert median_interval([1.0] * count) is None


@pytest.mark.parametrize(
    ("draw", "median"),
    [
        (random.Random.random, 0.5),
        (lambda chance: chance.expovariate(1.0), math.log(2)),
        (lambda chance: chance.paretovariate(1.0), 2.0),
    ],
)
def test_the_interval_holds_the_true_median_of_any_distribution(
    draw: Callable[[random.Random], float], median: float
) -> None:
    chance = random.Random(1)
    held = 0
    for _ in range(400):
        found = median_interval([draw(chance) for _ in range(9)])
        held += found is not None and median in found
    assert 370 <= held < 400


@pytest.mark.parametrize("count", [3, 4, 5, 6])
def test_the_chance_of_a_trend_is_the_share_of_orders_with_one_as_clear(count: int) -> None:
    def score(order: tuple[int, ...]) -> int:
        return sum((then > first) - (then < first) for first, then in itertools.combinations(order, 2))

    orders = list(itertools.permutations(range(count)))
    for order in orders[:: max(1, len(orders) // 40)]:
        as_clear = sum(abs(score(other)) >= abs(score(order)) for other in orders)
        direction, chance = trend_chance([float(value) for value in order])
        assert direction == (score(order) > 0) - (score(order) < 0)
        assert chance == pytest.approx(as_clear / len(orders))


def test_very_many_values_are_no_harder_than_a_few() -> None:
    """1024 values are more than a float can count the orders of; the bounds are those of the normal distribution."""
    found = median_interval([float(value) for value in range(2000)])
    assert found is not None
    assert found.low == pytest.approx(1000 - 0.98 * 2000**0.5, abs=2)
    assert found.high == pytest.approx(1000 + 0.98 * 2000**0.5, abs=2)


def test_the_chance_of_a_trend_in_many_values_goes_on_from_that_in_few() -> None:
    chance = random.Random(3)
    series = [value / 150 + chance.random() for value in range(51)]
    (rising, exact), (also, normal) = trend_chance(series[:50]), trend_chance(series)
    assert rising == also == 1
    assert normal == pytest.approx(exact, rel=0.5)
    assert 1e-7 < exact < 0.1
    assert trend_chance([chance.random() for _ in range(300)])[1] > 0.01
    assert trend_chance([float(value) for value in range(300)])[1] < 1e-12


def test_equal_values_make_a_trend_no_more_likely() -> None:
    values = (1.0, 1.0, 2.0, 2.0, 3.0, 3.0)
    orders = [tuple(order) for order in itertools.permutations(values)]
    as_clear = sum(order in (values, values[::-1]) for order in orders)
    assert trend_chance(values)[1] >= as_clear / len(orders)
    assert trend_chance([5.0] * 9) == (0, 1.0)


def test_the_slope_is_that_of_most_pairs() -> None:
    assert slope([1.0, 3.0, 5.0, 7.0, 100.0, 11.0]) == 2.0


def test_the_ratio_is_the_median_over_all_pairs() -> None:
    found = ratio_of([2.0, 4.0], [1.0, 2.0], 0.99)
    assert (found.value, found.interval) == (2.0, None)


@pytest.mark.parametrize(("count", "left_out"), [(4, 0), (5, 1), (6, 3), (10, 17)])
def test_the_bounds_are_those_of_the_rank_sum_test(count: int, left_out: int) -> None:
    """The critical values of Mann and Whitney at 1 %, two-sided, are 0, 2 and 16."""
    own, base = [float(2**value) for value in range(count)], [1.0 + value / 1000 for value in range(count)]
    ratios = sorted(one / other for one in own for other in base)
    found = ratio_of(own, base, 0.99).interval
    if not left_out:
        assert found is None
    else:
        assert found is not None
        assert (found.low, found.high) == (ratios[left_out - 1], ratios[-left_out])


def test_the_normal_approximation_takes_over_without_a_jump() -> None:
    chance = random.Random(2)
    base = [chance.gauss(100, 5) for _ in range(80)]
    widths = []
    for count in (62, 63):  # 4,960 and 5,040 pairs
        found = ratio_of([chance.gauss(100, 5) for _ in range(count)], base, 0.99).interval
        assert found is not None
        widths.append(found.high - found.low)
    assert widths[1] == pytest.approx(widths[0], rel=0.25)


def test_ratios_of_zeros() -> None:
    assert ratio_of([0.0] * 6, [0.0] * 6, 0.99).value == 1.0
    none_left = ratio_of([0.0] * 6, [5.0] * 6, 0.99)
    assert none_left.interval is not None
    assert (none_left.value, none_left.interval.high) == (0.0, 0.0)
    assert ratio_of([5.0] * 6, [0.0] * 6, 0.99).value == math.inf
    with pytest.raises(ValueError, match="both sides"):
        ratio_of([], [1.0], 0.99)


def test_the_interval_of_a_ratio_holds_the_true_one() -> None:
    chance = random.Random(3)
    held = 0
    for _ in range(400):
        base = [chance.lognormvariate(0, 0.1) for _ in range(8)]
        own = [1.1 * chance.lognormvariate(0, 0.1) for _ in range(8)]
        interval = ratio_of(own, base, 0.99).interval
        held += interval is not None and 1.1 in interval
    assert held >= 390
