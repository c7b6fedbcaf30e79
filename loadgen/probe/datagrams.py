"""Datagrams of a UDP stream: their header, and how a receiver counts them.  Pure."""

from __future__ import annotations

import struct

from loadgen.model.units import NS_PER_S

_NS_PER_US = 1000

HEADER_32 = struct.Struct(">III")  # seconds, microseconds, number from 1
HEADER_64 = struct.Struct(">IIQ")
_MAX_GAP = 1 << 32  # a larger gap does not occur in one stream, so the datagram is not of this stream
_WRAP = 1 << 32  # of the numbers of 32 bits
_HALF = _WRAP // 2
_WINDOW = 1 << 16  # of how many numbers it is remembered which are missing: 70 ms of datagrams at 10 Gbit/s
_ONES = b"\1" * _WINDOW


def header_of(*, counters_64bit: bool) -> struct.Struct:
    """The header's layout, with a packet number of 64 or 32 bits."""
    return HEADER_64 if counters_64bit else HEADER_32


def stamp(now_ns: int) -> tuple[int, int]:
    """Seconds and microseconds of a header sent at `now_ns`, nanoseconds since 1970.

    iperf3 before 3.7 stamps with the time of day, and takes the first transit time for a difference of two.
    """
    seconds, rest_ns = divmod(now_ns, NS_PER_S)
    return seconds & 0xFFFFFFFF, rest_ns // _NS_PER_US


class Arrivals:
    """Counts received datagrams.

    `packets`: the highest packet number seen.  `lost`: missing numbers below it.  `out_of_order`: datagrams that
    arrived after a higher number; each takes back its own loss.  `duplicates`: datagrams whose number had arrived
    before; they take back nothing (iperf3 does not tell them from late ones, so each hides a loss there).
    `jitter_ns`: smoothed difference of transit times (RFC 3550, section 6.4.1); the two clocks need not agree.

    A number below the newest 65,536 counts as a duplicate when it arrives, and stays lost if it was.  Numbers of 32
    bits wrap: each is taken for the one that is nearest to the highest (serial arithmetic, RFC 1982).
    """

    __slots__ = ("_missing", "_transit_ns", "_wraps", "duplicates", "jitter_ns", "lost", "out_of_order", "packets")

    def __init__(self, *, counters_64bit: bool = True) -> None:
        self._wraps = not counters_64bit
        self.packets = 0
        self.lost = 0
        self.out_of_order = 0
        self.duplicates = 0
        self._missing = bytearray(_WINDOW)  # by number modulo the window: 1 if it has not arrived
        self.jitter_ns = 0.0
        self._transit_ns: int | None = None

    def take(self, seconds: int, microseconds: int, number: int, now_ns: int) -> bool:
        """Count one datagram with these header fields, received at `now_ns`; whether its payload is new."""
        if self._wraps and not -_HALF <= number - self.packets < _HALF:
            number = self.packets + (number - self.packets + _HALF) % _WRAP - _HALF
        if not 0 < number <= self.packets + _MAX_GAP:
            return False
        if number > self.packets:
            if number > self.packets + 1:
                self._miss(number)
            self._missing[number % _WINDOW] = 0
            self.packets = number
        elif number > self.packets - _WINDOW and self._missing[number % _WINDOW]:
            self._missing[number % _WINDOW] = 0
            self.out_of_order += 1
            self.lost -= 1
        else:
            self.duplicates += 1
            return False
        transit_ns = now_ns - (seconds * NS_PER_S + microseconds * _NS_PER_US)
        if self._transit_ns is not None:
            self.jitter_ns += (abs(transit_ns - self._transit_ns) - self.jitter_ns) / 16
        self._transit_ns = transit_ns
        return True

    def _miss(self, number: int) -> None:
        """Count the numbers between the highest one and `number` as lost."""
        self.lost += number - self.packets - 1
        first = max(self.packets + 1, number - _WINDOW)
        begin, count = first % _WINDOW, number - first
        before_wrap = min(count, _WINDOW - begin)
        self._missing[begin : begin + before_wrap] = _ONES[:before_wrap]
        self._missing[: count - before_wrap] = _ONES[: count - before_wrap]
