"""The due times of operations of an open loop: they depend on the seed only, not on the number of workers."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.model.stages import Ramp
from loadgen.model.units import NS_PER_S
from loadgen.schedule.ramps import ramped_ns


def due_between(begin_ns: int, end_ns: int, *, rate_per_s: float, poisson: bool, seed: int) -> int:
    """How many operations of all parts are due from `begin_ns` on and before `end_ns`, at a rate without ramps.

    One more than that, because a time on the boundary may be rounded.
    """
    if not poisson:
        return math.ceil((end_ns - begin_ns) * rate_per_s / NS_PER_S) + 1
    due_ns = offsets_ns(rate_per_s=rate_per_s, poisson=True, seed=seed, part=0, parts=1, length_ns=end_ns)
    return int((due_ns >= begin_ns).sum()) + 1


def offsets_ns(
    *,
    rate_per_s: float,
    poisson: bool,
    seed: int,
    part: int,
    parts: int,
    length_ns: int,
    ramps: Sequence[Ramp] = (),
    total: int = 0,
) -> NDArray[np.int64]:
    """The due times of operations part, part + parts, part + 2 parts, …: ns after the start, ascending int64 <
    `length_ns`.  With a `total`, only operations with numbers below it are due.

        Constant rate: operation k is due at k / rate.  Poisson: gaps are exponential with mean 1 / rate.  All parts
    draw the same gaps from `seed`, so that all parts together are one Poisson process.  With `ramps`, the rate changes
    as they say (loadgen.schedule.ramps), and `rate_per_s` has no effect.
    """
    if ramps:
        return ramped_ns(ramps, poisson=poisson, seed=seed, part=part, parts=parts, length_ns=length_ns, total=total)
    expected = min(rate_per_s * length_ns / NS_PER_S, total or math.inf)
    if not poisson:
        k = np.arange(part, min(int(expected) + 1, total or sys.maxsize), parts)
        evenly: NDArray[np.int64] = np.floor(k * (NS_PER_S / rate_per_s)).astype(np.int64)
        return evenly[evenly < length_ns]
    random = np.random.Generator(np.random.PCG64(seed))
    due = np.zeros(0)
    while not len(due) or (due[-1] < length_ns and not 0 < total <= len(due)):
        # Ten standard deviations more than expected nearly always suffice; otherwise the loop draws again.
        gaps = random.exponential(NS_PER_S / rate_per_s, int(expected + 10 * expected**0.5 + 10))
        due = np.concatenate([due, (due[-1] if len(due) else 0.0) + np.cumsum(gaps)])
    whole: NDArray[np.int64] = due[part : total or None : parts].astype(np.int64)
    return whole[whole < length_ns]
