"""What lateness of the load generator costs paced connections, on any server."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loadgen.measure.histogram import Histogram, highest_of, lowest_of
from loadgen.model.bound import Bound
from loadgen.model.units import NS_PER_S
from loadgen.schedule.timings import Timings


@dataclass(frozen=True, slots=True)
class LatenessCost:
    """`time_share`: by how much lateness lengthens the time in operations, relative to their line times.  `out_share`:
    the share of the operations (0..1) that it alone takes out of their bound."""

    time_share: float
    out_share: float


def cost_of(lateness: Histogram, timings: Timings, line_bps: int, bound: Bound) -> LatenessCost:
    """The cost of `lateness` (sent - due) for operations with the replies of a tape on ideal servers.

    The time in an operation counts from its due moment, and is at least the time that the line needs for the reply.  So
    lateness costs nothing until the line has carried the reply: it matters for small files, or when it is long.
    """
    operations = lateness.total
    if not operations:
        return LatenessCost(0.0, 0.0)
    size, count = np.unique(timings.reply_bytes, return_counts=True)
    buckets = lateness.indexes.astype(np.int64)
    late_ns = np.minimum((lowest_of(buckets) + highest_of(buckets)) / 2, lateness.max_ns)
    line_ns = size * (8 * NS_PER_S / line_bps)
    beyond_ns = np.maximum(late_ns[:, None] - line_ns, 0.0)
    is_out = late_ns[:, None] > bound.good_ns + bound.good_ns_per_byte * size
    pairs = lateness.counts[:, None] * count / (operations * count.sum())
    return LatenessCost(
        time_share=float((pairs * beyond_ns).sum() / np.average(line_ns, weights=count)),
        out_share=float((pairs * is_out).sum()),
    )
