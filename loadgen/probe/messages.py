"""The JSON messages of an iperf3 test: parameters at the start, results at the end.  Pure.

Keys and units are those of iperf3.  The key `loadgen` holds extensions for a loadgen peer; stock iperf3 ignores it.
All received values are checked: invalid ones raise ProtocolError and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loadgen.measure.throughput import UNKNOWN
from loadgen.model.probe import MAX_BLOCK_BYTES, MAX_PARALLEL, MAX_WINDOW_BYTES, Direction, Kind, Transport
from loadgen.model.units import NS_PER_S
from loadgen.probe.iperf3 import UDP_COOKIES, ProtocolError

MAX_COUNT = (1 << 63) - 1
_MINUS_ONE = (1 << 64) - 1  # how iperf3 writes -1
_MAX_TEXT = 1 << 20
_MAX_SECONDS = 10 * 86400
_DEFAULT_TCP_BLOCK = 128 << 10  # iperf3's
_DEFAULT_UDP_BLOCK = 1460


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """A test as its client requests it; a number that was not given is 0.

    `version`: of a loadgen client; empty for a stock client.  `udp_cookies`: whether a loadgen client can append the
    cookie to the greetings of its UDP streams.  `token`: the login (:mod:`loadgen.probe.login`), which is only sent.
    `omit_ns` and `duration_ns`: exact from a loadgen client, whole seconds from a stock one.  `limit_bytes`: per
    direction, over all streams.
    """

    kind: Kind = Kind.STREAM
    transport: Transport = Transport.TCP
    direction: Direction = Direction.SEND
    parallel: int = 1
    duration_ns: int = 0
    omit_ns: int = 0
    limit_bytes: int = 0
    limit_blocks: int = 0
    block_bytes: int = _DEFAULT_TCP_BLOCK
    window_bytes: int = 0
    rate_bps: int = 0
    kernel_rate_bps: int = 0
    burst_blocks: int = 0
    mss_bytes: int = 0
    no_delay: bool = False
    type_of_service: int = 0
    congestion: str = ""
    wants_output: bool = False
    counters_64bit: bool = False
    version: str = ""
    udp_cookies: bool = False
    token: str = field(default="", repr=False)

    def to_wire(self, client_version: str) -> dict[str, Any]:
        """The parameters with iperf3's keys; like iperf3, omits optional ones that are 0."""
        wire: dict[str, Any] = {
            self.transport.value: True,
            "omit": math.ceil(self.omit_ns / NS_PER_S),
            "time": math.ceil(self.duration_ns / NS_PER_S),
            "num": self.limit_bytes,
            "blockcount": self.limit_blocks,
            "parallel": self.parallel,
            "len": self.block_bytes,
            "pacing_timer": 1000,
            "client_version": client_version,
        }
        more = {
            "reverse": self.direction is Direction.RECEIVE,
            "bidirectional": self.direction is Direction.BIDIR,
            "window": self.window_bytes,
            "bandwidth": self.rate_bps,
            "fqrate": self.kernel_rate_bps,
            "burst": self.burst_blocks,
            "MSS": self.mss_bytes,
            "nodelay": self.no_delay,
            "TOS": self.type_of_service,
            "congestion": self.congestion,
            "get_server_output": int(self.wants_output),
            "udp_counters_64bit": int(self.counters_64bit),
            "authtoken": self.token,
        }
        wire |= {key: value for key, value in more.items() if value}
        if self.version:
            wire["loadgen"] = {
                "version": self.version,
                "kind": self.kind.value,
                "omit_ns": self.omit_ns,
                "duration_ns": self.duration_ns,
                UDP_COOKIES: self.udp_cookies,
            }
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Parameters:
        """The inverse of :meth:`to_wire`.  Raises ProtocolError if `wire` is invalid."""
        if wire.get("sctp"):
            raise ProtocolError("requested SCTP, which is not supported")
        transport = Transport.UDP if _flag(wire, "udp") else Transport.TCP
        ours = _map(wire, "loadgen")
        try:
            kind = Kind(ours.get("kind", Kind.STREAM.value))
        except (ValueError, TypeError):
            raise ProtocolError("requested an unknown kind of test") from None
        if kind is not Kind.STREAM and transport is Transport.UDP:
            raise ProtocolError("requested request/response over UDP, which is not supported")
        default = _DEFAULT_UDP_BLOCK if transport is Transport.UDP else _DEFAULT_TCP_BLOCK
        omit_ns = _whole(wire, "omit", top=_MAX_SECONDS) * NS_PER_S
        duration_ns = _whole(wire, "time", top=_MAX_SECONDS) * NS_PER_S
        backwards, both = _flag(wire, "reverse"), _flag(wire, "bidirectional")
        return cls(
            kind=kind,
            transport=transport,
            direction=Direction.BIDIR if both else Direction.RECEIVE if backwards else Direction.SEND,
            parallel=_whole(wire, "parallel", low=1, top=MAX_PARALLEL, default=1),
            duration_ns=_whole(ours, "duration_ns", default=duration_ns, top=_MAX_SECONDS * NS_PER_S),
            omit_ns=_whole(ours, "omit_ns", default=omit_ns, top=_MAX_SECONDS * NS_PER_S),
            limit_bytes=_whole(wire, "num"),
            limit_blocks=_whole(wire, "blockcount"),
            block_bytes=_whole(wire, "len", top=MAX_BLOCK_BYTES) or default,
            window_bytes=_whole(wire, "window", top=MAX_WINDOW_BYTES),
            rate_bps=_whole(wire, "bandwidth"),
            kernel_rate_bps=_whole(wire, "fqrate"),
            burst_blocks=_whole(wire, "burst", top=1000),
            mss_bytes=_whole(wire, "MSS", top=65535),
            no_delay=_flag(wire, "nodelay"),
            type_of_service=_whole(wire, "TOS", top=255),
            congestion=_name(wire, "congestion"),
            wants_output=_flag(wire, "get_server_output"),
            counters_64bit=_flag(wire, "udp_counters_64bit"),
            version=_name(ours, "version"),
            udp_cookies=_flag(ours, UDP_COOKIES),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCount:
    """One stream as one end counted it, without the omitted warm-up; UNKNOWN if that end does not report a number.

    `bytes`: sent by a sender, or received by a receiver.  `ns`: the measured time; 0 if unknown (iperf3 before 3.2).
    `packets` and `lost` exclude the warm-up if the peer reports `omitted_packets`; otherwise they include it, and
    `omits_packets` is False.
    `duplicates`: only from a loadgen receiver, which counts `packets` and `lost` by what its sender sent.  `dropped`:
    the lost ones that its socket had no room for.  `quiet_ns`: for how long nothing had come when the test ended; only
    from a loadgen receiver over TCP.  `acked_bytes`: only of this end's TCP senders; what the far end's kernel has.
    """

    id: int
    bytes: int
    ns: int
    retransmits: int = UNKNOWN
    jitter_ns: int = UNKNOWN
    lost: int = 0
    packets: int = 0
    omits_packets: bool = True
    omitted_lost: int = 0
    omitted_packets: int = 0
    out_of_order: int = UNKNOWN
    duplicates: int = UNKNOWN
    dropped: int = UNKNOWN
    quiet_ns: int = UNKNOWN
    rtt_ns: int = UNKNOWN
    rtt_min_ns: int = UNKNOWN
    cwnd_max_bytes: int = UNKNOWN
    acked_bytes: int = UNKNOWN

    def to_wire(self) -> dict[str, Any]:
        """The counts with iperf3's keys; `packets` and `errors` include the omitted ones, which have their own keys."""
        return {
            "id": self.id,
            "bytes": self.bytes,
            "retransmits": self.retransmits,
            "jitter": max(0, self.jitter_ns) / NS_PER_S,
            "errors": self.lost + self.omitted_lost,
            "omitted_errors": self.omitted_lost,
            "packets": self.packets + self.omitted_packets,
            "omitted_packets": self.omitted_packets,
            "start_time": 0,
            "end_time": self.ns / NS_PER_S,
            "loadgen": {
                "ns": self.ns,
                "out_of_order": self.out_of_order,
                "duplicates": self.duplicates,
                "dropped": self.dropped,
                "quiet_ns": self.quiet_ns,
                "rtt_ns": self.rtt_ns,
                "rtt_min_ns": self.rtt_min_ns,
                "cwnd_max_bytes": self.cwnd_max_bytes,
            },
        }

    @classmethod
    def from_wire(cls, wire: object) -> StreamCount:
        """The inverse of :meth:`to_wire`.  Raises ProtocolError if `wire` is invalid."""
        if not isinstance(wire, dict):
            raise ProtocolError("sent results of a stream that are not a JSON object")
        ours = _map(wire, "loadgen")
        omits = "omitted_packets" in wire
        omitted_lost = _whole(wire, "omitted_errors", low=UNKNOWN)
        omitted_packets = _whole(wire, "omitted_packets", low=UNKNOWN)
        seconds = _real(wire, "end_time") - _real(wire, "start_time")
        if not 0 <= seconds <= _MAX_SECONDS:
            raise ProtocolError(f"sent a stream time of {seconds:g} s; allowed are 0 to {_MAX_SECONDS} s")
        return cls(
            id=_whole(wire, "id", low=1, default=0),
            bytes=_whole(wire, "bytes"),
            ns=_whole(ours, "ns", default=round(seconds * NS_PER_S)),
            retransmits=_whole(wire, "retransmits", low=UNKNOWN, default=UNKNOWN),
            jitter_ns=round(_real(wire, "jitter") * NS_PER_S) if "jitter" in wire else UNKNOWN,
            lost=_without(wire, "errors", omitted_lost),
            packets=_without(wire, "packets", omitted_packets),
            omits_packets=omits,
            omitted_lost=max(0, omitted_lost),
            omitted_packets=max(0, omitted_packets),
            **{
                name: _whole(ours, name, low=UNKNOWN, default=UNKNOWN)
                for name in (
                    "out_of_order",
                    "duplicates",
                    "dropped",
                    "quiet_ns",
                    "rtt_ns",
                    "rtt_min_ns",
                    "cwnd_max_bytes",
                )
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The counters of one end of a test.

    `cpu_share` and its user and system parts: CPU time over wall time, 1.0 is one core; UNKNOWN if absent.  `output`:
    text for people.  `version`, `cpu_ns`, `busiest_ns` (its busiest thread) and the granted buffers: only from a
    loadgen end.
    """

    cpu_share: float
    cpu_user_share: float
    cpu_system_share: float
    has_retransmits: bool
    congestion: str
    streams: tuple[StreamCount, ...]
    output: str = ""
    version: str = ""
    cpu_ns: int = UNKNOWN
    busiest_ns: int = UNKNOWN
    granted_send_bytes: int = UNKNOWN
    granted_receive_bytes: int = UNKNOWN

    def to_wire(self) -> dict[str, Any]:
        """The results with iperf3's keys, and ours under `loadgen`."""
        wire: dict[str, Any] = {
            "cpu_util_total": 100 * self.cpu_share,
            "cpu_util_user": 100 * self.cpu_user_share,
            "cpu_util_system": 100 * self.cpu_system_share,
            "sender_has_retransmits": int(self.has_retransmits),
            "streams": [stream.to_wire() for stream in self.streams],
            "loadgen": {
                "version": self.version,
                "cpu_ns": self.cpu_ns,
                "busiest_ns": self.busiest_ns,
                "granted_send_bytes": self.granted_send_bytes,
                "granted_receive_bytes": self.granted_receive_bytes,
            },
        }
        if self.congestion:
            wire["congestion_used"] = self.congestion
        if self.output:
            wire["server_output_text"] = self.output
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Results:
        """The inverse of :meth:`to_wire`.  Raises ProtocolError if `wire` is invalid."""
        ours = _map(wire, "loadgen")
        streams = wire.get("streams", [])
        if not isinstance(streams, list) or len(streams) > 2 * MAX_PARALLEL:
            raise ProtocolError("sent results whose streams are not a list, or too many")
        counts = tuple(StreamCount.from_wire(stream) for stream in streams)
        if len({count.id for count in counts}) != len(counts):
            raise ProtocolError("sent results that name a stream twice")
        return cls(
            cpu_share=_real(wire, "cpu_util_total") / 100 if "cpu_util_total" in wire else UNKNOWN,
            cpu_user_share=_real(wire, "cpu_util_user") / 100,
            cpu_system_share=_real(wire, "cpu_util_system") / 100,
            has_retransmits=_whole(wire, "sender_has_retransmits", low=UNKNOWN) > 0,
            congestion=_name(wire, "congestion_used"),
            streams=counts,
            output=_text(wire, "server_output_text", top=_MAX_TEXT),
            version=_name(ours, "version"),
            cpu_ns=_whole(ours, "cpu_ns", low=UNKNOWN, default=UNKNOWN),
            busiest_ns=_whole(ours, "busiest_ns", low=UNKNOWN, default=UNKNOWN),
            granted_send_bytes=_whole(ours, "granted_send_bytes", low=UNKNOWN, default=UNKNOWN),
            granted_receive_bytes=_whole(ours, "granted_receive_bytes", low=UNKNOWN, default=UNKNOWN),
        )


def _whole(wire: Mapping[str, Any], key: str, *, low: int = 0, top: int = MAX_COUNT, default: int = 0) -> int:
    value = wire.get(key, default)
    if value is True or value is False:  # get_server_output is a bool or a number, depending on the version of iperf3
        value = int(value)
    if isinstance(value, float) and value.is_integer():  # cJSON writes large numbers like 1e+16
        value = int(value)
    if value == _MINUS_ONE:
        value = UNKNOWN
    if not isinstance(value, int) or not low <= value <= top:
        raise ProtocolError(f"sent an invalid {key!r}: it must be a whole number from {low} to {top}")
    return value


def _without(wire: Mapping[str, Any], key: str, omitted: int) -> int:
    """The count `key` without the omitted part; UNKNOWN if it is absent."""
    return max(0, _whole(wire, key, low=-MAX_COUNT) - max(0, omitted)) if key in wire else UNKNOWN


def _real(wire: Mapping[str, Any], key: str) -> float:
    value = wire.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
        raise ProtocolError(f"sent an invalid {key!r}: it must be a number from 0 to 1e9")
    return float(value)


def _flag(wire: Mapping[str, Any], key: str) -> bool:
    return bool(_whole(wire, key, top=1))


def _text(wire: Mapping[str, Any], key: str, *, top: int) -> str:
    value = wire.get(key, "")
    if not isinstance(value, str) or len(value) > top or "\0" in value:
        raise ProtocolError(f"sent an invalid {key!r}: it must be text of at most {top} characters")
    return value


def _name(wire: Mapping[str, Any], key: str) -> str:
    """A short text that is safe to show: no escape sequences, and no surrogates, which cannot be encoded."""
    value = _text(wire, key, top=64)
    if not value.isprintable():
        raise ProtocolError(f"sent an invalid {key!r}: it must be printable text")
    return value


def _map(wire: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = wire.get(key, {})
    if not isinstance(value, dict):
        raise ProtocolError(f"sent an invalid {key!r}: it must be a JSON object")
    return value
