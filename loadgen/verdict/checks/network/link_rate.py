"""Does a link carry its nominal rate when no proxy is in the way?"""

from __future__ import annotations

from loadgen.model.probe import Mode
from loadgen.verdict.network_evidence import ForwardEvidence
from loadgen.verdict.network_sums import at_full_windows
from loadgen.verdict.result import Check


def link_rate(evidence: ForwardEvidence) -> list[Check]:
    """One check per link of known rate: the slowest direct row with one flow and a window that fills the link."""
    checks = []
    full = at_full_windows(evidence.rows, evidence.rules)
    for link, least in evidence.rules.least_direct_mbit_per_s.items():
        direct = [row for row in full if row.link is link and row.mode is Mode.DIRECT]
        if direct:
            worst = min(direct, key=lambda row: row.mbit_per_s)
            checks.append(
                Check(
                    name=f"{link.value} link",
                    value=worst.mbit_per_s,
                    limit=least,
                    ok=worst.mbit_per_s >= least,
                    unit="Mbit/s",
                    relation=">=",
                    detail=f"{worst.name}: slowest direct test; below the limit, the network lacks its nominal rate",
                )
            )
    return checks
