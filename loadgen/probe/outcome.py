"""The results of a test, put together from what both of its ends counted.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from loadgen.measure.throughput import UNKNOWN, StreamResult
from loadgen.model.probe import Direction, Transport
from loadgen.probe.iperf3 import ProtocolError
from loadgen.probe.messages import Results, StreamCount


def pair_streams(
    mine: Iterable[StreamCount], theirs: Results, *, sending: Collection[int], transport: Transport
) -> tuple[StreamResult, ...]:
    """Each stream as both ends counted it, by id; those of `sending` go from here to there.

    Raises ProtocolError when the other end leaves one out.
    """
    others = {count.id: count for count in theirs.streams}
    results = []
    for count in mine:
        other = others.get(count.id)
        if other is None:
            raise ProtocolError(f"broke the protocol: its results say nothing of stream {count.id}")
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
    if not receiver.omits_packets:  # a stock receiver's include those that its sender, we, omitted
        packets = max(0, packets - sender.omitted_packets)
        lost = min(lost, packets)
    if not packets:  # nothing came at all, so the receiver knows of nothing
        packets = lost = sender.packets
    return StreamResult(
        id=receiver.id,
        direction=direction,
        # The sender's thread may be inside a call whose bytes it has not counted, while they are there already.
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
