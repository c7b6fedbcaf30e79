"""Did every engine issue operations?"""

from __future__ import annotations

from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.result import Check


def operations_issued(evidence: TrustEvidence) -> Check:
    """The fewest operations that any engine issued; at least one is needed."""
    idle = [one.worker for one in evidence.workers if not one.operations]
    fewest = min((one.operations for one in evidence.workers), default=0)
    return Check(
        name="operations issued",
        value=fewest,
        limit=1,
        ok=fewest >= 1,
        relation=">=",
        detail=f"engines without operations: {', '.join(idle)}" if idle else "fewest of any engine",
    )
