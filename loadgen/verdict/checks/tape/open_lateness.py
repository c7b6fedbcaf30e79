"""Did an open loop send in time the operations that found a free connection?"""

from __future__ import annotations

from loadgen.model.units import NS_PER_MS
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.result import Check

_BUSY = 0.25  # above this share, half of all operations or more may have waited for the server


def open_lateness(evidence: TrustEvidence) -> Check | None:
    """A percentile of sent - due; only for an open loop whose connections were mostly free.

    All connections can have been busy at once for at most the share of time that the average connection was busy, with
    operations that were answered, failed or cut, or with the rest after an error.  Operations that came due in that
    time, and as many again while the backlog was sent, waited for the server.  All other operations waited for the load
    generator.
    """
    window, measured_ns, rules = evidence.window, evidence.measured_ns, evidence.rules
    sent = window.lateness.total
    if evidence.loop is not Loop.OPEN or not sent or not measured_ns:
        return None
    served_ns = sum(one.sum_ns() for one in (window.service, window.service_failed, window.service_cut))
    busy = (served_ns + window.rest_ns) / (evidence.asked.connections * measured_ns)
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
        detail=f"percentile {q:.4g} of {sent} operations; connections were busy {100 * busy:.2g} % of the time",
    )
