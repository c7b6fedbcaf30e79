"""The due times of operations whose rate changes in straight lines.

The number of operations that are due until t is the integral of the rate, which is a parabola in each ramp.  Operation
k is due when the integral exceeds k; in a Poisson process, when it exceeds the k-th time of a process of rate 1.  So
any rate gives exactly the number of operations that it says, and all engines together play one schedule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.model.stages import Ramp
from loadgen.model.units import NS_PER_S
from loadgen.schedule.processes import evenly
from loadgen.schedule.processes import poisson as poisson_process

_ROUNDING = 1e-6  # of an operation: the integral at the end may be too large by rounding


def ramped_pieces(
    ramps: Sequence[Ramp], *, poisson: bool, seed: int, part: int, parts: int, length_ns: int, total: int = 0
) -> Iterator[NDArray[np.int64]]:
    """As :func:`loadgen.schedule.arrivals.offset_pieces`, for rates that change; nothing is due after the last ramp."""
    lengths_s = np.array([length / NS_PER_S for length, _, _ in ramps])
    begin, end = (np.array([ramp[at] for ramp in ramps]) for at in (1, 2))
    due_until = np.concatenate([[0.0], np.cumsum(lengths_s * (begin + end) / 2)])
    starts_ns = np.concatenate([[0], np.cumsum([length for length, _, _ in ramps])])
    slope = (end - begin) / np.where(lengths_s > 0, lengths_s, 1.0)
    expected = float(due_until[-1])
    if poisson:
        numbers = poisson_process(1.0, expected, seed=seed, part=part, parts=parts, total=total)
    else:
        numbers = evenly(1.0, expected - _ROUNDING, part=part, parts=parts, total=total)
    last_ns = 0
    for index in numbers:
        # Without a rate, the integral stands still: what falls on it is due when the rate rises again.
        ramp = np.searchsorted(due_until[1:], index, side="right")
        index, ramp = index[ramp < len(ramps)], ramp[ramp < len(ramps)]
        into = index - due_until[ramp]
        # The root of begin * t + slope * t² / 2 = into, in the form that loses no digits when the slope is small.
        below = begin[ramp] + np.sqrt(np.maximum(begin[ramp] ** 2 + 2 * slope[ramp] * into, 0.0))
        into_s = np.divide(2 * into, below, out=np.zeros_like(into), where=below > 0)
        due: NDArray[np.int64] = starts_ns[ramp] + np.floor(into_s * NS_PER_S).astype(np.int64)
        due = np.maximum.accumulate(np.maximum(np.minimum(due, starts_ns[ramp + 1] - 1), last_ns))
        due = due[due < length_ns]
        if not len(due):
            return
        last_ns = int(due[-1])
        yield due
