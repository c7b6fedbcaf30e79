"""Does the mix of classes match the intended one, as far as the number of requests can show?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.verdict.result import Check
from loadgen.verdict.rules import Rules

_NORMAL_FROM = 100  # expected count of a class, and of all others, from which the normal approximation is good


def check_mix(
    counts: NDArray[np.int64], names: Sequence[str], shares: Sequence[float], rules: Rules, *, what: str = "mix"
) -> list[Check]:
    """One check per class: the relative difference between its share of `counts` and the intended share.

    `counts`, `names` and `shares` have one entry per class.  The limit is that of SPECweb99, or the difference that
    chance explains (`mix_deviations` standard deviations) where that is larger.  A class with an intended share of 0
    must not occur.  `what` begins the names of the checks.
    """
    total = int(counts.sum())
    return [
        _check_class(f"{what}: {name}", int(count), total, share, rules)
        for name, count, share in zip(names, counts, shares, strict=True)
    ]


def _check_class(name: str, count: int, total: int, share: float, rules: Rules) -> Check:
    seen = f"{100 * count / total:.2f} %" if total else "none"
    detail = f"{seen} of {total:,} requests, {100 * share:g} % intended"
    if share == 0 or total == 0:
        off, limit = float(count > 0 or total == 0), rules.mix_tolerance
    else:
        expected = share * total
        off = abs(count / expected - 1)
        fewest, most = _by_chance(total, share, rules.mix_deviations)
        doubt = (most / expected - 1) if count > expected else (1 - fewest / expected)
        limit = max(rules.mix_tolerance, doubt)
        if doubt > rules.mix_tolerance:
            detail += f"; chance alone explains {fewest} to {most} of so few requests"
    return Check(name=name, value=100 * off, limit=100 * limit, ok=off <= limit, unit="% off", detail=detail)


def _by_chance(total: int, share: float, deviations: float) -> tuple[int, int]:
    """The range (fewest, most) in which chance puts the count of a class with that share among `total` draws.

    A count outside, on either side, is as improbable as `deviations` standard deviations of a normal distribution.
    The range comes from the normal approximation for many draws, and from the binomial distribution for few.
    """
    expected, spread = share * total, math.sqrt(share * (1 - share) * total)
    if min(expected, total - expected) > _NORMAL_FROM:
        return math.ceil(expected - deviations * spread), math.floor(expected + deviations * spread)
    tail = math.erfc(deviations / math.sqrt(2)) / 2
    fewest, most, below = 0, 0, 0.0  # below: the probability of less than k
    for k in range(total + 1):
        here = math.exp(
            math.lgamma(total + 1)
            - math.lgamma(k + 1)
            - math.lgamma(total - k + 1)
            + k * math.log(share)
            + ((total - k) * math.log1p(-share) if share < 1 else 0.0)
        )
        if below + here <= tail:
            fewest = k + 1
        if 1 - below < tail:
            break
        most = k
        below += here
    return fewest, most
