"""Quantiles of Student's t distribution."""

from __future__ import annotations

import math
from statistics import NormalDist

_FEW = 0.05
"""Hill's limit between his two expansions."""


def student(probability: float, freedom: int) -> float:
    """The quantile of Student's t distribution at `probability` (above 0.5, below 1), with `freedom` >= 1.

    This is Hill's algorithm (Communications of the ACM, algorithm 396, 1970); it is exact for one and two degrees of
    freedom.  From three on, its relative error is below 0.1 %, also far out in the tail.
    """
    both = 2 * (1 - probability)
    if freedom == 1:
        return 1 / math.tan(both * math.pi / 2)
    if freedom == 2:
        return math.sqrt(2 / (both * (2 - both)) - 2)
    n = float(freedom)
    a = 1 / (n - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
    y = (d * both) ** (2 / n)
    if y > _FEW + a:
        x = NormalDist().inv_cdf(both / 2)
        y = x**2
        if freedom < 5:
            c += 0.3 * (n - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y**2)
    else:
        y = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (n + 1) / (
            n + 2
        ) + 1 / y
    return math.sqrt(n * y)
