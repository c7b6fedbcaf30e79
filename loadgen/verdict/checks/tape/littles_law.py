"""Does a closed loop obey Little's law: is each connection always inside of an operation?"""

from __future__ import annotations

from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.result import Check

LITTLES_LAW = "Little's law"


def littles_law(evidence: TrustEvidence) -> Check | None:
    """The relative gap between the connections and rate x mean response; only for a closed loop without errors.

    The time of operations without a complete reply at the end counts, also of those that were due before the window
    and under way during all of it: there the server kept the connection busy, not the client.  Operations that were due
    before the window and ended in it are missing from the sum: on average half a response time per connection, and up
    to the longest response when a server stalls for all connections at once.  A connection rests after an error, so the
    law does not hold with errors.
    """
    window, whole = evidence.window, evidence.whole
    measured_ns, connections = evidence.measured_ns, evidence.asked.connections
    mean_ns = window.response.mean_ns
    if evidence.loop is not Loop.CLOSED or not measured_ns or window.bad or mean_ns is None:
        return None
    throughout = whole.response_cut.since(measured_ns).total - window.response_cut.since(measured_ns).total
    answered = window.response.sum_ns() / measured_ns
    unfinished = window.response_cut.sum_ns() / measured_ns + throughout
    gap = abs(1 - (answered + unfinished) / connections)
    rate = window.ok * NS_PER_S / measured_ns
    return Check.at_most(
        LITTLES_LAW,
        gap,
        evidence.rules.max_little_gap + whole.response.max_ns / measured_ns,
        detail=f"{rate:.4g}/s x {mean_ns / NS_PER_MS:.4g} ms = {answered:.4g}, and {unfinished:.4g} in operations "
        f"without a complete reply, of {connections} connections",
    )
