"""How do groups differ within strata?  The model behind the fairness of VMs and of clients.

A row is a connection in one iteration, with its bytes and its time in operations.  To compare VMs, the groups are VMs
and a stratum is one client in one iteration: only connections of the same client at the same time are compared, so that
a slow client, or a slow iteration, makes no VM slow.  To compare clients, a stratum is one VM in one iteration.

The model of a row is bytes = rate of its group * rate of its stratum * time, with an error of equal variance.  The
rates are those for which the bytes of each group, and of each stratum, are as measured; they are found by iterative
proportional fitting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.verdict.student import one_sided

_ROUNDS = 500
_ENOUGH = 1e-12
"""The fit ends when no rate changes by more, relative to the mean rate."""

_MEDIAN_NOISE = 2.0
"""How much the noise of the other groups counts: their median varies more than their mean (pi / 2 times), by far less
than this."""


@dataclass(frozen=True, slots=True)
class Differences:
    """What :func:`differences` found.  All arrays are by group.

    `rate`: relative to the mean of the groups with which it can be compared; NaN without any time in operations.
    `error`: its standard error, against the median of these groups; infinite when chance cannot be told.  `part`: only
    groups with the same number are compared, because others share no stratum with them, nor with groups that do.
    `freedom`: degrees of freedom of the error.  `explained`: the share of the variance between the rows' rates that the
    groups explain beyond chance, 0..1; None when it cannot be told.
    """

    rate: NDArray[np.float64]
    error: NDArray[np.float64]
    part: NDArray[np.int64]
    freedom: int
    explained: float | None

    @property
    def used(self) -> NDArray[np.bool_]:
        """The groups with a rate."""
        return ~np.isnan(self.rate)

    def shares(self) -> NDArray[np.float64]:
        """Each rate over the median of those above 0 in its part, the higher one of two.  NaN where unknown."""
        found = self.rate.copy()
        for part in np.unique(self.part[self.used]):
            inside = self.used & (self.part == part)
            rates = np.sort(self.rate[inside & (self.rate > 0)])
            if len(rates):
                found[inside] /= float(rates[len(rates) // 2])
        return found

    def chance(self, alarm: float) -> NDArray[np.float64]:
        """By how much a share may differ from 1 by chance: equal groups all stay within it with 1 - `alarm`."""
        number = int(self.used.sum())
        if self.freedom < 1 or not number:
            return np.full(len(self.rate), math.inf)
        return one_sided(alarm / (2 * number), self.freedom) * self.error


def differences(
    group: NDArray[np.int64],
    stratum: NDArray[np.int64],
    size: NDArray[np.float64],
    busy_ns: NDArray[np.float64],
    groups: int,
) -> Differences:
    """How `groups` groups differ.  The other arguments have one entry per row: its bytes and its time in operations."""
    rows = busy_ns > 0
    group, size, busy_ns = group[rows], size[rows], busy_ns[rows]
    _, stratum = np.unique(stratum[rows], return_inverse=True)
    strata = int(stratum.max(initial=-1)) + 1
    places, shape = group * strata + stratum, (groups, strata)
    time = _sums(places, busy_ns, groups * strata).reshape(shape)
    number = np.bincount(places, minlength=groups * strata).reshape(shape)
    rate, level = _fit(time, _sums(group, size, groups), _sums(stratum, size, strata))
    known = number.sum(axis=1) > 0
    part = _parts(number > 0)
    residuals = size - rate[group] * level[stratum] * busy_ns
    parts = len(np.unique(part[known]))
    freedom = len(size) - int(known.sum()) - strata + parts
    noise = float((residuals**2).sum())
    means = np.ones(groups)
    for one in np.unique(part[known]):
        inside = known & (part == one)
        means[inside] = rate[inside].mean()
        level[(time[inside] > 0).any(axis=0)] *= means[inside][0]
    rate = np.where(known, rate / np.where(means > 0, means, 1.0), np.nan)
    error = _spread(time, number, level)
    error[np.isfinite(error)] *= math.sqrt(noise / freedom) if freedom > 0 else np.inf
    if freedom > 0:
        error *= _wilder(residuals, group, groups)
    return Differences(rate, error, part, freedom, _explained(rate, group, size, busy_ns, residuals, freedom, parts))


def _sums(places: NDArray[np.int64], values: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    return np.bincount(places, values, number).astype(np.float64)


def _fit(
    time: NDArray[np.float64], of_groups: NDArray[np.float64], of_strata: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rates of groups and strata, whose product with `time` has these sums."""
    rate, level = np.ones(len(time)), np.zeros(time.shape[1])
    for _ in range(_ROUNDS):
        level = of_strata / np.maximum(rate @ time, 1e-300)
        new = of_groups / np.maximum(time @ level, 1e-300)
        new /= max(float(new.max(initial=0.0)), 1e-300)
        change = float(np.abs(new - rate).max(initial=0.0))
        rate = new
        if change < _ENOUGH:
            break
    return rate, of_strata / np.maximum(rate @ time, 1e-300)


