"""A trust check as a contributor would write it: CONTRIBUTING's recipe, kept true by a test."""

from __future__ import annotations

from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.result import Check

MAX_TIME_WAIT = 10_000


def time_wait_sockets(evidence: TrustEvidence) -> Check | None:
    """The most sockets in TIME_WAIT that any engine saw; only for an open loop."""
    seen = [(health.sockets_time_wait, one.worker) for one in evidence.workers for health in one.health]
    if evidence.loop is not Loop.OPEN or not seen:
        return None
    most, worker = max(seen)
    return Check(
        name="sockets in TIME_WAIT",
        value=most,
        limit=MAX_TIME_WAIT,
        ok=most <= MAX_TIME_WAIT,
        detail=f"engine {worker}",
    )
