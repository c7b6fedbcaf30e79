"""Did the sender of datagrams reach the rate that was requested?"""

from __future__ import annotations

from loadgen.measure.throughput import StreamResult
from loadgen.model.probe import Transport
from loadgen.model.units import NS_PER_S, format_window
from loadgen.verdict.network_evidence import IperfEvidence
from loadgen.verdict.network_sums import MBIT
from loadgen.verdict.result import Check


def datagrams_sent(evidence: IperfEvidence) -> Check | None:
    """The lowest share of the requested rate that any UDP stream sent; None for TCP or without a requested rate.

    A TCP sender may be slowed down by the path: that is a result, not a fault of the sender.
    """
    plan, rules = evidence.plan, evidence.rules
    if plan.transport is not Transport.UDP or not plan.rate_bps:
        return None
    shares = [
        (_sent_share(stream, plan.rate_bps, rules.late_datagrams), one.test)
        for one in evidence.results
        for stream in one.streams
    ]
    if not shares:
        return None
    worst, test = min(shares, key=lambda pair: pair[0])
    name = f"{test.direction.value} {format_window(test.window_bytes)}"
    return Check(
        name="datagrams sent",
        value=100 * worst,
        limit=100 * rules.min_sent_share,
        ok=worst >= rules.min_sent_share,
        unit="%",
        relation=">=",
        detail=f"share of the {plan.rate_bps / MBIT:,.6g} Mbit/s requested per stream; lowest: {name}",
    )


def _sent_share(stream: StreamResult, rate_bps: int, late_datagrams: int) -> float:
    """Share of the requested rate.  A few datagrams late at its end are some per cent of a short test at a low rate."""
    sent_bps = stream.sent_bytes * 8 * NS_PER_S / stream.sent_ns if stream.sent_ns > 0 else 0.0
    share = sent_bps / rate_bps
    forgiven = late_datagrams / stream.packets if stream.packets > 0 else 0.0
    return max(share, min(1.0, share * (1 + forgiven)))
