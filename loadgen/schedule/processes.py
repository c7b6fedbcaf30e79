"""The times of a steady process, piece by piece: a long run at a high rate has too many operations to hold them all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import count

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 14
"""Times that are computed at once, in 0.2 ms."""


def evenly(gap: float, end: float, *, part: int, parts: int, total: int) -> Iterator[NDArray[np.float64]]:
    """Yield k · gap for k = part, part + parts, … while it is below `end` (and k below `total`, if there is one)."""
    for first in count(part, PIECE * parts):
        k = np.arange(first, min(first + PIECE * parts, total or sys.maxsize), parts)
        times: NDArray[np.float64] = np.multiply(k, gap, dtype=np.float64)
        times = times[times < end]
        if len(times):
            yield times
        if len(times) < PIECE:
            return


def poisson(gap: float, end: float, *, seed: int, part: int, parts: int, total: int) -> Iterator[NDArray[np.float64]]:
    """Yield times number part, part + parts, … of a Poisson process while they are below `end`; `gap` is the mean gap.

    All parts draw all gaps from `seed`, so that all parts together are one process.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    drawn, last = 0, 0.0
    while last < end and not 0 < total <= drawn:
        gaps = random.exponential(gap, PIECE)
        gaps[0] += last
        times = np.cumsum(gaps)
        last = times[-1]
        mine = times[: total - drawn if total else None][(part - drawn) % parts :: parts]
        drawn += PIECE
        mine = mine[mine < end]
        if len(mine):
            yield mine
