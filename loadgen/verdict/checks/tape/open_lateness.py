"""Did an open loop send in time the operations that found a free connection?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import Cell
from loadgen.measure.histogram import BUCKETS, Histogram, highest_of
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.result import Check

_BUSY = 0.25  # above this share, half of all operations or more may have waited for the server


def open_lateness(evidence: TrustEvidence) -> Check | None:
    """A percentile of sent - due; only for an open loop whose connections were mostly free.

    All connections can have been busy at once for at most the share of time that the average connection was busy, with
    operations that were answered, failed or cut, or with the rest after an error.  Operations that were due before the
    window may have kept them busy in it, too, if a server stood still when the window opened: each connection has one
    such operation at most, and those that waited for a connection may follow.  Operations that came due in all that
    time, and as many again while the backlog was sent, waited for the server.  All other operations waited for the load
    generator.
    """
    window, measured_ns, rules = evidence.window, evidence.measured_ns, evidence.rules
    sent = window.lateness.total
    if evidence.loop is not Loop.OPEN or not sent or not measured_ns:
        return None
    connections = evidence.asked.connections
    served_ns = sum(one.sum_ns() for one in _services(window)) + _earlier_ns(evidence, connections, measured_ns)
    busy = (served_ns + window.rest_ns) / (connections * measured_ns)
    if busy > _BUSY:
        return None
    hiccup = 100 * (1 - (rules.late_operations - 1) / sent)  # fewer late operations than that prove nothing
    q = min(99.0, 100 * (1 - 2 * busy), max(hiccup, 0.0))
    value_ns = window.lateness.percentile_ns(q) or 0
    return Check(
        name="send lateness",
        value=value_ns / NS_PER_MS,
        limit=rules.max_open_lateness_ns / NS_PER_MS,
        ok=value_ns <= rules.max_open_lateness_ns,
        unit="ms",
        detail=f"percentile {q:.4g} of {sent:,} operations; connections were busy {100 * busy:.2g} % of the time",
    )


def _services(cell: Cell) -> tuple[Histogram, ...]:
    return cell.service, cell.service_failed, cell.service_cut


def _earlier_ns(evidence: TrustEvidence, connections: int, measured_ns: int) -> float:
    """The longest time that operations due outside of the window can have kept connections busy in it.

    Of these operations, the longest count, as many as there are connections and late operations.
    """
    late_ns = evidence.rules.max_open_lateness_ns
    whole, window = evidence.whole, evidence.window
    late = whole.lateness.since(late_ns).total - window.lateness.since(late_ns).total
    outside = _counts(_services(whole)) - _counts(_services(window))
    longest = np.flatnonzero(outside > 0)[::-1]
    counted = np.diff(np.minimum(np.cumsum(outside[longest]), connections + max(late, 0)), prepend=0)
    return float((counted * np.minimum(highest_of(longest), measured_ns)).sum())


def _counts(histograms: tuple[Histogram, ...]) -> NDArray[np.int64]:
    """The number of values in each bucket, over all histograms."""
    merged = Histogram.merge_all(histograms)
    counts = np.zeros(BUCKETS, np.int64)
    counts[merged.indexes] = merged.counts
    return counts
