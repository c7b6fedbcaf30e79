"""Does a closed loop obey Little's law: connections = rate x mean response?"""

from __future__ import annotations

from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.result import Check


def littles_law(evidence: TrustEvidence) -> Check | None:
    """The relative gap between rate x mean response and the connections; only for a closed loop without errors.

    Operations under way at either end of the window are missing from the product: on average half a response time per
    connection and end, and up to the longest response when a server stalls for all connections at once.  A connection
    rests after an error, so the law does not hold with errors.
    """
    window, measured_ns, connections = evidence.window, evidence.measured_ns, evidence.asked.connections
    mean_ns = window.response.mean_ns
    if evidence.loop is not Loop.CLOSED or not measured_ns or window.bad or mean_ns is None:
        return None
    found = window.response.sum_ns() / measured_ns
    gap = abs(1 - found / connections)
    rate = window.ok * NS_PER_S / measured_ns
    return Check.at_most(
        "Little's law",
        gap,
        evidence.rules.max_little_gap + window.response.max_ns / measured_ns,
        detail=f"{rate:.4g}/s x {mean_ns / NS_PER_MS:.4g} ms = {found:.4g}, of {connections} connections",
    )
