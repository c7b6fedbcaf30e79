"""Was an engine, or the machine below it, stopped for some time?"""

from __future__ import annotations

from loadgen.verdict.checks.tape.worst import worst_of
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.result import Check


def engine_still(evidence: TrustEvidence) -> Check | None:
    """The share of time that the worst engine stood still while a timer was due; not for a paced loop.

    Replies that arrive while an engine stands still look like the replies of a slow server.
    """
    if evidence.loop is Loop.PACED:
        return None
    shares = {
        one.worker: sum(health.still_ns for health in one.health) / max(1, sum(health.wall_ns for health in one.health))
        for one in evidence.workers
    }
    worker, share = worst_of(shares)
    return Check.at_most(
        "engine stood still",
        share,
        evidence.rules.max_still_share,
        detail=f"engine {worker}: share of the time in which it did not run although a timer was due"
        if worker
        else "no engine",
    )
