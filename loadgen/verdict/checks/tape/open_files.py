"""Did an engine come close to its limit of open files?"""

from __future__ import annotations

from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.result import Check


def open_files(evidence: TrustEvidence) -> Check | None:
    """The highest share of its file descriptor limit that any engine used; None when no engine reports its limit."""
    counted = [
        (health.open_fds / health.fd_limit, one.worker, health)
        for one in evidence.workers
        for health in one.health
        if health.fd_limit
    ]
    if not counted:
        return None
    share, worker, health = max(counted, key=lambda item: item[:2])
    return Check.at_most(
        "open files",
        share,
        evidence.rules.max_fd_share,
        detail=f"engine {worker}: {health.open_fds:,} open, {health.fd_limit:,} allowed",
    )
