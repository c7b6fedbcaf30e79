"""Did a receiver count more bytes than its sender sent?"""

from __future__ import annotations

from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import MAX_UDP_BLOCK_BYTES, Direction, Transport
from loadgen.model.units import NS_PER_S
from loadgen.verdict.network_evidence import IperfEvidence
from loadgen.verdict.network_rules import NetworkRules
from loadgen.verdict.network_sums import ways_of
from loadgen.verdict.result import Check


def received_beyond_sent(evidence: IperfEvidence) -> Check | None:
    """The largest excess of received over sent bytes, beyond the slack between both counts; None without streams."""
    counted = [
        (way, one, *_counted(one, way))
        for one in evidence.results
        if one.streams
        for way in ways_of(one.test.direction)
    ]
    excess = [
        (100 * _excess(got, sent + _slack(one, way, evidence.rules)), way, got, sent) for way, one, sent, got in counted
    ]
    if not excess:
        return None
    worst, way, got, sent = max(excess, key=lambda found: found[0])
    return Check(
        name="received beyond sent",
        value=worst,
        limit=0,
        ok=worst <= 0,
        unit="%",
        detail=f"{way.value}: {got:,} bytes received, {sent:,} bytes sent",
    )


def _counted(result: ProbeResult, way: Direction) -> tuple[int, int]:
    """Bytes sent and bytes received in one direction."""
    streams = [one for one in result.streams if one.direction is way]
    return sum(one.sent_bytes for one in streams), sum(one.received_bytes for one in streams)


def _excess(got: int, allowed: float) -> float:
    return max(0.0, got / allowed - 1) if allowed > 0 else float(got > 0)


def _slack(result: ProbeResult, way: Direction, rules: NetworkRules) -> float:
    """The number of bytes by which the receiver's count may exceed the sender's count."""
    test, udp = result.test, result.test.transport is Transport.UDP
    write_bytes = test.block_bytes or (MAX_UDP_BLOCK_BYTES if udp else rules.block_bytes)
    block = rules.max_count_skew * _counted(result, way)[0] + test.parallel * write_bytes
    if udp:
        return block + test.parallel * test.rate_bps * rules.datagram_skew_ns / (8 * NS_PER_S)
    if not test.omit_ns:
        return block
    sender, receiver = result.local_granted, result.remote_granted
    if way is Direction.RECEIVE:
        sender, receiver = receiver, sender
    known = sender.send_bytes >= 0 and receiver.receive_bytes >= 0 and test.window_bytes > 0
    buffers = sender.send_bytes + receiver.receive_bytes if known else rules.skew_bytes
    return block + buffers * test.parallel
