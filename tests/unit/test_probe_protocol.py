"""iperf3's protocol as values: written values can be read, and no input does harm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.cli.options import parse_windows
from loadgen.measure.throughput import UNKNOWN
from loadgen.model.errors import PlanError
from loadgen.model.probe import MAX_WINDOW_BYTES, Direction, Kind, Transport
from loadgen.model.units import NS_PER_S
from loadgen.probe import iperf3
from loadgen.probe.iperf3 import ProtocolError, State
from loadgen.probe.messages import Parameters, Results, StreamCount
from loadgen.probe.outcome import by_sender, pair_streams

# As iperf3 3.12 sent them (recorded with a relay between its two ends).
STOCK_PARAMETERS: dict[str, Any] = {
    "tcp": True, "omit": 1, "time": 0, "num": 0, "blockcount": 3, "MSS": 1000, "nodelay": True, "parallel": 1,
    "len": 1000, "fqrate": 10000000, "pacing_timer": 1000, "TOS": 8, "congestion": "reno", "client_version": "3.12",
}  # fmt: skip
STOCK_RESULTS: dict[str, Any] = {
    "cpu_util_total": 0.82, "cpu_util_user": 0, "cpu_util_system": 0.819,
    "sender_has_retransmits": 18446744073709551615, "congestion_used": "bbr",
    "streams": [
        {"id": 1, "bytes": 655360, "retransmits": 18446744073709551615, "jitter": 0, "errors": 0, "packets": 0,
         "start_time": 0, "end_time": 0.047147},
        {"id": 3, "bytes": 458699, "retransmits": 18446744073709551615, "jitter": 0, "errors": 0, "packets": 0,
         "start_time": 0, "end_time": 0.047154},
    ],
}  # fmt: skip


def test_parameters_of_a_stock_client_are_understood() -> None:
    assert Parameters.from_wire(STOCK_PARAMETERS) == Parameters(
        omit_ns=NS_PER_S,
        limit_blocks=3,
        block_bytes=1000,
        kernel_rate_bps=10_000_000,
        mss_bytes=1000,
        no_delay=True,
        type_of_service=8,
        congestion="reno",
    )


def test_parameters_of_a_stock_udp_client_are_understood() -> None:
    wire = {"udp": True, "omit": 0, "time": 1, "num": 0, "blockcount": 0, "parallel": 2, "bidirectional": True,
            "len": 32768, "bandwidth": 1048576, "get_server_output": 1, "udp_counters_64bit": 1}  # fmt: skip
    asked = Parameters.from_wire(wire)
    assert (asked.transport, asked.direction, asked.parallel) == (Transport.UDP, Direction.BIDIR, 2)
    assert (asked.rate_bps, asked.wants_output, asked.counters_64bit) == (1 << 20, True, True)
    assert (asked.duration_ns, asked.version) == (NS_PER_S, "")


def test_results_of_a_stock_server_are_understood() -> None:
    results = Results.from_wire(STOCK_RESULTS)
    assert results.cpu_share == pytest.approx(0.0082)
    assert not results.has_retransmits
    assert [(count.id, count.bytes, count.ns, count.retransmits) for count in results.streams] == [
        (1, 655360, 47147000, -1),
        (3, 458699, 47154000, -1),
    ]
    assert not results.streams[0].omits_packets


@pytest.mark.parametrize("window_bytes", [0, 1, 3 << 29, MAX_WINDOW_BYTES])
def test_a_server_accepts_every_window_that_a_client_may_request(window_bytes: int) -> None:
    assert Parameters.from_wire({"window": window_bytes}).window_bytes == window_bytes
    assert window_bytes == 0 or parse_windows(str(window_bytes)) == (window_bytes,)


def test_no_end_accepts_a_window_that_a_socket_cannot_have() -> None:
    with pytest.raises(ProtocolError, match="window"):
        Parameters.from_wire({"window": MAX_WINDOW_BYTES + 1})
    with pytest.raises(PlanError, match="window"):
        parse_windows(str(MAX_WINDOW_BYTES + 1))


counts = st.integers(0, 1 << 62)
asked_by_us = st.builds(
    Parameters,
    kind=st.just(Kind.STREAM),
    transport=st.sampled_from(Transport),
    direction=st.sampled_from(Direction),
    parallel=st.integers(1, 1024),
    duration_ns=st.integers(0, 86400 * NS_PER_S),
    omit_ns=st.integers(0, 86400 * NS_PER_S),
    limit_bytes=counts,
    limit_blocks=counts,
    block_bytes=st.integers(1, 1 << 24),
    window_bytes=st.integers(0, MAX_WINDOW_BYTES),
    rate_bps=counts,
    kernel_rate_bps=counts,
    burst_blocks=st.integers(0, 1000),
    mss_bytes=st.integers(0, 65535),
    no_delay=st.booleans(),
    type_of_service=st.integers(0, 255),
    congestion=st.sampled_from(["", "reno"]),
    wants_output=st.booleans(),
    counters_64bit=st.booleans(),
    version=st.just("1.2"),
)
counted = st.builds(
    StreamCount,
    id=st.integers(1, 5000),
    bytes=counts,
    ns=st.integers(0, 86400 * NS_PER_S),
    retransmits=st.integers(-1, 1 << 40),
    jitter_ns=st.integers(0, 1 << 40),
    lost=st.integers(0, 1 << 40),
    packets=st.integers(0, 1 << 40),
    omitted_lost=st.integers(0, 1 << 40),
    omitted_packets=st.integers(0, 1 << 40),
    out_of_order=st.integers(-1, 1 << 40),
    duplicates=st.integers(-1, 1 << 40),
    dropped=st.integers(-1, 1 << 40),
    quiet_ns=st.integers(-1, 1 << 40),
    rtt_ns=st.integers(-1, 1 << 40),
    rtt_min_ns=st.integers(-1, 1 << 40),
    cwnd_max_bytes=st.integers(-1, 1 << 40),
)


def through_the_wire(value: object) -> dict[str, Any]:
    data = iperf3.block(value)
    assert iperf3.block_length(data[:4], 1 << 20) == len(data) - 4
    return iperf3.parse_block(data[4:])


@given(asked_by_us)
def test_parameters_survive_the_wire(asked: Parameters) -> None:
    assert Parameters.from_wire(through_the_wire(asked.to_wire("loadgen 1.2"))) == asked


@given(st.lists(counted, max_size=4, unique_by=lambda count: count.id), st.sampled_from(["", 'a\nb"c']))
def test_results_survive_the_wire(streams: list[StreamCount], output: str) -> None:
    results = Results(
        cpu_share=0.5, cpu_user_share=0.25, cpu_system_share=0.25, has_retransmits=True, congestion="bbr",
        streams=tuple(streams), output=output, version="1", cpu_ns=5, granted_send_bytes=6, granted_receive_bytes=7,
    )  # fmt: skip
    assert Results.from_wire(through_the_wire(results.to_wire())) == results


KEYS = sorted({*STOCK_PARAMETERS, *STOCK_RESULTS, *STOCK_RESULTS["streams"][0], "udp", "reverse", "bidirectional",
               "window", "bandwidth", "burst", "loadgen", "kind", "omit_ns", "duration_ns", "version", "sctp",
               "get_server_output", "server_output_text", "omitted_packets", "rtt_ns", "ns"})  # fmt: skip
some_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["rr", "crr", "stream", 18446744073709551615, 1e300, -1]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=12,
)


def read_as_every_message(body: bytes) -> None:
    """Read `body` as every type of message; only the protocol's own error may be raised."""
    for read in (Parameters.from_wire, Results.from_wire, StreamCount.from_wire):
        try:
            read(iperf3.parse_block(body))
        except ProtocolError:
            continue


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    read_as_every_message(body)


