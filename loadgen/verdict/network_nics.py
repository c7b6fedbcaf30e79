"""Proof that the bytes of a test crossed the proxy's host from one NIC to another.

A route may bypass a NIC unnoticed: Linux answers for all of its addresses on every NIC (the weak host model), two NICs
in one subnet share their ARP, and a host reaches its own addresses over the loopback.

The bytes that the receiving end counted have certainly crossed.  The bytes that the proxy read have certainly come in.
The bytes that the proxy wrote may not all have left: at the end of a test some are still in its socket buffers.
"""

from __future__ import annotations

from collections.abc import Sequence

from loadgen.measure.forwarding import HostReport, NicCounters, Passage
from loadgen.model.probe import Direction, Kind, Link, Mode
from loadgen.verdict.network_result import NicProof
from loadgen.verdict.network_rules import NetworkRules

_NO_NIC = NicCounters(name="", rx_bytes=0, tx_bytes=0, rx_packets=0, tx_packets=0)


def proxied_bytes(passage: Passage) -> tuple[int, int]:
    """Bytes that the proxy forwarded and returned during the passage, including the omitted warm-up; 0 for DIRECT."""
    before, after = (_totals(report) for report in (passage.before, passage.after))
    return max(0, after[0] - before[0]), max(0, after[1] - before[1])


def must_be_proven(passage: Passage) -> bool:
    """Whether the bytes must cross NICs: always in a lab, and between real machines on the path through a proxy.

    The direct path between real machines may be another route (:func:`direct_elsewhere`).
    """
    if passage.link is Link.REAL:
        return passage.mode is not Mode.DIRECT and bool(passage.before.version and passage.after.version)
    return passage.link is not Link.LOOPBACK


def prove(passage: Passage) -> NicProof:
    """Compare the NICs' counts with the payload: in by one NIC and out by another, and back by the same two.

    The proof shows the direction with more payload.
    """
    needs = _needs(passage)
    nics = _deltas(passage.before, passage.after)
    pairs = [(here, there) for here in nics for there in nics if here.name != there.name]
    here, there = max(
        pairs or [(max(nics, key=lambda nic: nic.rx_bytes, default=_NO_NIC), _NO_NIC)],
        key=lambda pair: (_crossed(needs, *pair), pair[0].rx_bytes + pair[1].tx_bytes),
    )
    way = max(needs, key=lambda way: needs[way][0])
    entered, left = (here, there) if way is Direction.SEND else (there, here)
    return NicProof(
        link=passage.link,
        mode=passage.mode,
        window_bytes=passage.window_bytes,
        flows=passage.flows,
        payload_bytes=needs[way][0],
        rx_nic=entered.name,
        rx_bytes=entered.rx_bytes,
        tx_nic=left.name,
        tx_bytes=left.tx_bytes,
        ok=bool(pairs) and _crossed(needs, here, there),
    )


def direct_elsewhere(passages: Sequence[Passage]) -> str:
    """A sentence when the direct path between real machines does not cross the proxy's host; else empty."""
    direct = [one for one in passages if one.link is Link.REAL and one.mode is Mode.DIRECT and one.after.version]
    if all(prove(one).ok for one in direct):
        return ""
    return "The direct path does not cross both NICs of the proxy's host, so the proxy is compared with another route."


def other_traffic(passages: Sequence[Passage], rules: NetworkRules) -> str:
    """A sentence when a NIC counted much more than the payload; else empty."""
    worst: tuple[float, NicCounters, int] = (0.0, _NO_NIC, 0)
    for passage in passages:
        if passage.result.test.kind is not Kind.STREAM or not must_be_proven(passage):
            continue
        allowed = _most(passage) * (1 + rules.max_nic_excess) + rules.nic_excess_bytes
        for nic in _deltas(passage.before, passage.after):
            counted = max(nic.rx_bytes, nic.tx_bytes)
            worst = max(worst, (counted / allowed, nic, _most(passage)), key=lambda found: found[0])
    share, nic, payload = worst
    if share <= 1:
        return ""
    return (
        f"Other traffic on the NIC {nic.name}: it counted {max(nic.rx_bytes, nic.tx_bytes) / 1e6:,.1f} MB "
        f"during a test with {payload / 1e6:,.1f} MB."
    )


def _totals(report: HostReport) -> tuple[int, int]:
    counters = [service.counters for service in report.services]
    return sum(one.forwarded_bytes for one in counters), sum(one.returned_bytes for one in counters)


def _arrived(passage: Passage, way: Direction) -> int:
    result = passage.result
    if result.test.kind is not Kind.STREAM:
        return result.latency.transactions  # one byte in each direction
    return sum(stream.received_bytes for stream in result.streams if stream.direction is way)


def _most(passage: Passage) -> int:
    """The most payload bytes that may have been sent in one direction, including the omitted warm-up."""
    ticks = passage.result.ticks
    counted = (
        *proxied_bytes(passage),
        sum(tick.sent_bytes for tick in ticks),
        sum(tick.received_bytes for tick in ticks),
        *(_arrived(passage, way) for way in (Direction.SEND, Direction.RECEIVE)),
    )
    return max(counted)


def _deltas(before: HostReport, after: HostReport) -> list[NicCounters]:
    then = {nic.name: nic for nic in before.nics}
    return [
        NicCounters(
            name=nic.name,
            rx_bytes=nic.rx_bytes - then[nic.name].rx_bytes,
            tx_bytes=nic.tx_bytes - then[nic.name].tx_bytes,
            rx_packets=nic.rx_packets - then[nic.name].rx_packets,
            tx_packets=nic.tx_packets - then[nic.name].tx_packets,
        )
        for nic in after.nics
        if nic.name in then
    ]


def _needs(passage: Passage) -> dict[Direction, tuple[int, int]]:
    """By direction: bytes that arrived at the receiver, and bytes that certainly came in at the proxy's host."""
    ways = zip((Direction.SEND, Direction.RECEIVE), proxied_bytes(passage), strict=True)
    return {way: (_arrived(passage, way), max(_arrived(passage, way), read)) for way, read in ways}


def _crossed(needs: dict[Direction, tuple[int, int]], here: NicCounters, there: NicCounters) -> bool:
    """Whether both NICs counted enough: `here` is the source's side, `there` the sink's."""
    (sent, sent_in), (returned, returned_in) = needs[Direction.SEND], needs[Direction.RECEIVE]
    return (
        here.rx_bytes >= sent_in
        and there.tx_bytes >= sent
        and there.rx_bytes >= returned_in
        and here.tx_bytes >= returned
    )
