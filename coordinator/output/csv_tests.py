"""The rows of a network run as CSV: for each test one of the whole, and one for each of its intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from coordinator.output.csv_cells import known
from loadgen.measure.forwarding import Passage
from loadgen.measure.throughput import ProbeResult, Tick
from loadgen.model.probe import Direction, Kind
from loadgen.model.units import NS_PER_MS, NS_PER_S

TEST_COLUMNS = (
    "row",
    "test",
    "link",
    "mode",
    "flows",
    "kind",
    "transport",
    "direction",
    "window_bytes",
    "interval_start_s",
    "interval_end_s",
    "omitted",
    "sent_bytes",
    "received_bytes",
    "sent_mbit_per_s",
    "received_mbit_per_s",
    "retransmits",
    "rtt_ms",
    "cwnd_bytes",
    "packets",
    "lost_packets",
    "transactions",
    "failed_transactions",
    "unanswered_transactions",
    "latency_p50_ms",
    "latency_p90_ms",
    "latency_p99_ms",
    "latency_max_ms",
    "latency_at_least",
    "local_cpu_s",
    "remote_cpu_s",
)
"""The columns of runs of tests: iperf and forward."""


def rows_of_tests(tests: Iterable[ProbeResult | Passage]) -> Iterator[Mapping[str, object]]:
    """The rows of finished tests, numbered from 1 in the order in which they ran."""
    for number, one in enumerate(tests, start=1):
        result = one.result if isinstance(one, Passage) else one
        about = {**_about(result), **_way(one), "test": number}
        yield {**about, "row": "test", **_whole(result)}
        for tick in result.ticks:
            yield {**about, "row": "interval", **_interval(tick, result.test.kind)}


def _about(result: ProbeResult) -> Mapping[str, object]:
    test = result.test
    return {
        "flows": test.parallel,
        "kind": test.kind.value,
        "transport": test.transport.value,
        "direction": test.direction.value if test.kind is Kind.STREAM else "",
        "window_bytes": test.window_bytes,
    }


def _way(one: ProbeResult | Passage) -> Mapping[str, object]:
    if isinstance(one, ProbeResult):
        return {}
    return {"link": one.link.value, "mode": one.mode.value, "flows": one.flows, "window_bytes": one.window_bytes}


def _whole(result: ProbeResult) -> Mapping[str, object]:
    """The sums over all streams and both directions, without the omitted time."""
    row: dict[str, object] = {
        "local_cpu_s": known(result.local_cpu_ns, NS_PER_S),
        "remote_cpu_s": known(result.remote_cpu_ns, NS_PER_S),
    }
    if result.test.kind is not Kind.STREAM:
        found = result.latency
        return row | {
            "transactions": found.transactions,
            "failed_transactions": found.failed,
            "unanswered_transactions": found.unanswered,
            "latency_p50_ms": known(found.p50_ns, NS_PER_MS),
            "latency_p90_ms": known(found.p90_ns, NS_PER_MS),
            "latency_p99_ms": known(found.p99_ns, NS_PER_MS),
            "latency_max_ms": known(found.max_ns, NS_PER_MS),
            "latency_at_least": " ".join(name.removesuffix("_ns") for name in found.lower_bounds),
        }
    streams = result.streams
    received_bps = sum(result.received_bps(way) for way in (Direction.SEND, Direction.RECEIVE))
    return row | {
        "sent_bytes": sum(one.sent_bytes for one in streams),
        "received_bytes": result.received_bytes(),
        "sent_mbit_per_s": f"{sum(_sent_mbit_per_s(result, way) for way in Direction):.6f}",
        "received_mbit_per_s": f"{received_bps / 1e6:.6f}",
        "retransmits": _sum([one.retransmits for one in streams]),
        "packets": _sum([one.packets for one in streams]),
        "lost_packets": _sum([one.lost for one in streams]),
    }


def _sent_mbit_per_s(result: ProbeResult, way: Direction) -> float:
    """The sent rate in one direction, in Mbit/s: the bytes of all streams over the time of the slowest stream."""
    streams = [one for one in result.streams if one.direction is way]
    return _mbit_per_s(sum(one.sent_bytes for one in streams), max((one.sent_ns for one in streams), default=0))


def _interval(tick: Tick, kind: Kind) -> Mapping[str, object]:
    """One interval as measured at the client's end, over all streams."""
    length_ns = tick.end_ns - tick.start_ns
    row: dict[str, object] = {
        "interval_start_s": f"{tick.start_ns / NS_PER_S:.6f}",
        "interval_end_s": f"{tick.end_ns / NS_PER_S:.6f}",
        "omitted": int(tick.omitted),
    }
    if kind is not Kind.STREAM:
        return row | {"transactions": tick.received_bytes}  # one byte there and one byte back
    return row | {
        "sent_bytes": tick.sent_bytes,
        "received_bytes": tick.received_bytes,
        "sent_mbit_per_s": f"{_mbit_per_s(tick.sent_bytes, length_ns):.6f}",
        "received_mbit_per_s": f"{_mbit_per_s(tick.received_bytes, length_ns):.6f}",
        "retransmits": known(tick.retransmits),
        "rtt_ms": known(tick.rtt_ns, NS_PER_MS),
        "cwnd_bytes": known(tick.cwnd_bytes),
        "packets": known(tick.packets),
        "lost_packets": known(tick.lost),
    }


def _sum(values: list[int]) -> object:
    """The sum of the known values; an empty cell when no value is known."""
    counted = [value for value in values if value >= 0]
    return sum(counted) if counted else ""


def _mbit_per_s(size_bytes: int, length_ns: int) -> float:
    return size_bytes * 8e-6 * NS_PER_S / length_ns if length_ns > 0 else 0.0
