"""How many TCP connections a number of operations may take by chance, when a workload intends how many each carries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import sqrt
from statistics import NormalDist, fmean, pstdev

import numpy as np
from numpy.typing import NDArray

_EXACT = 1000
"""Up to this number of operations the chance is exact.  Above, the number of connections is close to normal."""


@dataclass(frozen=True)
class Sessions:
    """The TCP connections that a workload intends: `lengths` are the operations that each carries, drawn by chance."""

    lengths: tuple[int, ...]

    @cached_property
    def per_operation(self) -> float:
        """The TCP connections for each operation."""
        return 1 / fmean(self.lengths)

    @cached_property
    def deviation(self) -> float:
        """Standard deviation of the connections for n operations, divided by the root of n (renewal theory)."""
        return float(pstdev(self.lengths) / fmean(self.lengths) ** 1.5)

    def most(self, operations: int, slots: int, chance: float) -> float:
        """Return the greatest number of TCP connections that has at least this chance; above `operations`: any has.

        `slots`: the number of users that made the operations, at least 1.  Each may be within a session at the end, so
        that one connection of each carried fewer operations than its session has.
        """
        if operations > _EXACT:
            z = NormalDist().inv_cdf(1 - chance)
            return operations * self.per_operation + z * self.deviation * sqrt(operations)
        likely = np.nonzero(_chances(self.lengths)[:, operations] >= chance)[0]
        return float(likely[-1]) + slots


@lru_cache(maxsize=4)
def _chances(lengths: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the chance that k sessions have at most n operations, by [k, n], both from 0 to `_EXACT`."""
    sizes, counts = np.unique(lengths, return_counts=True)
    exactly = np.zeros((_EXACT + 1, _EXACT + 1))
    exactly[0, 0] = 1
    for k in range(1, _EXACT + 1):
        for size, count in zip(sizes.tolist(), (counts / len(lengths)).tolist(), strict=True):
            exactly[k, size:] += count * exactly[k - 1, : _EXACT + 1 - size]
    return np.cumsum(exactly, axis=1)
