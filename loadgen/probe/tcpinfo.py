"""The kernel's struct tcp_info (include/uapi/linux/tcp.h), unpacked.  Pure.

Kernels append fields over time.  An older kernel returns fewer fields; missing ones are UNKNOWN.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from loadgen.measure.throughput import UNKNOWN

TCP_INFO_BYTES = 512
"""Larger than the struct of any kernel; the kernel returns what it has."""

_NS_PER_US = 1000

# (offset, format) of each field.
_SND_MSS = (16, "I")
_RTT = (68, "I")
_RTTVAR = (72, "I")
_SND_CWND = (80, "I")
_TOTAL_RETRANS = (100, "I")
_BYTES_ACKED = (120, "Q")
_BYTES_RECEIVED = (128, "Q")
_MIN_RTT = (148, "I")
_DELIVERY_RATE = (160, "Q")
_BYTES_RETRANS = (208, "Q")

_NO_MIN_RTT_US = (1 << 32) - 1  # ~0U until there is a sample


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpInfo:
    """Path statistics of one connection; UNKNOWN if the kernel does not report a field.

    `cwnd_bytes`: snd_cwnd (segments) times snd_mss.  `delivery_rate_bps`: bits per second.
    """

    rtt_ns: int
    rtt_var_ns: int
    rtt_min_ns: int
    cwnd_bytes: int
    total_retransmits: int
    delivery_rate_bps: int
    bytes_acked: int
    bytes_received: int
    bytes_retransmitted: int


def unpack(data: bytes) -> TcpInfo:
    """The fields in `data`, which may be shorter than the struct."""
    mss, cwnd = _field(data, _SND_MSS), _field(data, _SND_CWND)
    rate = _field(data, _DELIVERY_RATE)
    min_us = _field(data, _MIN_RTT)
    return TcpInfo(
        rtt_ns=_us(_field(data, _RTT)),
        rtt_var_ns=_us(_field(data, _RTTVAR)),
        rtt_min_ns=UNKNOWN if min_us == _NO_MIN_RTT_US else _us(min_us),
        cwnd_bytes=UNKNOWN if UNKNOWN in (mss, cwnd) else mss * cwnd,
        total_retransmits=_field(data, _TOTAL_RETRANS),
        delivery_rate_bps=UNKNOWN if rate == UNKNOWN else 8 * rate,
        bytes_acked=_field(data, _BYTES_ACKED),
        bytes_received=_field(data, _BYTES_RECEIVED),
        bytes_retransmitted=_field(data, _BYTES_RETRANS),
    )


def _field(data: bytes, where: tuple[int, str]) -> int:
    offset, width = where
    if len(data) < offset + struct.calcsize(width):
        return UNKNOWN
    (value,) = struct.unpack_from(f"={width}", data, offset)
    return int(value)


def _us(value: int) -> int:
    return UNKNOWN if value == UNKNOWN else value * _NS_PER_US
