"""A finished test in the terms of iperf3's own JSON document (`iperf3 -J`, as of 3.12).

The names have iperf3's meaning.  `intervals` are what the client's end saw; times are in seconds since the end of the
omitted part (omitted intervals count from the start of the test).  `end.sum_sent` is what the senders handed to their
kernels, and `end.sum_received` what the receivers got, both without the omitted part; `sender` says whether the client
sent.  With both directions at once, the plain sums are client to server and the sums with `bidir_reverse` server to
client.  Numbers that are not known are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coordinator.record.latency import latency_part
from loadgen.measure.throughput import NO_LATENCY, UNKNOWN, ProbeResult, StreamResult, Tick
from loadgen.model.plain import to_plain
from loadgen.model.probe import Direction, Transport
from loadgen.model.units import NS_PER_MS, NS_PER_S, NS_PER_US


def run_document(result: ProbeResult) -> dict[str, Any]:
    """The document of a test, with each of its streams."""
    whole = bare_run_document(result)
    tell = _datagram_stream if result.test.transport is Transport.UDP else _stream
    return {**whole, "end": {"streams": [tell(one) for one in result.streams], **whole["end"]}}


def bare_run_document(result: ProbeResult) -> dict[str, Any]:
    """The document of a test without `end.streams`."""
    test = result.test
    end: dict[str, Any] = {}
    for direction, suffix in _directions(test.direction):
        streams = [one for one in result.streams if one.direction is direction]
        if streams:
            end |= _sums(streams, test.transport, suffix)
    cpu = {"host_total": _percent(result.local_cpu_ns, result), "remote_total": _percent(result.remote_cpu_ns, result)}
    end["cpu_utilization_percent"] = {name: value for name, value in cpu.items() if value is not None}
    if result.congestion:
        end["sender_tcp_congestion"] = result.congestion
    document: dict[str, Any] = {
        "start": {
            "sock_bufsize": test.window_bytes,
            **_known("sndbuf_actual", result.local_granted.send_bytes),
            **_known("rcvbuf_actual", result.local_granted.receive_bytes),
            "target_bitrate": test.rate_bps,
            "test_start": {
                "protocol": test.transport.value.upper(),
                "num_streams": test.parallel,
                **_known("blksize", test.block_bytes or UNKNOWN),
                "omit": test.omit_ns / NS_PER_S,
                "duration": test.duration_ns / NS_PER_S,
                "bytes": test.limit_bytes,
                "reverse": int(test.direction is Direction.RECEIVE),
            },
        },
        "intervals": _intervals(result),
        "end": end,
    }
    if result.latency != NO_LATENCY:
        document["latency"] = latency_part(result.latency, to_plain(result.latency))
    return document


def _directions(direction: Direction) -> Sequence[tuple[Direction, str]]:
    """The directions of a test, each with the suffix that iperf3 appends to the names of its sums."""
    if direction is Direction.BIDIR:
        return (Direction.SEND, ""), (Direction.RECEIVE, "_bidir_reverse")
    return ((direction, ""),)


def _intervals(result: ProbeResult) -> list[dict[str, Any]]:
    begin_ns = next((tick.start_ns for tick in result.ticks if not tick.omitted), 0)
    return [
        {
            f"sum{suffix}": _interval(tick, direction, result.test.transport, 0 if tick.omitted else begin_ns)
            for direction, suffix in _directions(result.test.direction)
        }
        for tick in result.ticks
    ]


def _interval(tick: Tick, direction: Direction, transport: Transport, begin_ns: int) -> dict[str, Any]:
    sends = direction is Direction.SEND
    data = _span(tick.start_ns - begin_ns, tick.end_ns - begin_ns, tick.sent_bytes if sends else tick.received_bytes)
    if sends and transport is Transport.TCP:
        data |= _known("retransmits", tick.retransmits)
        data |= _known("rtt", tick.rtt_ns, NS_PER_US) | _known("snd_cwnd", tick.cwnd_bytes)
    if transport is Transport.UDP:
        data |= _known("packets", tick.packets)
        if not sends:
            data |= _lost(tick.lost, tick.packets)
    return {**data, "omitted": tick.omitted, "sender": sends}


def _sums(streams: Sequence[StreamResult], transport: Transport, suffix: str) -> dict[str, Any]:
    sends = streams[0].direction is Direction.SEND
    sent = _span(0, max(one.sent_ns for one in streams), sum(one.sent_bytes for one in streams))
    received = _span(0, max(one.received_ns for one in streams), sum(one.received_bytes for one in streams))
    if transport is Transport.TCP:
        sent |= _known("retransmits", _total([one.retransmits for one in streams]))
    else:
        packets = _total([one.packets for one in streams])
        sent |= _known("packets", packets)
        jitters = [one.jitter_ns for one in streams if one.jitter_ns >= 0]
        jitter_ns = sum(jitters) / len(jitters) if jitters else UNKNOWN  # iperf3 also takes the mean over the streams
        received |= _known("jitter_ms", jitter_ns, NS_PER_MS) | _known("packets", packets)
        received |= _lost(_total([one.lost for one in streams]), packets)
        received |= _known("out_of_order", _total([one.out_of_order for one in streams]))
        received |= _known("duplicates", _total([one.duplicates for one in streams]))
    return {
        f"sum_sent{suffix}": {**sent, "sender": sends},
        f"sum_received{suffix}": {**received, "sender": sends},
    }


def _stream(one: StreamResult) -> dict[str, Any]:
    sends = one.direction is Direction.SEND
    return {
        "sender": {
            "id": one.id,
            **_span(0, one.sent_ns, one.sent_bytes),
            **_known("retransmits", one.retransmits),
            **_known("max_snd_cwnd", one.cwnd_max_bytes),
            **_known("mean_rtt", one.rtt_ns, NS_PER_US),
            **_known("min_rtt", one.rtt_min_ns, NS_PER_US),
            "sender": sends,
        },
        "receiver": {"id": one.id, **_span(0, one.received_ns, one.received_bytes), "sender": sends},
    }


def _datagram_stream(one: StreamResult) -> dict[str, Any]:
    return {
        "udp": {
            "id": one.id,
            **_span(0, one.sent_ns, one.sent_bytes),
            **_known("jitter_ms", one.jitter_ns, NS_PER_MS),
            **_known("packets", one.packets),
            **_lost(one.lost, one.packets),
            **_known("out_of_order", one.out_of_order),
            **_known("duplicates", one.duplicates),
            "sender": one.direction is Direction.SEND,
        }
    }


def _span(start_ns: int, end_ns: int, size_bytes: int) -> dict[str, Any]:
    seconds = (end_ns - start_ns) / NS_PER_S
    return {
        "start": start_ns / NS_PER_S,
        "end": end_ns / NS_PER_S,
        "seconds": seconds,
        "bytes": size_bytes,
        "bits_per_second": size_bytes * 8 / seconds if seconds > 0 else 0.0,
    }


def _lost(lost: int, packets: int) -> dict[str, Any]:
    if lost < 0:
        return {}
    return {"lost_packets": lost, "lost_percent": 100 * lost / packets if packets > 0 else 0.0}


def _known(name: str, value: float, unit: int = 1) -> dict[str, float]:
    """The value under its name, divided by `unit`; an empty dict when it is not known."""
    return {} if value < 0 else {name: value / unit if unit > 1 else value}


def _total(values: Sequence[int]) -> int:
    return sum(values) if all(value >= 0 for value in values) else UNKNOWN


def _percent(cpu_ns: int, result: ProbeResult) -> float | None:
    return 100 * cpu_ns / result.wall_ns if cpu_ns >= 0 and result.wall_ns > 0 else None