@given(some_json)
def test_any_json_is_read_or_refused(value: object) -> None:
    read_as_every_message(json.dumps(value).encode())


@given(st.sampled_from([STOCK_PARAMETERS, STOCK_RESULTS]), st.sampled_from(KEYS), some_json)
def test_one_wrong_value_is_read_or_refused(right: dict[str, Any], key: str, value: object) -> None:
    read_as_every_message(json.dumps({**right, key: value}).encode())
    if right is STOCK_RESULTS:
        read_as_every_message(json.dumps({**right, "streams": [{**right["streams"][0], key: value}]}).encode())


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"num":' + b"9" * 5000 + b"}", b"\xff{}", b"[]", b"", b'{"num":NaN}', b'{"time":Infinity}'],
    ids=["deep", "long number", "no text", "a list", "nothing", "NaN", "infinity"],
)
def test_invalid_blocks_are_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        iperf3.parse_block(body)


@pytest.mark.parametrize(
    ("key", "value"),
    [("parallel", 0), ("parallel", 1025), ("num", -1), ("num", 1.5), ("len", 1 << 25), ("congestion", 7),
     ("sctp", True), ("loadgen", []), ("time", 10**9), ("TOS", 256), ("congestion", "a\0b"),
     ("loadgen", {"version": "\x1b[2J"}), ("loadgen", {"version": "\ud800"})],
)  # fmt: skip
def test_impossible_parameters_are_refused(key: str, value: object) -> None:
    with pytest.raises(ProtocolError):
        Parameters.from_wire({**STOCK_PARAMETERS, key: value})


