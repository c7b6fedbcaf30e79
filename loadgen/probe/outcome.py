"""Combines the counts of both ends of a test into its results.  Pure.

Datagrams are counted by their sender: one that was sent and did not arrive is lost, also when no later one arrived that
would show the gap.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from loadgen.measure.throughput import UNKNOWN, StreamResult
from loadgen.model.probe import Direction, Transport
from loadgen.model.units import NS_PER_MS
from loadgen.probe.iperf3 import ProtocolError
from loadgen.probe.messages import Results, StreamCount
from loadgen.verdict.network_rules import NETWORK_RULES

_IN_FLIGHT_NS = 20 * NS_PER_MS
"""A stock receiver stops reading when it receives the end; datagrams of this time in ns may still be in transit."""


def by_sender(count: StreamCount, sent: StreamCount, highest: int) -> StreamCount:
    """A receiver's `count` with the datagrams that its sender sent after the last one that arrived: all are lost.

    `highest`: the highest packet number that the receiver has seen after it waited for stragglers.
    """
    seen = max(highest, count.packets + count.omitted_packets)
    return _with_unseen(count, sent, seen)


def pair_streams(
    mine: Iterable[StreamCount],
    theirs: Results,
    *,
    sending: Collection[int],
    transport: Transport,
    limited: bool,
    block_bytes: int = 0,
) -> tuple[StreamResult, ...]:
    """The result of each stream in `mine`, with the far end's counts of the same id.

    `sending`: ids of the streams that this end sends.  `limited`: whether the test has a byte limit.  `block_bytes`:
    the size of a write.  Raises ProtocolError if the far end leaves out a stream.
    """
    others = {count.id: count for count in theirs.streams}
    results = []
    for count in mine:
        other = others.get(count.id)
        if other is None:
            raise ProtocolError(f"broke the protocol: its results leave out stream {count.id}")
        if count.id in sending:
            results.append(_result(count, other, Direction.SEND, transport, count.retransmits, limited, block_bytes))
        else:
            retransmits = other.retransmits if theirs.has_retransmits else UNKNOWN
            results.append(_result(other, count, Direction.RECEIVE, transport, retransmits, limited, block_bytes))
    return tuple(results)


def alone(mine: Iterable[StreamCount], *, sending: Collection[int], transport: Transport) -> tuple[StreamResult, ...]:
    """The result of each stream in `mine` if the far end's counts never came; () if too little is known without them.

    A TCP sender knows what the far end's kernel acknowledged.  A sender of datagrams knows nothing of their arrival.
    """
    results = []
    for count in mine:
        if count.id in sending:
            if transport is Transport.UDP or count.acked_bytes == UNKNOWN:
                return ()
            there = StreamCount(id=count.id, bytes=min(count.bytes, count.acked_bytes), ns=count.ns)
            results.append(_result(count, there, Direction.SEND, transport, count.retransmits, False, 0))
        else:
            there = StreamCount(id=count.id, bytes=count.bytes, ns=count.ns)
            results.append(_result(there, count, Direction.RECEIVE, transport, UNKNOWN, False, 0))
    return tuple(results)


def _result(
    sender: StreamCount,
    receiver: StreamCount,
    direction: Direction,
    transport: Transport,
    retransmits: int,
    limited: bool,
    block_bytes: int,
) -> StreamResult:
    udp = transport is Transport.UDP
    counted = _datagrams(sender, receiver) if udp else receiver
    received_ns = receiver.ns or sender.ns
    # the receiver's time ends with its last byte, but more bytes were sent
    if limited and receiver.bytes < sender.bytes:
        received_ns = max(received_ns, sender.ns)
    return StreamResult(
        id=receiver.id,
        direction=direction,
        sent_bytes=_sent(sender, receiver, block_bytes),
        sent_ns=sender.ns or receiver.ns,
        received_bytes=receiver.bytes,
        received_ns=received_ns,
        retransmits=UNKNOWN if udp else retransmits,
        rtt_ns=sender.rtt_ns,
        rtt_min_ns=sender.rtt_min_ns,
        cwnd_max_bytes=sender.cwnd_max_bytes,
        packets=counted.packets if udp else UNKNOWN,
        lost=counted.lost if udp else UNKNOWN,
        out_of_order=receiver.out_of_order,
        duplicates=receiver.duplicates if udp else UNKNOWN,
        jitter_ns=receiver.jitter_ns if udp else UNKNOWN,
        dropped=receiver.dropped if udp else UNKNOWN,
        quiet_ns=receiver.quiet_ns,
    )


def _sent(sender: StreamCount, receiver: StreamCount, block_bytes: int) -> int:
    """Bytes may arrive before the sender's thread counts them: its call has not returned, or its count was read first.

    More than that is an excess, for the check of received bytes to find: a stock receiver counts duplicates as payload.
    """
    if receiver.duplicates != UNKNOWN:
        return max(sender.bytes, receiver.bytes)
    counted_late = block_bytes + round(NETWORK_RULES.max_count_skew * sender.bytes)
    return receiver.bytes if sender.bytes < receiver.bytes <= sender.bytes + counted_late else sender.bytes


def _datagrams(sender: StreamCount, receiver: StreamCount) -> StreamCount:
    """The receiver's count of datagrams, corrected by the sender's count, and without the warm-up.

    `lost` is UNKNOWN where a stock receiver's counts do not tell it: one that counts no datagrams, one whose losses
    include those of the warm-up, and one that received more datagrams than it says arrived.  The last has duplicates,
    and each of them hides a loss.
    """
    if receiver.duplicates != UNKNOWN:  # a loadgen receiver: counted with by_sender
        return receiver
    seen = receiver.packets + receiver.omitted_packets
    if UNKNOWN in (receiver.packets, receiver.lost) or (receiver.bytes and not seen):
        return replace(receiver, packets=sender.packets, lost=UNKNOWN)
    omitted = 0
    if not receiver.omits_packets:  # a stock receiver includes the packets that its sender omitted
        omitted = max(0, sender.omitted_packets)
        receiver = replace(receiver, packets=max(0, receiver.packets - omitted))
    doubtful = bool(omitted and receiver.lost)  # those after the last that arrived are not in the warm-up
    in_flight = sender.packets * _IN_FLIGHT_NS // sender.ns if sender.ns and seen else 0
    if sender.packets + sender.omitted_packets - seen > in_flight:
        receiver = _with_unseen(receiver, sender, seen)
    if not omitted:
        doubtful = _copies(sender, receiver) > max(2, in_flight // 4)
    return replace(receiver, lost=UNKNOWN) if doubtful else receiver


def _copies(sender: StreamCount, receiver: StreamCount) -> int:
    """The number of datagrams that a stock receiver took beyond those that did arrive, by its own counts."""
    if sender.packets <= 0 or sender.bytes <= 0:
        return 0
    taken = receiver.bytes * sender.packets // sender.bytes
    return taken - (receiver.packets - receiver.lost)


def _with_unseen(count: StreamCount, sent: StreamCount, seen: int) -> StreamCount:
    if sent.packets == UNKNOWN:
        return count
    unseen = min(sent.packets, max(0, sent.packets + sent.omitted_packets - seen))
    return replace(count, packets=count.packets + unseen, lost=count.lost + unseen)
