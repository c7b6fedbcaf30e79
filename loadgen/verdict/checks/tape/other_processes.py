"""Did other processes take CPU from the engines?"""

from __future__ import annotations

from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.result import Check


def other_processes(evidence: TrustEvidence) -> Check | None:
    """The share of the engines' cores that other processes used, on the worst machine; None when not observed."""
    if not evidence.neighbours:
        return None
    worst = max(evidence.neighbours, key=lambda one: one.share)
    return Check.at_most(
        "other processes",
        worst.share,
        evidence.rules.max_neighbour_share,
        detail=f"{worst.machine}: share of the cores of one engine; largest user: {worst.most}",
    )