@pytest.mark.parametrize("version", ["\x1b[2J", "\ud800", "1\n2"])
def test_the_name_of_a_peer_is_printable(version: str) -> None:
    with pytest.raises(ProtocolError, match="printable"):
        Results.from_wire({"loadgen": {"version": version}})


def test_results_that_name_a_stream_twice_are_refused() -> None:
    with pytest.raises(ProtocolError, match="twice"):
        Results.from_wire({"streams": [{"id": 1}, {"id": 1}]})


def test_a_block_above_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError, match="limit"):
        iperf3.block_length(b"\xff\xff\xff\xff", 1000)


def test_stream_ids_are_those_of_iperf3() -> None:
    assert iperf3.stream_ids(5) == (1, 3, 4, 5, 6)


def test_cookies_are_made_and_checked() -> None:
    cookie = iperf3.cookie_of(bytes(range(40)))
    assert len(cookie) == 37
    assert iperf3.check_cookie(cookie) == cookie
    for wrong in (cookie[:-1], cookie[:-1] + b"x", b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"[:37]):
        with pytest.raises(ProtocolError):
            iperf3.check_cookie(wrong)


@given(st.binary(min_size=1, max_size=1))
def test_states_are_known_or_refused(byte: bytes) -> None:
    try:
        state = iperf3.state_of(byte)
    except ProtocolError:
        assert int.from_bytes(byte, "big", signed=True) not in set(State)
    else:
        assert iperf3.state_byte(state) == byte


def test_errors_of_a_server_have_texts() -> None:
    assert iperf3.fault_text(6, 111) == "it does not allow this many parallel streams"
    assert iperf3.fault_text(206, 104) == "it could not read from a stream (Connection reset by peer)"
    assert iperf3.fault_text(999, 0) == "iperf3's error number 999"


def test_results_must_name_each_stream() -> None:
    mine = [StreamCount(id=1, bytes=5, ns=1), StreamCount(id=3, bytes=5, ns=1)]
    theirs = Results.from_wire({"streams": [STOCK_RESULTS["streams"][0]]})
    with pytest.raises(ProtocolError, match="stream 3"):
        pair_streams(mine, theirs, sending={1, 3}, transport=Transport.TCP, limited=False)


@pytest.mark.parametrize(("errors", "lost"), [(1, UNKNOWN), (0, 0)])
def test_datagrams_that_a_stock_receiver_did_not_omit_are_subtracted(errors: int, lost: int) -> None:
    """A loss may be one of the warm-up."""
    mine = StreamCount(id=1, bytes=400, ns=NS_PER_S, packets=4, omitted_packets=4)
    theirs = Results.from_wire({"streams": [{"id": 1, "bytes": 300, "packets": 8, "errors": errors, "end_time": 1}]})
    (stream,) = pair_streams([mine], theirs, sending={1}, transport=Transport.UDP, limited=False)
    assert (stream.packets, stream.lost, stream.received_bytes, stream.retransmits) == (4, lost, 300, -1)


def test_a_receiver_without_data_lost_everything() -> None:
    mine = StreamCount(id=1, bytes=400, ns=NS_PER_S, packets=4)
    theirs = Results.from_wire({"streams": [{"id": 1, "bytes": 0, "packets": 0, "errors": 0}]})
    (stream,) = pair_streams([mine], theirs, sending={1}, transport=Transport.UDP, limited=False)
    assert (stream.packets, stream.lost) == (4, 4)


@pytest.mark.parametrize(
    ("sender", "receiver", "expected"),
    [
        # A stock receiver stops reading at the end: 20 ms of 1000 datagrams per second may have been in transit.
        ({"packets": 1000}, {"packets": 980}, (980, 0)),
        ({"packets": 1000}, {"packets": 979}, (1000, 21)),
        ({"packets": 1000}, {"packets": 500, "errors": 10}, (1000, 510)),
        ({"packets": 10}, {"packets": 0}, (10, 10)),
        # The warm-up of 500 is in no count, whether or not the receiver reports it separately.
        ({"packets": 1000, "omitted_packets": 500}, {"packets": 1000}, (1000, 500)),
        ({"packets": 1000, "omitted_packets": 500}, {"packets": 1000, "omitted_packets": 500}, (1000, 500)),
        # A path that stopped in the warm-up
        ({"packets": 1000, "omitted_packets": 500}, {"packets": 100, "omitted_packets": 100}, (1000, 1000)),
        # A loadgen receiver has counted up to the end.
        ({"packets": 1000}, {"packets": 900, "loadgen": {"duplicates": 0}}, (900, 0)),
    ],
)
def test_loss_is_sent_minus_received(
    sender: dict[str, Any], receiver: dict[str, Any], expected: tuple[int, int]
) -> None:
    mine = StreamCount(id=1, bytes=1000 * sender["packets"], ns=NS_PER_S, **sender)
    wire = {"id": 1, "bytes": 1000 * (expected[0] - expected[1]), "errors": 0, "end_time": 1, **receiver}
    theirs = Results.from_wire({"streams": [wire]})
    (stream,) = pair_streams([mine], theirs, sending={1}, transport=Transport.UDP, limited=False)
    assert (stream.packets, stream.lost) == expected


def test_a_receiver_counts_up_to_the_last_datagram_of_its_sender() -> None:
    count = StreamCount(id=1, bytes=1, ns=1, packets=90, lost=5, omitted_packets=10, duplicates=0)
    sent = StreamCount(id=1, bytes=1, ns=1, packets=150, omitted_packets=8)
    counted = by_sender(count, sent, 101)  # one more datagram arrived after the end of the measurement
    assert (counted.packets, counted.lost) == (90 + 57, 5 + 57)
    assert by_sender(count, sent, 158) == count


def test_a_limit_that_was_not_reached_uses_the_whole_time_of_the_sender() -> None:
    mine = StreamCount(id=1, bytes=1000, ns=10 * NS_PER_S)
    theirs = Results.from_wire({"streams": [{"id": 1, "bytes": 500, "end_time": 5}]})
    (stream,) = pair_streams([mine], theirs, sending={1}, transport=Transport.TCP, limited=True)
    assert stream.received_ns == 10 * NS_PER_S


def test_retransmits_are_the_senders_own() -> None:
    counts = {"streams": [{"id": 1, "bytes": 9, "retransmits": 7, "end_time": 1}]}
    mine = [StreamCount(id=1, bytes=8, ns=1, retransmits=2)]
    theirs = Results.from_wire({**counts, "sender_has_retransmits": 1})
    silent = Results.from_wire({**counts, "sender_has_retransmits": 18446744073709551615})
    assert pair_streams(mine, theirs, sending={1}, transport=Transport.TCP, limited=False)[0].retransmits == 2
    assert pair_streams(mine, theirs, sending=set(), transport=Transport.TCP, limited=False)[0].retransmits == 7
    assert pair_streams(mine, silent, sending=set(), transport=Transport.TCP, limited=False)[0].retransmits == -1
