"""Did other processes take CPU from the engines?"""

from __future__ import annotations

from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.result import Check


def other_processes(evidence: TrustEvidence) -> Check | None:
    """The share of the engines' cores that other processes used, on the worst machine; None when not observed."""
    if not evidence.neighbours:
        return None
    known = [(one.share, one) for one in evidence.neighbours if one.share is not None]
    if not known:
        return Check.unknown(
            "other processes",
            evidence.rules.max_neighbour_share,
            detail="not known: this user may not see which processes listen on the targets' ports",
        )
    share, worst = max(known, key=lambda one: one[0])
    return Check.at_most(
        "other processes",
        share,
        evidence.rules.max_neighbour_share,
        detail=f"{worst.machine}: share of the cores of one engine; largest user: {worst.most}",
    )
