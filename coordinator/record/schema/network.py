"""The documents of `loadgen iperf` and `loadgen forward`.  A number that is not known is null."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from coordinator.record.schema.common import Count, Document, Positive, Trust
from coordinator.record.schema.iperf3 import Iperf3Run, LatencyPart
from loadgen.model.probe import Direction, ForwardPlan, IperfPlan, Link, Mode

Window = Annotated[int, Meta(ge=0, description="Asked of SO_SNDBUF and SO_RCVBUF; 0 is the kernel's own choice.")]
LatencyOrNull = Annotated[LatencyPart | None, Meta(description="Null in a stream test.")]


class RatePart(Struct, kw_only=True):
    """One direction: the median over the runs, and their spread."""

    direction: Literal["send", "receive"]
    mbit_per_s: float
    min_mbit_per_s: float
    max_mbit_per_s: float


class RateInterval(Struct, kw_only=True):
    """The bounds of the true rate; null where there is no bound."""

    low_mbit_per_s: float
    high_mbit_per_s: float | None


class GrantedPart(Struct, kw_only=True):
    """The sizes that getsockopt returns; Linux doubles the requested sizes."""

    send_bytes: int | None
    receive_bytes: int | None


class IperfPart(Struct, kw_only=True):
    """A cell of the table: a window in a direction."""

    window_bytes: Window
    direction: Annotated[Direction, Meta(description="As the client sees it.")]
    repeats: Positive
    mbit_per_s: Annotated[
        float | None,
        Meta(
            description="Median over the runs of the received payload rate, in 10^6 bits per second; of bidir, the "
            "medians of both directions together (each is in rates). Null in a request/response test."
        ),
    ]
    rates: list[RatePart]
    runs_mbit_per_s: list[float]
    cpu_s_per_gb: Annotated[
        float | None,
        Meta(description="CPU-seconds of both ends per 10^9 bytes of payload; null when one end does not say."),
    ]
    local_cpu_s_per_gb: float | None
    remote_cpu_s_per_gb: float | None
    retransmits: float | None
    rtt_ns: float | None
    cwnd_bytes: float | None
    local_granted: GrantedPart
    remote_granted: GrantedPart
    loss_share: float | None
    jitter_ns: float | None
    out_of_order: float | None
    latency: LatencyOrNull
    runs: list[Iperf3Run]
    duplicates: Annotated[
        float | UnsetType, Meta(description="Datagrams that arrived repeatedly; they are in no other count.")
    ] = UNSET
    limited_here: Annotated[
        bool | UnsetType, Meta(description="Whether the client was at the limit of its CPU: see interval.")
    ] = UNSET
    interval: Annotated[
        RateInterval | UnsetType, Meta(description="Only where mbit_per_s is merely a bound of the path's rate.")
    ] = UNSET
    slowest_stream_mbit_per_s: Annotated[
        float | UnsetType, Meta(description="Rate of the slowest stream over its own time; only with parallel streams.")
    ] = UNSET
    fastest_stream_mbit_per_s: float | UnsetType = UNSET


class ForwardPart(Struct, kw_only=True):
    """A way from source to sink, with one window and a number of flows."""

    link: Link
    mode: Mode
    window_bytes: Window
    flows: Positive
    repeats: Positive
    mbit_per_s: Annotated[
        float, Meta(description="Median over the runs of the received payload rate, in 10^6 bits per second.")
    ]
    min_mbit_per_s: float
    max_mbit_per_s: float
    runs_mbit_per_s: list[float]
    cpu_s_per_gb: Annotated[float | None, Meta(description="The same as proxy_cpu_s_per_gb.")]
    proxy_cpu_s_per_gb: Annotated[
        float | None, Meta(description="CPU-seconds of the proxy's process per 10^9 bytes forwarded; null for direct.")
    ]
    source_cores: Annotated[float | None, Meta(description="CPU time over wall time.")]
    sink_cores: float | None
    share_of_direct: float | None
    slowest_over_fastest: float | None
    retransmits: float | None
    runs: list[Iperf3Run]
    source_busy: Annotated[
        float | UnsetType, Meta(description="Share of a core that the busiest thread of the source used.")
    ] = UNSET
    sink_busy: float | UnsetType = UNSET
    limited_by: Annotated[
        Literal["source", "sink", "link"] | UnsetType,
        Meta(description="The part that limited the rate, when this is not the proxy."),
    ] = UNSET
    interval: Annotated[RateInterval | UnsetType, Meta(description="Only where source or sink was the limit.")] = UNSET


class ForwardLatencyPart(Struct, kw_only=True):
    """Ping-pong on one way, and connections per second."""

    link: Link
    mode: Mode
    latency: LatencyOrNull
    added_ns: Annotated[float | None, Meta(description="The median minus that of direct.")]
    connections_per_s: float | None
    failed: Count
    connections_limited_by: Annotated[
        Literal["source", "sink"] | UnsetType, Meta(description="Then connections_per_s is a lower bound.")
    ] = UNSET


class NicProofPart(Struct, kw_only=True):
    """The counters of the NICs of the proxy's host for one test."""

    link: Link
    mode: Mode
    window_bytes: Window
    flows: Positive
    payload_bytes: Count
    rx_nic: str
    rx_bytes: int
    tx_nic: str
    tx_bytes: int
    ok: bool


class IperfDocument(Document, kw_only=True, tag="iperf"):
    """The result of a `loadgen iperf` run."""

    notes: list[str]
    trust: Trust
    plan: Annotated[IperfPlan, Meta(description="The plan of the run, with everything that is needed to repeat it.")]
    peer: Annotated[str | None, Meta(description="The name of the other end's software.")]
    results: list[IperfPart]


class ForwardDocument(Document, kw_only=True, tag="forward"):
    """The result of a `loadgen forward` run."""

    notes: list[str]
    trust: Trust
    plan: Annotated[ForwardPlan, Meta(description="The plan of the run, with everything that is needed to repeat it.")]
    results: list[ForwardPart]
    latencies: list[ForwardLatencyPart]
    nics: list[NicProofPart]
