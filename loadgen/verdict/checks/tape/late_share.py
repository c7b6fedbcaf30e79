"""By how much did lateness reduce the load of a paced run?"""

from __future__ import annotations

from loadgen.verdict.checks.tape.worst import worst_of
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.result import Check


def late_share(evidence: TrustEvidence) -> Check | None:
    """The share of connection time between due and sent, of the worst engine; only for a paced loop."""
    if evidence.loop is not Loop.PACED:
        return None
    shares = {
        one.worker: one.lateness.sum_ns() / (one.connections * one.judged_ns)
        for one in evidence.workers
        if one.connections and one.judged_ns
    }
    worker, share = worst_of(shares)
    return Check.at_most(
        "time lost to lateness",
        share,
        evidence.rules.max_late_share,
        detail=f"engine {worker}: share of its connections' time between due and sent"
        if worker
        else "no operation was sent",
    )
