"""Could the source and the sink have shown a faster proxy?"""

from __future__ import annotations

from loadgen.model.probe import Mode
from loadgen.verdict.network_evidence import ForwardEvidence
from loadgen.verdict.network_result import ForwardRow
from loadgen.verdict.network_rules import NetworkRules
from loadgen.verdict.result import Check


def limiting_end(evidence: ForwardEvidence) -> Check | None:
    """The number of proxied rows that were limited by the CPU of source or sink; None without direct rows."""
    compared = [row for row in evidence.rows if row.share_of_direct > 0]
    if not compared:
        return None
    direct = {(row.link, row.window_bytes, row.flows): row for row in evidence.rows if row.mode is Mode.DIRECT}
    bound = [row for row in compared if _is_bound(row, direct[row.link, row.window_bytes, row.flows], evidence.rules)]
    detail = "source and sink could have shown a faster proxy"
    if bound:
        worst = max(bound, key=lambda row: max(row.source_cores, row.sink_cores))
        detail = (
            f"{worst.name}: the source used {100 * worst.source_cores:.0f} % of a core and the sink "
            f"{100 * worst.sink_cores:.0f} %, and the direct path was hardly faster"
        )
    return Check(name="cells limited by an end", value=len(bound), limit=0, ok=not bound, detail=detail)


def _is_bound(row: ForwardRow, direct: ForwardRow, rules: NetworkRules) -> bool:
    ends = ((row.source_cores, direct.source_cores), (row.sink_cores, direct.sink_cores))
    busy = any(min(here, there) >= rules.busy_core for here, there in ends)
    return busy and row.share_of_direct < rules.link_share and row.share_of_direct * rules.bound_ends >= 1
