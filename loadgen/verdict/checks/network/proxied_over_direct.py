"""Was a proxy faster than the link that it was measured on?"""

from __future__ import annotations

from loadgen.model.probe import Link
from loadgen.verdict.network_evidence import ForwardEvidence
from loadgen.verdict.network_sums import at_full_windows
from loadgen.verdict.result import Check

_LIMITED = (Link.GIGE, Link.TEN_GIGE)
"""Links with a known rate limit: no path over them can be faster than the direct one."""


def proxied_over_direct(evidence: ForwardEvidence) -> Check | None:
    """The highest proxied rate as a share of the direct rate, on links with a rate limit; None without such rows."""
    full = [
        row
        for row in at_full_windows(evidence.rows, evidence.rules)
        if row.link in _LIMITED and row.share_of_direct >= 0
    ]
    if not full:
        return None
    worst = max(full, key=lambda row: row.share_of_direct)
    return Check.at_most(
        "proxied over direct",
        worst.share_of_direct,
        evidence.rules.max_over_direct,
        detail=f"{worst.name}: above the limit, the direct measurement was disturbed",
    )
