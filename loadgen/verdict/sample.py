"""What repeated runs say about a number: its median and how far chance moves it, runs that stand out, and drift."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadgen.verdict.ranks import FEWEST, Interval, median_interval, slope, trend_chance

NOISY = 0.05
"""Repeats are noisy from this coefficient of variation on: of ten runs, the median then misses the true one by 4 %."""

FALSE_ALARMS = 0.01
"""How often undisturbed repeats show an outlier, or a drift, by chance."""

_NORMAL_MAD = 1.4826
"""Standard deviations of a normal distribution in a median absolute deviation."""

_LEAST_SCALE = 0.001
"""Values that differ by less than this share of their median are alike: then a difference is not an outlier."""

_SIMULATED = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A trend over the repeats: `change` is that from the first to the last, as a share of the median.

    `chance`: how likely repeats without any trend show one as clear as this.
    """

    change: float
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The values of a number in repeated runs, in their order.

    `low` and `high` hold the true median with 95 % confidence; None for fewer than 6 values.  `variation` is the
    coefficient of variation (standard deviation over mean), None for a single value or a mean of 0.  `outliers` are
    the places of values that stand out, from 0; they count like all others.
    """

    values: tuple[float, ...]
    median: float
    low: float | None
    high: float | None
    variation: float | None
    outliers: tuple[int, ...]
    drift: Drift | None

    @property
    def noisy(self) -> bool:
        """Whether the values vary much from run to run."""
        return self.variation is not None and self.variation >= NOISY


def sample_of(values: Sequence[float]) -> Sample:
    """What the values say.  Raises statistics.StatisticsError when there is none."""
    interval = median_interval(values) or Interval(0.0, 0.0)
    enough = len(values) >= FEWEST
    return Sample(
        values=tuple(values),
        median=statistics.median(values),
        low=interval.low if enough else None,
        high=interval.high if enough else None,
        variation=_variation(values),
        outliers=_outliers(values) if enough else (),
        drift=_drift(values) if enough else None,
    )


def _variation(values: Sequence[float]) -> float | None:
    mean = statistics.fmean(values)
    return statistics.stdev(values) / abs(mean) if len(values) > 1 and mean else None


def _outliers(values: Sequence[float]) -> tuple[int, ...]:
    middle = statistics.median(values)
    away = [abs(value - middle) for value in values]
    scale = max(_NORMAL_MAD * statistics.median(away), _LEAST_SCALE * abs(middle))
    return tuple(at for at, distance in enumerate(away) if distance > _outlier_limit(len(values)) * scale)


@functools.cache
def _outlier_limit(count: int) -> float:
    """The distance from the median, in scales, that a share of 1 - FALSE_ALARMS of normal samples stays within.

    A fixed limit, such as the usual 3.5, is exceeded in one of eight normal samples of 10.  Seeded, so that equal
    values always give equal answers.
    """
    drawn = np.random.default_rng(count).standard_normal((_SIMULATED, count))
    away = np.abs(drawn - np.median(drawn, axis=1, keepdims=True))
    furthest = away.max(axis=1) / (_NORMAL_MAD * np.median(away, axis=1))
    return float(np.quantile(furthest, 1 - FALSE_ALARMS))


def _drift(values: Sequence[float]) -> Drift | None:
    _, chance = trend_chance(values)
    middle = statistics.median(values)
    if chance > FALSE_ALARMS or not middle:
        return None
    return Drift(change=slope(values) * (len(values) - 1) / abs(middle), chance=chance)
