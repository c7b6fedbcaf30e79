"""Statistics that need no assumption about the shape of a distribution: they only use the order of values.

All probabilities are exact sums over equally likely orders.  With equal values they are upper bounds.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
"""The confidence of the interval of a median."""

FEWEST = 6
"""Of fewer values, not even the lowest and the highest hold the median with CONFIDENCE: of 5, with 94 %."""

_EXACT_PAIRS = 5_000
"""For more pairs than these, the distribution of the rank sum is taken as normal."""


_EXACT_TREND = 50
"""For more values than these, the distribution of Kendall's score is taken as normal."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The bounds of an interval, both included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def median_interval(values: Sequence[float]) -> Interval | None:
    """Two of the values between which the true median lies with CONFIDENCE, or more; None for fewer than FEWEST.

    The number of values below the true median has a binomial distribution, whatever the values are drawn from.
    """
    count, ordered = len(values), sorted(values)
    most = 2**count // round(2 / (1 - CONFIDENCE))  # whole numbers: a float does not hold those of 1024 values
    left_out, orders, ways = 0, 1, 1
    while orders <= most:
        left_out += 1
        ways = ways * (count - left_out + 1) // left_out
        orders += ways
    return Interval(ordered[left_out - 1], ordered[count - left_out]) if left_out else None


@functools.cache
def _inversions(count: int) -> tuple[int, ...]:
    """By number of inversions: how many of the orders of `count` different values have it (Mahonian numbers)."""
    found: tuple[int, ...] = (1,)
    for size in range(2, count + 1):
        sums = [0]
        for one in found:
            sums.append(sums[-1] + one)
        length = len(found) + size - 1
        found = tuple(sums[min(at + 1, len(found))] - sums[max(0, at + 1 - size)] for at in range(length))
    return found


def trend_chance(values: Sequence[float]) -> tuple[int, float]:
    """The direction of a trend in a series (1 rises, -1 falls, 0 neither), and how likely chance alone gives one as
    clear as this in either direction.

    Mann (1945), Nonparametric tests against trend: the number of pairs in the order of the series.
    """
    count = len(values)
    pairs = [(first, then) for at, first in enumerate(values) for then in values[at + 1 :]]
    score = sum((then > first) - (then < first) for first, then in pairs)
    if not score:
        return 0, 1.0
    if count > _EXACT_TREND:
        deviation = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
        return (1 if score > 0 else -1), 2 * statistics.NormalDist().cdf(-(abs(score) - 1) / deviation)
    inversions = (len(pairs) - abs(score)) // 2  # rounded down only with equal values, where chance is bounded
    orders = sum(_inversions(count)[: inversions + (len(pairs) - abs(score)) % 2 + 1])
    return (1 if score > 0 else -1), min(1.0, 2 * orders / math.factorial(count))


def slope(values: Sequence[float]) -> float:
    """The median of the slopes between all pairs of a series, per step (Theil and Sen)."""
    return statistics.median(
        (values[then] - values[first]) / (then - first)
        for first in range(len(values))
        for then in range(first + 1, len(values))
    )


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times one is the other, with its interval; `interval` is None where there are too few values."""

    value: float
    interval: Interval | None


def ratio_of(own: Sequence[float], base: Sequence[float], confidence: float) -> Ratio:
    """How many times `base` is `own`, as the median of the ratios of all pairs (Hodges and Lehmann).

    The interval is that of the rank-sum test of Mann and Whitney: it holds the true ratio if the two distributions
    differ only by a factor.  A ratio to 0 is infinite, and 1 between two zeros.  Values are not negative; raises
    ValueError when a group is empty.
    """
    if not own or not base:
        raise ValueError("a ratio needs values on both sides")
    ratios = sorted(_divide(one, other) for one in own for other in base)
    left_out = _left_out(len(own), len(base), (1 - confidence) / 2)
    interval = Interval(ratios[left_out - 1], ratios[-left_out]) if left_out else None
    return Ratio(statistics.median(ratios), interval)


def _divide(one: float, other: float) -> float:
    if other:
        return one / other
    return math.inf if one else 1.0


@functools.cache
def _left_out(first: int, second: int, chance: float) -> int:
    """The place of the bound among the ordered pairs of two groups, which lies beyond the truth with `chance` at most;
    0 when the groups are too small.
    """
    pairs = first * second
    if pairs > _EXACT_PAIRS:
        spread = math.sqrt(pairs * (first + second + 1) / 12)
        return max(0, math.floor(pairs / 2 + statistics.NormalDist().inv_cdf(chance) * spread))
    most = chance * math.comb(first + second, first)
    place, orders = 0, 0
    for number in _rank_sums(first, second):
        orders += number
        if orders > most:
            break
        place += 1
    return place


def _rank_sums(first: int, second: int) -> list[int]:
    """By number of pairs in which the first group is above: how many orders of both groups have it.

    These are the coefficients of the Gaussian binomial: the product of (1 - x^(second + i)) / (1 - x^i).
    """
    found = [1] + [0] * (first * second)
    for size in range(1, first + 1):
        for at in range(len(found) - 1, second + size - 1, -1):
            found[at] -= found[at - second - size]
        for at in range(size, len(found)):
            found[at] += found[at - size]
    return found
