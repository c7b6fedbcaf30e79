"""Did every engine of a paced run send its operations in time?"""

from __future__ import annotations

from loadgen.model.bound import Bound, BoundKind
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.result import Check
from loadgen.verdict.rules import Rules


def send_lateness(evidence: TrustEvidence) -> Check | None:
    """The 99th percentile of sent - due, of the worst engine; only for a paced loop.

    A run with few operations is judged by a lower percentile: fewer than `late_operations` late ones are a hiccup.
    """
    if evidence.loop is not Loop.PACED:
        return None
    rules = evidence.rules
    limit_ns = lateness_limit_ns(evidence.asked.bound, rules)
    value_ns, detail = 0, "no operation was sent"
    for one in evidence.workers:
        sent = one.lateness.total
        if not sent:
            continue
        q = min(99.0, max(100 * (1 - (rules.late_operations - 1) / sent), 0.0))
        late_ns = one.lateness.percentile_ns(q) or 0
        if late_ns >= value_ns:
            value_ns = late_ns
            latest_ms = one.lateness.max_ns / NS_PER_MS
            detail = f"engine {one.worker}: percentile {q:.4g} of {sent:,} operations; maximum {latest_ms:,.1f} ms"
    return Check(
        name="send lateness",
        value=value_ns / NS_PER_MS,
        limit=limit_ns / NS_PER_MS,
        ok=value_ns <= limit_ns,
        unit="ms",
        detail=detail,
    )


def lateness_limit_ns(bound: Bound, rules: Rules) -> float:
    """How late an operation of a paced run may be without harm, in ns."""
    if bound.kind is BoundKind.TIME:
        return min(float(rules.max_lateness_ns), rules.max_good_part * bound.good_ns)
    return float(rules.max_lateness_ns)
