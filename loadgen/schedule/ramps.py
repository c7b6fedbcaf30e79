"""The due times of operations whose rate changes in straight lines.

The number of operations that are due until t is the integral of the rate, which is a parabola in each ramp.  Operation
k is due when the integral exceeds k; in a Poisson process, when it exceeds the k-th time of a process of rate 1.  So
any rate gives exactly the number of operations that it says, and all engines together play one schedule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.model.stages import Ramp
from loadgen.model.units import NS_PER_S

_ROUNDING = 1e-6  # of an operation: the integral at the end may be too large by rounding


def ramped_ns(
    ramps: Sequence[Ramp], *, poisson: bool, seed: int, part: int, parts: int, length_ns: int, total: int = 0
) -> NDArray[np.int64]:
    """As :func:`loadgen.schedule.arrivals.offsets_ns`, for rates that change; nothing is due after the last ramp."""
    lengths_s = np.array([length / NS_PER_S for length, _, _ in ramps])
    begin, end = (np.array([ramp[at] for ramp in ramps]) for at in (1, 2))
    due_until = np.concatenate([[0.0], np.cumsum(lengths_s * (begin + end) / 2)])
    starts_ns = np.concatenate([[0], np.cumsum([length for length, _, _ in ramps])])
    index = _poisson(due_until[-1], seed) if poisson else _evenly(due_until[-1])
    index = index[: total or None][part::parts]
    # Without a rate, the integral stands still: what falls on it is due when the rate rises again.
    ramp = np.searchsorted(due_until[1:], index, side="right")
    index, ramp = index[ramp < len(ramps)], ramp[ramp < len(ramps)]
    into = index - due_until[ramp]
    slope = (end - begin) / np.where(lengths_s > 0, lengths_s, 1.0)
    # The root of begin * t + slope * t² / 2 = into, in the form that loses no digits when the slope is small.
    below = begin[ramp] + np.sqrt(np.maximum(begin[ramp] ** 2 + 2 * slope[ramp] * into, 0.0))
    into_s = np.divide(2 * into, below, out=np.zeros_like(into), where=below > 0)
    due: NDArray[np.int64] = starts_ns[ramp] + np.floor(into_s * NS_PER_S).astype(np.int64)
    due = np.maximum.accumulate(np.minimum(due, starts_ns[ramp + 1] - 1))
    return due[due < length_ns]


def _evenly(expected: float) -> NDArray[np.float64]:
    return np.arange(max(0, math.ceil(expected - _ROUNDING)), dtype=np.float64)


def _poisson(expected: float, seed: int) -> NDArray[np.float64]:
    """All times of a Poisson process of rate 1 before `expected`."""
    random = np.random.Generator(np.random.PCG64(seed))
    found = np.zeros(0)
    while not len(found) or found[-1] < expected:
        # Ten standard deviations more than expected nearly always suffice; otherwise the loop draws again.
        gaps = random.exponential(1.0, int(expected + 10 * expected**0.5 + 10))
        found = np.concatenate([found, (found[-1] if len(found) else 0.0) + np.cumsum(gaps)])
    return found[found < expected]
