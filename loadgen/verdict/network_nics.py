"""Proof that the bytes of a passage crossed the proxy's host from one NIC to another.

A route may bypass a NIC without anybody noticing: Linux answers for all of its addresses on every NIC (the weak host
model), two NICs in one subnet share their ARP, and a host talks to its own addresses over the loopback.

What certainly crossed is what the receiving end counted.  What the proxy read must have come in, too; but not
all that it wrote has left: at the end of a test the rest is still in its sockets' buffers.
"""

from __future__ import annotations

from collections.abc import Sequence

from loadgen.measure.forwarding import HostReport, NicCounters, Passage
from loadgen.model.probe import Direction, Kind, Link, Mode
from loadgen.verdict.network_result import NicProof
from loadgen.verdict.network_rules import NetworkRules

_NO_NIC = NicCounters(name="", rx_bytes=0, tx_bytes=0, rx_packets=0, tx_packets=0)


def proxied_bytes(passage: Passage) -> tuple[int, int]:
    """What the passage's proxy forwarded and returned while it ran, what was omitted included; 0 for DIRECT."""
    before, after = (_totals(report) for report in (passage.before, passage.after))
    return max(0, after[0] - before[0]), max(0, after[1] - before[1])


def must_be_proven(passage: Passage) -> bool:
    """Whether there are NICs to cross: in a lab always, between real machines on the way through a proxy.

    The direct path between real machines may well be another route (:func:`direct_elsewhere`).
    """
    if passage.link is Link.REAL:
        return passage.mode is not Mode.DIRECT and bool(passage.before.version and passage.after.version)
    return passage.link is not Link.LOOPBACK


def prove(passage: Passage) -> NicProof:
    """What went there came in at one NIC and left at another; what came back took the same two the other way round.

    Shown is the direction with more payload.
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
    """A sentence when the direct path between real machines is not the one over the proxy's host; empty when it is."""
    direct = [one for one in passages if one.link is Link.REAL and one.mode is Mode.DIRECT and one.after.version]
    if all(prove(one).ok for one in direct):
        return ""
    return "The direct path does not cross both NICs of the proxy's host: the proxy is compared with another route."


def other_traffic(passages: Sequence[Passage], rules: NetworkRules) -> str:
    """A sentence when NICs counted much more than the payload; empty when not."""
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
        f"where the test had {payload / 1e6:,.1f} MB."
    )


def _totals(report: HostReport) -> tuple[int, int]:
    counters = [service.counters for service in report.services]
    return sum(one.forwarded_bytes for one in counters), sum(one.returned_bytes for one in counters)


def _arrived(passage: Passage, way: Direction) -> int:
    result = passage.result
    if result.test.kind is not Kind.STREAM:
        return result.latency.transactions  # a byte there and a byte back
    return sum(stream.received_bytes for stream in result.streams if stream.direction is way)


def _most(passage: Passage) -> int:
    """All that may have been on its way, in the direction that had more: what was omitted, too."""
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
    """By direction: the bytes that arrived at the receiver, and those that certainly came in at the proxy's host."""
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
