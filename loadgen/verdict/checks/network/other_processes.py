"""Did processes without a part in the run use this machine's cores?"""

from __future__ import annotations

from loadgen.verdict.network_evidence import NetworkEvidence
from loadgen.verdict.result import Check

_NAME = "other processes"


def other_processes(evidence: NetworkEvidence) -> Check | None:
    """The share of this end's cores that other processes used, in the worst cell of the table; None without tests."""
    if not evidence.results:
        return None
    (share, most), limit = evidence.others, evidence.rules.max_neighbour_share
    if not most:
        return Check.unknown(_NAME, limit, detail="not known")
    return Check.at_most(
        _NAME, share, limit, detail=f"share of this end's cores in the worst cell; largest user: {most}"
    )
