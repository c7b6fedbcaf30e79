"""How long did the connections of a closed loop wait for the load generator?"""

from __future__ import annotations

from loadgen.model.units import NS_PER_MS
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.result import Check


def closed_waits(evidence: TrustEvidence) -> Check | None:
    """The share of connection time in long waits between two operations; only for a closed loop.

    A wait is long when it exceeds `max_open_lateness_ns`.  A client that is only busy adds shorter waits, and shows in
    the CPU checks.
    """
    if evidence.loop is not Loop.CLOSED or not evidence.measured_ns:
        return None
    long_ns = evidence.rules.max_open_lateness_ns
    connection_ns = evidence.asked.connections * evidence.measured_ns
    return Check.at_most(
        "time lost to lateness",
        evidence.window.lateness.sum_ns(long_ns) / connection_ns,
        evidence.rules.max_still_share,
        detail=f"share of the connections' time in waits longer than {long_ns / NS_PER_MS:g} ms for the client",
    )
