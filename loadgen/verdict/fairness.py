"""How evenly did the VMs serve, apart from the files that chance dealt to them?

A VM's rate is its bits divided by its time in operations, as for a connection.  Operations per second would compare the
files: a connection that gets a large file at line speed plays few operations, however good its server is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.verdict.student import one_sided

_ALARM = 0.0027
"""Probability that equal VMs are called unfair: that of three standard deviations."""

_MATTERS = 0.99
"""A ratio from this on is never called unfair: one percent is too little to matter."""

JAIN, RATIO, BY_CHANCE = "jain", "slowest_over_fastest", "slowest_over_fastest_by_chance"


def fairness(found: NDArray[np.void], target_of: NDArray[np.int32], targets: int) -> dict[str, float | None] | None:
    """Jain's index and the slowest-over-fastest ratio of the VMs' rates x, and the ratio that chance explains.

    `found` (FINDING_DTYPE) and `target_of` have one entry per requested connection.  Jain's index is
    (sum x)^2 / (n * sum x^2): 1 when all VMs are equal, and 1/n when one VM has everything.  Returns None with fewer
    than two VMs, or when no VM served anything.

    By chance: if all VMs were equal, their ratio would be at least this with a probability of 99.73 %.  The spread of
    the connections of the same VM shows how much chance there is.  It is None when each VM has a single connection.
    """
    connections = np.bincount(target_of, minlength=targets)
    used = connections > 0
    size = np.bincount(target_of, found["bytes"], minlength=targets)
    busy = np.bincount(target_of, found["busy_ns"], minlength=targets)
    rates = size / np.maximum(busy, 1)
    x = rates[used]
    if len(x) < 2 or not x.any():
        return None
    return {
        JAIN: float(x.sum() ** 2 / (len(x) * (x**2).sum())),
        RATIO: float(x.min() / x.max()),
        BY_CHANCE: _by_chance(
            found["bytes"] - rates[target_of] * found["busy_ns"], connections[used], size, busy, used
        ),
    }


def is_unfair(found: Mapping[str, float | None]) -> bool:
    """Whether the VMs differ by more than chance explains, and by more than one percent."""
    ratio, chance = found[RATIO], found.get(BY_CHANCE)
    return ratio is not None and chance is not None and ratio < min(chance, _MATTERS)


def _by_chance(
    residuals: NDArray[np.float64],
    connections: NDArray[np.int64],
    size: NDArray[Any],
    busy: NDArray[Any],
    used: NDArray[np.bool_],
) -> float | None:
    """The ratio of equal VMs that is exceeded with a probability of 1 - _ALARM.

    `residuals`: by connection, its bytes beyond its VM's rate times its own time in operations.  The error of a ratio
    of sums follows from their variance.
    """
    freedom = len(residuals) - len(connections)
    if freedom < 1:
        return None
    deviation = math.sqrt(float((residuals**2).sum()) / freedom)
    errors = np.sqrt(connections) * deviation / np.maximum(busy[used], 1.0)
    relative = errors / (size.sum() / max(float(busy.sum()), 1.0))
    far = one_sided(_ALARM / (2 * len(connections)), freedom) * float(relative.max())
    return max(0.0, 1 - far) / (1 + far)
