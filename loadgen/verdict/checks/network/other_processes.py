"""Did processes without a part in the run use this machine's cores?"""

from __future__ import annotations

from loadgen.verdict.network_evidence import NetworkEvidence
from loadgen.verdict.result import Check


def other_processes(evidence: NetworkEvidence) -> Check | None:
    """The share of the run's cores that other processes used; None when that is not known."""
    share, most = evidence.others
    if not most:
        return None
    return Check.at_most(
        "other processes",
        share,
        evidence.rules.max_neighbour_share,
        detail=f"share of the run's cores; largest user: {most}",
    )
