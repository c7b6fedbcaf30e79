"""Did the engines of several machines begin together?"""

from __future__ import annotations

from loadgen.model.units import NS_PER_MS
from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.result import Check


def start_skew(evidence: TrustEvidence) -> Check | None:
    """The time between the first and the last engine to begin, in the worst segment; None for a single machine."""
    if not evidence.starts:
        return None
    worst = max(evidence.starts, key=lambda one: one.skew_ns)
    limit_ns = evidence.rules.max_start_skew_ns
    return Check(
        name="start skew",
        value=worst.skew_ns / NS_PER_MS,
        limit=limit_ns / NS_PER_MS,
        ok=worst.skew_ns <= limit_ns,
        unit="ms",
        detail=f"{worst.first} to {worst.last}; clock error ± {worst.error_ns / NS_PER_MS:.2f} ms",
    )
