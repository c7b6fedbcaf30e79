"""Places on a circular tape where connections start, for workloads whose connections share one tape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.model.plan import SpecPlan

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


@dataclass(frozen=True, slots=True, eq=False)
class Inside:
    """Where connections start on a circle of operations, each possibly inside of one that outlasts the window.

    `operation` and `delay_ns` (int64) have the shape (iterations, connections).  `anew` (bool): the connection begins
    the operation that it is inside of when it starts, because the window would end before it.
    """

    operation: NDArray[np.int64]
    delay_ns: NDArray[np.int64]
    anew: NDArray[np.bool_]


def start_inside(plan: SpecPlan, span_ns: NDArray[np.int64], long_ns: int, rng: np.random.Generator) -> Inside:
    """Spread the connections of a plan evenly over a circle in time; `span_ns`: the time of each operation.

    Many connections pass neighbouring stretches of the circle in a window, and the next ones in the next window: so
    they meet the dealt mix.  With less than `long_ns` of time in a window of all connections together, these could all
    be inside of one operation, and are spread over the circle.
    """
    total, phases = plan.total_connections, plan.phases
    ends = np.cumsum(span_ns)
    circle = int(ends[-1])
    slots = np.arange(total) * stride(total) % total
    arrival_ns = slots[::-1] * phases.ramp_up_ns // total
    passed_ns = total * phases.measure_ns
    is_long = passed_ns >= long_ns
    shape = (phases.iterations, total)
    found = Inside(np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.bool_))
    begin_ns = int(rng.integers(circle))
    for iteration in range(phases.iterations):
        at_window = begin_ns + slots * (passed_ns if is_long else circle) // total
        begin_ns = begin_ns + passed_ns if is_long else int(rng.integers(circle))
        at_arrival = (at_window - phases.lead_ns(iteration) + arrival_ns) % circle
        inside = np.searchsorted(ends, at_arrival, side="right")
        due_ns = arrival_ns + ends[inside] - at_arrival
        outlasts = due_ns > phases.lead_ns(iteration) + phases.measure_ns * 9 // 10
        found.anew[iteration] = outlasts
        found.operation[iteration] = np.where(outlasts, inside, (inside + 1) % len(ends))
        found.delay_ns[iteration] = np.where(outlasts, arrival_ns, due_ns)
    return found
