"""Was the mix of classes the intended one, as far as the number of requests can tell?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.verdict.result import Check
from loadgen.verdict.rules import Rules


def check_mix(
    counts: NDArray[np.int64], names: Sequence[str], shares: Sequence[float], rules: Rules, *, what: str = "mix"
) -> list[Check]:
    """One check per class: how far its share of `counts` is from the intended one, relatively.

    The limit is SPECweb99's, or three binomial standard deviations where these are more.
    A class that is not intended at all (share 0) must not occur.
    """
    total = int(counts.sum())
    return [
        _check_class(f"{what}: {name}", int(count), total, share, rules)
        for name, count, share in zip(names, counts, shares, strict=True)
    ]


def _check_class(name: str, count: int, total: int, share: float, rules: Rules) -> Check:
    seen = f"{100 * count / total:.2f} %" if total else "none"
    detail = f"{seen} of {total} requests, {100 * share:g} % intended"
    if share == 0 or total == 0:
        off, limit = float(count > 0 or total == 0), rules.mix_tolerance
    else:
        off = abs(count / total / share - 1)
        doubt = rules.mix_deviations * float(np.sqrt((1 - share) / (share * total)))
        limit = max(rules.mix_tolerance, doubt)
        if doubt > rules.mix_tolerance:
            detail += f"; so few tell it within {rules.mix_deviations:g} standard deviations only"
    return Check(name=name, value=100 * off, limit=100 * limit, ok=off <= limit, unit="%", detail=detail)
