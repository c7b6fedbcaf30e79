"""Could lateness of the load generator decide whether a connection reaches the floor of a rate bound?"""

from __future__ import annotations

from loadgen.model.bound import BoundKind
from loadgen.verdict.checks.tape.worst import worst_of
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.lateness import cost_of
from loadgen.verdict.result import Check


def rate_lost(evidence: TrustEvidence) -> Check | None:
    """The share by which lateness lengthens the time in operations, of the worst engine; only under a rate bound.

    It must be a small part of the slack: of the share by which operations may be longer than the line needs.
    """
    bound, timings, line_bps = evidence.asked.bound, evidence.timings, evidence.line_bps
    if evidence.loop is not Loop.PACED or bound.kind is not BoundKind.RATE or timings is None or not line_bps:
        return None
    rules = evidence.rules
    slack = line_bps / bound.floor_bps - 1
    costs = {one.worker: cost_of(one.lateness, timings, line_bps, bound).time_share for one in evidence.workers}
    worker, share = worst_of(costs)
    return Check.at_most(
        "rate lost to lateness",
        share,
        min(rules.max_late_share, max(rules.least_late_share, rules.max_slack_part * slack)),
        detail=f"engine {worker}: the floor leaves {100 * slack:.4g} % for the servers and this"
        if worker
        else "no operation was sent",
    )
