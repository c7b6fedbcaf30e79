"""Could the source and the sink have shown a faster proxy?"""

from __future__ import annotations

from loadgen.model.probe import Mode
from loadgen.verdict.network_evidence import ForwardEvidence
from loadgen.verdict.network_result import ForwardRow
from loadgen.verdict.network_rules import NetworkRules
from loadgen.verdict.result import Check


def limiting_end(evidence: ForwardEvidence) -> Check | None:
    """The number of rows that the CPU of source or sink decides; None without rows to compare or to judge.

    Such a row is a proxied row that looks slower than the direct path although an end could not have shown more, or a
    row that misses the required rate with an end at its limit.
    """
    compared = [row for row in evidence.rows if row.share_of_direct > 0]
    if not compared and not evidence.missed:
        return None
    direct = {(row.link, row.window_bytes, row.flows): row for row in evidence.rows if row.mode is Mode.DIRECT}
    bound = [row for row in compared if _is_bound(row, direct[row.link, row.window_bytes, row.flows], evidence.rules)]
    bound += [row for row in evidence.missed if row.limited_by_end and row not in bound]
    detail = "source and sink could have shown a faster proxy"
    if bound:
        worst = max(bound, key=lambda row: max(row.source_busy, row.sink_busy))
        used = ", ".join(
            f"the {end} used {100 * share:.0f} % of a core"
            for end, share in (("source", worst.source_busy), ("sink", worst.sink_busy))
            if share >= 0
        )
        detail = f"{worst.name}: {used}, so the proxy may be faster"
    return Check(name="cells limited by an end", value=len(bound), limit=0, ok=not bound, detail=detail)


def _is_bound(row: ForwardRow, direct: ForwardRow, rules: NetworkRules) -> bool:
    ends = ((row.source_busy, direct.source_busy), (row.sink_busy, direct.sink_busy))
    busy = any(min(here, there) >= rules.busy_core for here, there in ends)
    return busy and row.share_of_direct < rules.link_share and row.share_of_direct * rules.bound_ends >= 1
