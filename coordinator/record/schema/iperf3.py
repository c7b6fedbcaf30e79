"""One test in the terms of iperf3's own JSON document; what is not known is left out."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from coordinator.record.schema.common import Count

OptionalNumber = float | UnsetType


class Iperf3Sum(Struct, kw_only=True):
    """Named and meant as in iperf3."""

    start: float
    end: float
    seconds: float
    bytes: int
    bits_per_second: float
    sender: bool
    retransmits: OptionalNumber = UNSET
    rtt: OptionalNumber = UNSET
    snd_cwnd: OptionalNumber = UNSET
    packets: OptionalNumber = UNSET
    lost_packets: OptionalNumber = UNSET
    lost_percent: OptionalNumber = UNSET
    jitter_ms: OptionalNumber = UNSET
    out_of_order: OptionalNumber = UNSET
    duplicates: OptionalNumber = UNSET
    omitted: bool | UnsetType = UNSET
    id: Count | UnsetType = UNSET
    max_snd_cwnd: OptionalNumber = UNSET
    mean_rtt: OptionalNumber = UNSET
    min_rtt: OptionalNumber = UNSET


class Iperf3Interval(Struct, kw_only=True):
    """One interval, over all streams."""

    sum: Iperf3Sum
    sum_bidir_reverse: Iperf3Sum | UnsetType = UNSET


class Iperf3Stream(Struct, kw_only=True):
    """One stream: both ends of it over TCP, or all of it over UDP."""

    sender: Iperf3Sum | UnsetType = UNSET
    receiver: Iperf3Sum | UnsetType = UNSET
    udp: Iperf3Sum | UnsetType = UNSET


class Iperf3Cpu(Struct, kw_only=True):
    """CPU use in percent of one core."""

    host_total: OptionalNumber = UNSET
    remote_total: OptionalNumber = UNSET


class Iperf3End(Struct, kw_only=True):
    """The sums of a test."""

    cpu_utilization_percent: Iperf3Cpu
    streams: list[Iperf3Stream] | UnsetType = UNSET
    sum_sent: Iperf3Sum | UnsetType = UNSET
    sum_received: Iperf3Sum | UnsetType = UNSET
    sum_sent_bidir_reverse: Iperf3Sum | UnsetType = UNSET
    sum_received_bidir_reverse: Iperf3Sum | UnsetType = UNSET
    sender_tcp_congestion: str | UnsetType = UNSET


class Iperf3TestStart(Struct, kw_only=True):
    """The requested parameters of the test."""

    protocol: str
    num_streams: int
    omit: float
    duration: float
    bytes: int
    reverse: int
    blksize: int | UnsetType = UNSET


class Iperf3Start(Struct, kw_only=True):
    """The facts that were known before the test."""

    test_start: Iperf3TestStart
    sock_bufsize: int
    target_bitrate: int
    sndbuf_actual: int | UnsetType = UNSET
    rcvbuf_actual: int | UnsetType = UNSET


class TimeInterval(Struct, kw_only=True):
    """Between which times the true one is; null where nothing limits it."""

    low: int
    high: int | None


class LatencyPart(Struct, kw_only=True):
    """A request/response test: one byte there, one byte back."""

    transactions: Count
    failed: Count
    wall_ns: Count
    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None
    max_ns: int | None
    per_s: float
    unanswered: Annotated[
        Count | UnsetType, Meta(description="Unanswered at the end, after a longer wait than any answered one.")
    ] = UNSET
    stalled_ns: Annotated[
        Count | UnsetType, Meta(description="The waits of the unanswered ones within the measured time, added up.")
    ] = UNSET
    lower_bounds: Annotated[
        list[str] | UnsetType, Meta(description="The names of the times that are only lower bounds.")
    ] = UNSET
    intervals: Annotated[dict[str, TimeInterval] | UnsetType, Meta(description="By the names in lower_bounds.")] = UNSET


class NicPart(Struct, kw_only=True):
    """The counters of one NIC for the time of the test."""

    name: str
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int


class ProxyPart(Struct, kw_only=True):
    """The counters of the proxy's host for the time of the test."""

    cpu_s: float
    memory_bytes: Count
    nics: list[NicPart]


class Iperf3Run(Struct, kw_only=True):
    """One test in the terms of iperf3's own JSON document."""

    start: Iperf3Start
    intervals: list[Iperf3Interval]
    end: Iperf3End
    latency: LatencyPart | UnsetType = UNSET
    proxy: Annotated[ProxyPart | UnsetType | None, Meta(description="Of a forwarding test; null without a proxy.")] = (
        UNSET
    )
