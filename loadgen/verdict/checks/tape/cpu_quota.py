"""Did the CPU quota of a control group stop the engines?"""

from __future__ import annotations

from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.result import Check

_NAME = "CPU quota"


def cpu_quota(evidence: TrustEvidence) -> Check | None:
    """The share of enforcement periods in which a machine's quota was used up; None when no machine was observed.

    A control group whose quota is used up stands still until the next period, commonly for up to 100 ms.
    """
    if not evidence.neighbours:
        return None
    limit = evidence.rules.max_throttled_share
    known = [one for one in evidence.neighbours if one.throttled is not None]
    if not known:
        return Check.unknown(_NAME, limit, detail="not known: the machine does not report its control groups")
    worst = max(known, key=lambda one: one.throttled or 0.0)
    return Check.at_most(
        _NAME,
        worst.throttled or 0.0,
        limit,
        detail=f"{worst.machine}: share of periods in which the quota of the engines' control group was used up",
    )
