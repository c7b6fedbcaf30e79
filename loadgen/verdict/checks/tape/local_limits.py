"""Did connects fail because a load machine lacked a resource?"""

from __future__ import annotations

from loadgen.model.outcome import Outcome
from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.result import Check


def local_limits(evidence: TrustEvidence) -> Check:
    """The number of connects that failed for lack of a local port or file descriptor; none is allowed."""
    failed = int(evidence.whole.outcomes[Outcome.LOCAL_LIMIT])
    return Check(
        name="local limits",
        value=failed,
        limit=0,
        ok=failed == 0,
        detail=f"{failed:,} connects failed for lack of a local port or file descriptor",
    )
