"""Results as old versions of iperf3 write them: what they do not say is unknown, and not zero."""

from __future__ import annotations

from typing import Any

import pytest

from loadgen.measure.throughput import UNKNOWN, StreamResult
from loadgen.model.probe import Transport
from loadgen.model.units import NS_PER_S
from loadgen.probe.messages import Results, StreamCount
from loadgen.probe.outcome import by_sender, pair_streams

# As iperf3 3.0.11 and 3.1.3 write them: without start and end; 18446744073709551615 is -1.
OLD_STREAM: dict[str, Any] = {"id": 1, "bytes": 900_000, "retransmits": 18446744073709551615, "jitter": 0.000123,
                              "errors": 100, "packets": 1000}  # fmt: skip
OLD: dict[str, Any] = {"cpu_util_total": 1.5, "cpu_util_user": 0.5, "cpu_util_system": 1.0,
                       "sender_has_retransmits": 18446744073709551615}  # fmt: skip


def pair(wire: dict[str, Any], transport: Transport, *, sends: bool) -> StreamResult:
    """The result of this end's stream, which sent or received 1000 datagrams of 1000 bytes in a second."""
    udp = transport is Transport.UDP
    mine = StreamCount(
        id=1, bytes=1_000_000, ns=NS_PER_S, packets=1000 if udp else 0, duplicates=0 if udp and not sends else UNKNOWN
    )
    theirs = Results.from_wire({**OLD, "streams": [wire]})
    sending = {1} if sends else set()
    counts = [mine]
    if udp and not sends:
        counts = [by_sender(mine, theirs.streams[0], mine.packets)]
    (stream,) = pair_streams(counts, theirs, sending=sending, transport=transport, limited=False)
    return stream


def test_the_loss_at_an_old_server_is_what_it_reports() -> None:
    stream = pair(OLD_STREAM, Transport.UDP, sends=True)
    assert (stream.packets, stream.lost, stream.jitter_ns) == (1000, 100, 123_000)
    assert stream.received_bps == 7_200_000


@pytest.mark.parametrize("transport", Transport)
def test_an_old_sender_that_reports_no_time_sent_for_as_long_as_this_end_received(transport: Transport) -> None:
    stream = pair({**OLD_STREAM, "bytes": 1_000_000, "errors": 0}, transport, sends=False)
    assert (stream.sent_ns, stream.received_ns) == (NS_PER_S, NS_PER_S)


@pytest.mark.parametrize("absent", [{"errors"}, {"packets"}, {"errors", "packets"}])
@pytest.mark.parametrize("received", [900_000, 0])
def test_a_receiver_that_does_not_count_datagrams_tells_no_loss(received: int, absent: set[str]) -> None:
    """Without its number of datagrams, and without bytes, all would count as lost."""
    wire = {key: value for key, value in (OLD_STREAM | {"bytes": received}).items() if key not in absent}
    stream = pair(wire, Transport.UDP, sends=True)
    assert (stream.packets, stream.lost) == (1000, UNKNOWN)


def test_payload_without_datagrams_is_a_receiver_that_read_the_numbers_wrongly() -> None:
    """iperf3 3.0 reads the upper half of a number of 64 bits."""
    stream = pair({**OLD_STREAM, "packets": 0, "errors": 0}, Transport.UDP, sends=True)
    assert stream.lost == UNKNOWN


def test_a_sender_that_does_not_count_datagrams_leaves_the_count_of_the_receiver() -> None:
    wire = {key: value for key, value in OLD_STREAM.items() if key != "packets"}
    stream = pair(wire, Transport.UDP, sends=False)
    assert (stream.packets, stream.lost) == (1000, 0)


def test_what_is_absent_is_unknown() -> None:
    results = Results.from_wire({"streams": [{"id": 1, "bytes": 5}]})
    assert results.cpu_share == UNKNOWN
    (stream,) = results.streams
    assert (stream.jitter_ns, stream.lost, stream.packets, stream.retransmits) == (UNKNOWN,) * 4
