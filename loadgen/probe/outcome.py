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

_IN_FLIGHT_NS = 20 * NS_PER_MS
"""A stock receiver stops reading when it receives the end; datagrams of this time in ns may still be in transit."""


def by_sender(count: StreamCount, sent: StreamCount, highest: int) -> StreamCount:
    """A receiver's `count` with the datagrams that its sender sent after the last one that arrived: all are lost.

    `highest`: the highest packet number that the receiver has seen after it waited for stragglers.
    """
    seen = max(highest, count.packets + count.omitted_packets)
    return _with_unseen(count, sent, seen)


def pair_streams(
    mine: Iterable[StreamCount], theirs: Results, *, sending: Collection[int], transport: Transport, limited: bool
) -> tuple[StreamResult, ...]:
    """The result of each stream in `mine`, with the far end's counts of the same id.

    `sending`: ids of the streams that this end sends.  `limited`: whether the test has a byte limit.  Raises
    ProtocolError if the far end leaves out a stream.
    """
    others = {count.id: count for count in theirs.streams}
    results = []
    for count in mine:
        other = others.get(count.id)
        if other is None:
            raise ProtocolError(f"broke the protocol: its results leave out stream {count.id}")
        if count.id in sending:
            results.append(_result(count, other, Direction.SEND, transport, count.retransmits, limited))
        else:
            retransmits = other.retransmits if theirs.has_retransmits else UNKNOWN
            results.append(_result(other, count, Direction.RECEIVE, transport, retransmits, limited))
    return tuple(results)


def _result(
    sender: StreamCount,
    receiver: StreamCount,
    direction: Direction,
    transport: Transport,
    retransmits: int,
    limited: bool,
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
        # Bytes may arrive before the sender's thread counts them, because its call has not returned yet.
        sent_bytes=max(sender.bytes, receiver.bytes),
        sent_ns=sender.ns,
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


def _datagrams(sender: StreamCount, receiver: StreamCount) -> StreamCount:
    """The receiver's count of datagrams, corrected by the sender's count, and without the warm-up."""
    if receiver.duplicates != UNKNOWN:  # a loadgen receiver: counted with by_sender
        return receiver
    seen = receiver.packets + receiver.omitted_packets
    if not receiver.omits_packets:  # a stock receiver includes the packets that its sender omitted
        packets = max(0, receiver.packets - sender.omitted_packets)
        receiver = replace(receiver, packets=packets, lost=min(receiver.lost, packets))
    in_flight = sender.packets * _IN_FLIGHT_NS // sender.ns if sender.ns and seen else 0
    if sender.packets + sender.omitted_packets - seen <= in_flight:
        return receiver
    return _with_unseen(receiver, sender, seen)


def _with_unseen(count: StreamCount, sent: StreamCount, seen: int) -> StreamCount:
    unseen = min(sent.packets, max(0, sent.packets + sent.omitted_packets - seen))
    return replace(count, packets=count.packets + unseen, lost=count.lost + unseen)
