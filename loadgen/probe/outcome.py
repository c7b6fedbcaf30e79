"""Combines the counts of both ends of a test into its results.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from loadgen.measure.throughput import UNKNOWN, StreamResult
from loadgen.model.probe import Direction, Transport
from loadgen.probe.iperf3 import ProtocolError
from loadgen.probe.messages import Results, StreamCount


def pair_streams(
    mine: Iterable[StreamCount], theirs: Results, *, sending: Collection[int], transport: Transport
) -> tuple[StreamResult, ...]:
    """The result of each stream in `mine`, with the far end's counts of the same id.

    `sending`: ids of the streams that this end sends.  Raises ProtocolError if the far end leaves out a stream.
    """
    others = {count.id: count for count in theirs.streams}
    results = []
    for count in mine:
        other = others.get(count.id)
        if other is None:
            raise ProtocolError(f"broke the protocol: its results leave out stream {count.id}")
        if count.id in sending:
            results.append(_result(count, other, Direction.SEND, transport, count.retransmits))
        else:
            retransmits = other.retransmits if theirs.has_retransmits else UNKNOWN
            results.append(_result(other, count, Direction.RECEIVE, transport, retransmits))
    return tuple(results)


def _result(
    sender: StreamCount, receiver: StreamCount, direction: Direction, transport: Transport, retransmits: int
) -> StreamResult:
    udp = transport is Transport.UDP
    packets, lost = receiver.packets, receiver.lost
    if not receiver.omits_packets:  # a stock receiver includes the packets that its sender omitted
        packets = max(0, packets - sender.omitted_packets)
        lost = min(lost, packets)
    if not packets:  # no packet arrived, so the receiver has no counts
        packets = lost = sender.packets
    return StreamResult(
        id=receiver.id,
        direction=direction,
        # Bytes may arrive before the sender's thread counts them, because its call has not returned yet.
        sent_bytes=max(sender.bytes, receiver.bytes),
        sent_ns=sender.ns,
        received_bytes=receiver.bytes,
        received_ns=receiver.ns or sender.ns,
        retransmits=UNKNOWN if udp else retransmits,
        rtt_ns=sender.rtt_ns,
        rtt_min_ns=sender.rtt_min_ns,
        cwnd_max_bytes=sender.cwnd_max_bytes,
        packets=packets if udp else UNKNOWN,
        lost=lost if udp else UNKNOWN,
        out_of_order=receiver.out_of_order,
        jitter_ns=receiver.jitter_ns if udp else UNKNOWN,
    )