def _parts(shared: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Groups that are joined by strata have the same number; `shared`: (groups, strata), whether a group has rows."""
    groups = len(shared)
    label = np.arange(groups)
    while True:
        of_stratum = np.where(shared, label[:, None], groups).min(axis=0, initial=groups)
        new = np.minimum(label, np.where(shared, of_stratum[None, :], groups).min(axis=1, initial=groups))
        if np.array_equal(new, label):
            return label
        label = new


def _spread(time: NDArray[np.float64], number: NDArray[np.int64], level: NDArray[np.float64]) -> NDArray[np.float64]:
    """The relative standard error of each group's rate for errors of 1 byte; infinite for one that is alone.

    A group is compared with the others of each of its strata; a stratum of which it has all rows tells nothing.
    """
    others, other_time = number.sum(axis=0) - number, time.sum(axis=0) - time
    tells = (number > 0) & (others > 0)
    ratio = np.where(tells, time / np.maximum(other_time, 1.0), 0.0)
    variance = (np.where(tells, number, 0) + _MEDIAN_NOISE * ratio**2 * others).sum(axis=1)
    expected = np.where(tells, time * level, 0.0).sum(axis=1)
    return np.where(expected > 0, np.sqrt(variance) / np.where(expected > 0, expected, 1.0), np.inf)


def _wilder(residuals: NDArray[np.float64], group: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
    """How many times the error of all rows that of each group's own rows is, at least 1.

    Where errors have heavy tails, chance moves a group by few rows that are far off.  These rows are its own.
    """
    squares, number = residuals**2, np.bincount(group, minlength=groups)
    own = _sums(group, squares, groups) / np.maximum(number, 1)
    found: NDArray[np.float64] = np.sqrt(np.maximum(1.0, own / max(float(squares.mean()), 1e-300)))
    return found


def _explained(
    rate: NDArray[np.float64],
    group: NDArray[np.int64],
    size: NDArray[np.float64],
    busy_ns: NDArray[np.float64],
    residuals: NDArray[np.float64],
    freedom: int,
    parts: int,
) -> float | None:
    """The share of the variance of the rows' rates, weighted by their time, that the groups explain beyond chance."""
    if freedom < 1 or not size.sum():
        return None
    mean = size.sum() / busy_ns.sum()
    total = float((busy_ns * (size / (mean * busy_ns) - 1) ** 2).sum())
    chance = float((busy_ns * (residuals / (mean * busy_ns)) ** 2).sum()) / freedom
    groups = len(np.unique(group))
    of_groups = float((busy_ns * (rate[group] - 1) ** 2).sum()) - (groups - parts) * chance
    return min(1.0, max(0.0, of_groups / total)) if total > 0 else 0.0
