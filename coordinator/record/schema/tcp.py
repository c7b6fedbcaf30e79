"""What the client's kernel saw of TCP connections in a measured window (struct tcp_info)."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from coordinator.record.schema.common import Count

Share = Annotated[float, Meta(ge=0, le=1)] | None


class TcpBlame(Struct, kw_only=True):
    """What TCP did on the connections that do not conform, without those that were lost with their engine."""

    connections: Annotated[int, Meta(ge=0, description="Connections that do not conform.")]
    retransmits: Annotated[int, Meta(ge=0, description="Of these, connections on which the client sent again.")]
    out_of_order: Annotated[
        Count | None,
        Meta(
            description="Connections without a retransmit of the client, but with segments that came out of order: "
            "replies were lost or overtaken on the way. Null when no kernel counts them."
        ),
    ]
    waited: Annotated[int, Meta(ge=0, description="Slow connections with neither: they only waited for the server.")]
    failed: Annotated[int, Meta(ge=0, description="Connections with neither whose requests failed, or that had none.")]


class TcpPart(Struct, kw_only=True):
    """TCP connections at the client's end; null: the kernel of a load machine does not tell."""

    connections: Annotated[int, Meta(ge=0, description="Connections of the load.")]
    looks: Annotated[
        int,
        Meta(ge=0, description="How often TCP connections were looked at: in turn, and each one when it was closed."),
    ]
    skipped: Annotated[
        int,
        Meta(
            ge=0,
            description="TCP connections that were not looked at when they were closed, because more than 1,000 of an "
            "engine that were younger than 200 ms were closed in a second. The other numbers are without theirs.",
        ),
    ]
    retransmits: Annotated[
        int, Meta(ge=0, description="Segments that the client sent again, SYN included. Replies are not the client's.")
    ]
    segments_sent: Annotated[Count | None, Meta(description="All segments that the client sent.")]
    out_of_order: Annotated[
        Count | None, Meta(description="Segments that the client received out of order (Linux 5.4 and later).")
    ]
    segments_received: Annotated[Count | None, Meta(description="All segments that the client received.")]
    lossy: Annotated[int, Meta(ge=0, description="Connections with a retransmit or a segment out of order.")]
    rtts: Annotated[int, Meta(ge=0, description="Samples of the round-trip time.")]
    rtt_min_ms: Annotated[float | None, Meta(description="Lowest sample of the smoothed round-trip time.")]
    rtt_p50_ms: Annotated[float | None, Meta(description="Median of the samples.")]
    rtt_p99_ms: Annotated[float | None, Meta(description="99th percentile of the samples.")]
    busy_s: Annotated[
        float | None,
        Meta(description="Time in which data of the client was not acknowledged yet, added up over the connections."),
    ]
    cwnd_limited: Annotated[Share, Meta(description="Share of busy_s with neither of the two limits that follow.")]
    rwnd_limited: Annotated[Share, Meta(description="Share of busy_s in which the server's receive window was full.")]
    sndbuf_limited: Annotated[Share, Meta(description="Share of busy_s in which the client's send buffer was full.")]
    not_conforming: Annotated[
        TcpBlame | UnsetType, Meta(description="Only where connections are judged, in a run that has a score.")
    ] = UNSET


Counted = Count | UnsetType


class Namespace(Struct, kw_only=True):
    """What the kernel of a load machine counted in its network namespace: of everything there, not of the load alone.

    A counter that the kernel does not have is missing.
    """

    machine: Annotated[str, Meta(description="Name of the load machine.")]
    seconds: Annotated[int, Meta(ge=0, description="Seconds of the window that were read.")]
    tcp_segments_sent: Annotated[Counted, Meta(description="Segments sent, without those sent again (OutSegs).")] = (
        UNSET
    )
    tcp_segments_received: Annotated[Counted, Meta(description="Segments received (InSegs).")] = UNSET
    tcp_retransmits: Annotated[Counted, Meta(description="Segments sent again (RetransSegs).")] = UNSET
    tcp_syn_retransmits: Annotated[Counted, Meta(description="SYN segments sent again (TCPSynRetrans).")] = UNSET
    tcp_timeouts: Annotated[Counted, Meta(description="Retransmission timeouts (TCPTimeouts).")] = UNSET
    tcp_loss_probes: Annotated[Counted, Meta(description="Tail loss probes sent (TCPLossProbes).")] = UNSET
    tcp_out_of_order: Annotated[Counted, Meta(description="Segments received out of order (TCPOFOQueue).")] = UNSET
    tcp_received_twice: Annotated[
        Counted, Meta(description="Segments that had come before: the other end sent them again (TCPDSACKOldSent).")
    ] = UNSET
    tcp_receive_drops: Annotated[
        Counted, Meta(description="Segments dropped because a receive buffer was full (TCPRcvQDrop).")
    ] = UNSET
    tcp_aborted_on_timeout: Annotated[
        Counted, Meta(description="Connections given up after retransmissions (TCPAbortOnTimeout).")
    ] = UNSET
    listen_overflows: Annotated[
        Counted, Meta(description="Connections that found a listen queue full (ListenOverflows).")
    ] = UNSET
    listen_drops: Annotated[Counted, Meta(description="Connection attempts dropped by listeners (ListenDrops).")] = (
        UNSET
    )


NamespacesOrUnset = Annotated[
    list[Namespace] | UnsetType,
    Meta(description="Counters of the network namespaces of the load machines; missing when none was read."),
]

TcpOrUnset = Annotated[
    TcpPart | UnsetType,
    Meta(description="What the kernel of the load machines saw of the TCP connections; missing when it saw none."),
]
