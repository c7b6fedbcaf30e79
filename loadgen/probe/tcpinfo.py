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
_U32 = struct.Struct("=I")
_U64 = struct.Struct("=Q")

# The offset of each field; all of them are u32, except the last.
_SND_MSS = 16
_RTT = 68
_SND_CWND = 80
_TOTAL_RETRANS = 100
_MIN_RTT = 148
_BYTES_ACKED = 120

_NO_MIN_RTT_US = (1 << 32) - 1  # ~0U until there is a sample


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpInfo:
    """Path statistics of one connection; UNKNOWN if the kernel does not report a field.

    `cwnd_bytes`: snd_cwnd (segments) times snd_mss.  `acked_bytes`: what the far end's kernel has acknowledged; since
    Linux 4.1.
    """

    rtt_ns: int
    rtt_min_ns: int
    cwnd_bytes: int
    total_retransmits: int
    acked_bytes: int = UNKNOWN


def unpack(data: bytes) -> TcpInfo:
    """The fields in `data`, which may be shorter than the struct."""
    mss, cwnd = _field(data, _SND_MSS), _field(data, _SND_CWND)
    min_us = _field(data, _MIN_RTT)
    return TcpInfo(
        rtt_ns=_us(_field(data, _RTT)),
        rtt_min_ns=UNKNOWN if min_us == _NO_MIN_RTT_US else _us(min_us),
        cwnd_bytes=UNKNOWN if UNKNOWN in (mss, cwnd) else mss * cwnd,
        total_retransmits=_field(data, _TOTAL_RETRANS),
        acked_bytes=_field(data, _BYTES_ACKED, _U64),
    )


def _field(data: bytes, offset: int, kind: struct.Struct = _U32) -> int:
    if len(data) < offset + kind.size:
        return UNKNOWN
    (value,) = kind.unpack_from(data, offset)
    return int(value)


def _us(value: int) -> int:
    return UNKNOWN if value == UNKNOWN else value * _NS_PER_US
