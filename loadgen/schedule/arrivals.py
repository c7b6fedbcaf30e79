"""The due times of operations of an open loop: they depend on the seed only, not on the number of workers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.model.stages import Ramp
from loadgen.model.units import NS_PER_S
from loadgen.schedule.processes import evenly
from loadgen.schedule.processes import poisson as poisson_process
from loadgen.schedule.ramps import ramped_pieces

_DRAWN = 10_000_000  # of more operations of a Poisson process, the number is bounded: drawing them would take seconds


def due_between(begin_ns: int, end_ns: int, *, rate_per_s: float, poisson: bool, seed: int) -> int:
    """How many operations of all parts are due from `begin_ns` on and before `end_ns`, at a rate without ramps.

    One more than that, because a time on the boundary may be rounded.  Of a Poisson process with very many operations,
    a number that is hardly ever exceeded: ten standard deviations more than expected.
    """
    expected = (end_ns - begin_ns) * rate_per_s / NS_PER_S
    if not poisson:
        return math.ceil(expected) + 1
    if end_ns * rate_per_s / NS_PER_S > _DRAWN:
        return math.ceil(expected + 10 * math.sqrt(expected))
    pieces = offset_pieces(rate_per_s=rate_per_s, poisson=True, seed=seed, part=0, parts=1, length_ns=end_ns)
    return sum(int((piece >= begin_ns).sum()) for piece in pieces) + 1


def offset_pieces(
    *,
    rate_per_s: float,
    poisson: bool,
    seed: int,
    part: int,
    parts: int,
    length_ns: int,
    ramps: Sequence[Ramp] = (),
    total: int = 0,
) -> Iterator[NDArray[np.int64]]:
    """Yield the due times of operations part, part + parts, part + 2 parts, …, in pieces that are not empty: ns after
    the start, ascending int64 < `length_ns`.  With a `total`, only operations with numbers below it are due.

        Constant rate: operation k is due at k / rate.  Poisson: gaps are exponential with mean 1 / rate.  All parts
    draw the same gaps from `seed`, so that all parts together are one Poisson process.  With `ramps`, the rate changes
    as they say (loadgen.schedule.ramps), and `rate_per_s` has no effect.
    """
    if ramps:
        return ramped_pieces(
            ramps, poisson=poisson, seed=seed, part=part, parts=parts, length_ns=length_ns, total=total
        )
    gap_ns = NS_PER_S / rate_per_s
    if poisson:
        times = poisson_process(gap_ns, length_ns, seed=seed, part=part, parts=parts, total=total)
    else:
        times = evenly(gap_ns, length_ns, part=part, parts=parts, total=total)
    return (piece.astype(np.int64) for piece in times)
