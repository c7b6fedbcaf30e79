"""Student's t distribution, as far as confidence intervals need it."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
"""The confidence of intervals, where nothing else is asked for."""

FEWEST_EQUAL = 8
"""Eight equal signs have a chance of less than 1 in 100 when nothing differs."""

_TOO_WIDE = 1e9
_STEPS = 100
_MANY = 1000
"""Beyond so many degrees of freedom, a quantile far out in the tail changes by less than 1 %."""


def within(t: float, degrees: int) -> float:
    """The probability that |T| is at most `t`, for T with this many degrees of freedom.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4: exact, by a finite sum.
    """
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for number in range(1 + odd, degrees, 2):  # the last term has the power degrees - 2 of the cosine
        total += term
        term *= cosine * cosine * number / (number + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


@functools.cache
def two_sided(confidence: float, degrees: int) -> float:
    """The t that |T| does not exceed with the probability `confidence` (0..1)."""
    low, high = 0.0, _TOO_WIDE
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if within(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def one_sided(beyond: float, degrees: int) -> float:
    """The t that T exceeds with the probability `beyond` (0..0.5); for very many degrees slightly more."""
    return two_sided(1 - 2 * beyond, min(degrees, _MANY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with the bounds of its confidence interval, which are None for a single value."""

    mean: float
    low: float | None
    high: float | None


def mean_ratio(ratios: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """The geometric mean of positive ratios, with its interval by Student's t on their logarithms.

    Logarithms, because twice as fast and half as fast must weigh the same.  Fewer than `FEWEST_EQUAL` ratios that are
    all the same have no interval: they are those of whole numbers, whose spread is hidden.
    """
    logs = [math.log(ratio) for ratio in ratios]
    mean = statistics.fmean(logs)
    equal = max(logs) - min(logs) < 1e-9
    if len(logs) < 2 or (equal and len(logs) < FEWEST_EQUAL):
        return Estimate(mean=math.exp(mean), low=None, high=None)
    half = two_sided(confidence, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Estimate(mean=math.exp(mean), low=_exp(mean - half), high=_exp(mean + half))


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
