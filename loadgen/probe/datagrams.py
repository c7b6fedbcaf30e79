"""Datagrams of a UDP stream: their header, and how a receiver counts them.  Pure."""

from __future__ import annotations

import struct

from loadgen.model.units import NS_PER_S

_NS_PER_US = 1000

HEADER_32 = struct.Struct(">III")  # seconds, microseconds, number from 1
HEADER_64 = struct.Struct(">IIQ")
_MAX_GAP = 1 << 32  # a larger gap does not occur in one stream, so the datagram is not of this stream


def header_of(*, counters_64bit: bool) -> struct.Struct:
    """The header's layout, with a packet number of 64 or 32 bits."""
    return HEADER_64 if counters_64bit else HEADER_32


def stamp(now_ns: int) -> tuple[int, int]:
    """Seconds and microseconds of a header sent at `now_ns`."""
    seconds, rest_ns = divmod(now_ns, NS_PER_S)
    return seconds & 0xFFFFFFFF, rest_ns // _NS_PER_US


class Arrivals:
    """Counts received datagrams as iperf3 does.

    `packets`: the highest packet number seen.  `lost`: missing numbers below it.  `out_of_order`: datagrams whose
    number was not above the highest; each takes back one loss, because it was counted as lost before.  `jitter_ns`:
    smoothed difference of transit times (RFC 3550, section 6.4.1), for which the two clocks need not agree.
    """

    __slots__ = ("_transit_ns", "jitter_ns", "lost", "out_of_order", "packets")

    def __init__(self) -> None:
        self.packets = 0
        self.lost = 0
        self.out_of_order = 0
        self.jitter_ns = 0.0
        self._transit_ns: int | None = None

    def take(self, seconds: int, microseconds: int, number: int, now_ns: int) -> None:
        """Count one datagram with these header fields, received at `now_ns`."""
        if number > self.packets + _MAX_GAP:
            return
        if number > self.packets:
            self.lost += number - self.packets - 1
            self.packets = number
        else:
            self.out_of_order += 1
            if self.lost:
                self.lost -= 1
        transit_ns = now_ns - (seconds * NS_PER_S + microseconds * _NS_PER_US)
        if self._transit_ns is not None:
            self.jitter_ns += (abs(transit_ns - self._transit_ns) - self.jitter_ns) / 16
        self._transit_ns = transit_ns
