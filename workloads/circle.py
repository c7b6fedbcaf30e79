"""Places on a circular tape where connections start, for workloads whose connections share one tape."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_GOLDEN = (math.sqrt(5) - 1) / 2


def within_window(delay_ns: NDArray[np.int64], lead_ns: int, measure_ns: int) -> NDArray[np.int64]:
    """The delays, changed so that every connection has an operation in the measured window.

    An operation may take longer than the window at line speed.  Where the window ends before the operation would, the
    connection starts later inside the operation, at a point that is spread over the window: a connection without any
    operation could not be judged.
    """
    span_ns = measure_ns * 9 // 10
    over_ns = delay_ns - (lead_ns + span_ns)
    return np.where(over_ns > 0, lead_ns + over_ns % span_ns, delay_ns)


def stride(total: int) -> int:
    """A step, about the golden ratio of `total`, with which one visits all of 0..total-1."""
    step = max(1, round(total * _GOLDEN))
    while math.gcd(step, total) != 1:
        step += 1
    return step
