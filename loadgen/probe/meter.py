"""Reads the streams of a test at the moments that count: its start, the end of what is omitted, its end."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadgen.measure.throughput import UNKNOWN, Tick
from loadgen.probe.messages import StreamCount
from loadgen.probe.streams import LAST, NO_LIMIT, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One stream at one moment, everything since it began."""

    at_ns: int = 0
    bytes: int = 0
    packets: int = 0
    lost: int = 0
    out_of_order: int = 0
    jitter_ns: int = UNKNOWN
    cpu_ns: int = 0
    retransmits: int = UNKNOWN
    rtt_ns: int = UNKNOWN
    rtt_min_ns: int = UNKNOWN
    cwnd_bytes: int = UNKNOWN


@dataclass(slots=True)
class _Path:
    """What a sending stream's kernel said of the way, from one look to the next."""

    looks: int = 0
    rtt_sum_ns: int = 0
    rtt_min_ns: int = UNKNOWN
    cwnd_max_bytes: int = UNKNOWN

    def take(self, reading: Reading) -> None:
        if reading.rtt_ns == UNKNOWN:
            return
        self.looks += 1
        self.rtt_sum_ns += reading.rtt_ns
        self.cwnd_max_bytes = max(self.cwnd_max_bytes, reading.cwnd_bytes)
        if reading.rtt_min_ns != UNKNOWN:
            known = self.rtt_min_ns != UNKNOWN
            self.rtt_min_ns = min(self.rtt_min_ns, reading.rtt_min_ns) if known else reading.rtt_min_ns


def no_cpu_ns() -> int:
    """Nothing works for a test but its streams."""
    return 0


class Meter:
    """All streams of a test.  Times are given by the caller (CLOCK_MONOTONIC, ns).

    `limited` says that the test ends with a number of bytes: then a stream's time ends with its last byte.
    `besides` is the CPU time so far of what works for the test besides the streams' threads.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        began_ns: int,
        *,
        limited: bool,
        besides: Callable[[], int] = no_cpu_ns,
    ) -> None:
        self._streams = streams
        self._limited = limited
        self._began_ns = began_ns
        self._datagrams = any(stream.jitter_ns() != UNKNOWN for stream in streams)
        self._base = [_read(stream, began_ns) for stream in streams]
        self._omitted = [Reading()] * len(streams)
        self._ticked = self._base
        self._ended: list[Reading] = []
        self._is_over = False
        self._paths = [_Path() for _ in streams]
        self._base_ns = self._ended_ns = began_ns
        self._besides = besides
        self._base_besides_ns = self._ended_besides_ns = besides()
        self._base_usage = self._ended_usage = _usage()

    def omit_until(self, now_ns: int) -> None:
        """What came so far is omitted; a sender's limit begins here."""
        self._omitted = self._base = [_read(stream, now_ns) for stream in self._streams]
        self._paths = [_Path() for _ in self._streams]
        self._base_ns = now_ns
        self._base_besides_ns, self._base_usage = self._besides(), _usage()

    def tick(self, now_ns: int, *, omitted: bool) -> Tick:
        """What happened since the last tick."""
        before, self._ticked = self._ticked, self._look(now_ns)
        pairs = list(zip(self._streams, before, self._ticked, strict=True))
        senders = [(old, new) for stream, old, new in pairs if stream.sends]
        receivers = [(old, new) for stream, old, new in pairs if not stream.sends]
        rtts = [new.rtt_ns for _, new in senders if new.rtt_ns != UNKNOWN]
        cwnds = [new.cwnd_bytes for _, new in senders if new.cwnd_bytes != UNKNOWN]
        retransmits = [_since(old.retransmits, new.retransmits) for old, new in senders]
        known = [count for count in retransmits if count != UNKNOWN]
        return Tick(
            start_ns=(before[0].at_ns if before else now_ns) - self._began_ns,
            end_ns=now_ns - self._began_ns,
            omitted=omitted,
            sent_bytes=sum(new.bytes - old.bytes for old, new in senders),
            received_bytes=sum(new.bytes - old.bytes for old, new in receivers),
            retransmits=sum(known) if known else UNKNOWN,
            rtt_ns=sum(rtts) // len(rtts) if rtts else UNKNOWN,
            cwnd_bytes=sum(cwnds) if cwnds else UNKNOWN,
            packets=sum(new.packets - old.packets for old, new in receivers) if self._datagrams else UNKNOWN,
            lost=sum(new.lost - old.lost for old, new in receivers) if self._datagrams else UNKNOWN,
        )

    def end(self, now_ns: int) -> None:
        """The test is over; what comes now no longer counts."""
        self._ended = self._look(now_ns)
        self._ended_ns = now_ns
        self._ended_besides_ns, self._ended_usage = self._besides(), _usage()
        self._is_over = True

    def progress(self) -> tuple[int, int]:
        """Bytes sent and received by now, without what was omitted."""
        done = [stream.read()[0] - base.bytes for stream, base in zip(self._streams, self._base, strict=True)]
        sent = sum(count for stream, count in zip(self._streams, done, strict=True) if stream.sends)
        return sent, sum(done) - sent

    @property
    def is_over(self) -> bool:
        """Whether :meth:`end` was called: before it there is nothing to tell."""
        return self._is_over

    @property
    def wall_ns(self) -> int:
        """The measured time; of the slowest stream when the test was limited."""
        return max((self._ns(index) for index in range(len(self._streams))), default=self._ended_ns - self._base_ns)

    @property
    def cpu_ns(self) -> int:
        """CPU time of all threads in the measured time."""
        streams_ns = sum(end.cpu_ns - base.cpu_ns for base, end in zip(self._base, self._ended, strict=True))
        return streams_ns + self._ended_besides_ns - self._base_besides_ns

    @property
    def cpu_shares(self) -> tuple[float, float]:
        """The CPU time in user mode and in the kernel, of one core.

        A thread's clock does not tell them apart: they are divided as those of the process were.
        """
        share = self.cpu_ns / self.wall_ns if self.wall_ns else 0.0
        user_s, system_s = (end - base for base, end in zip(self._base_usage, self._ended_usage, strict=True))
        user_share = share * (user_s / (user_s + system_s)) if user_s + system_s > 0 else 0.0
        return user_share, share - user_share  # not below 0, rounded or not: the quotient is at most 1

    def counts(self) -> tuple[StreamCount, ...]:
        """Each stream after the end."""
        return tuple(self._count(index) for index in range(len(self._streams)))

    def _count(self, index: int) -> StreamCount:
        stream, base, end = self._streams[index], self._base[index], self._ended[index]
        omitted, path = self._omitted[index], self._paths[index]
        return StreamCount(
            id=stream.id,
            bytes=end.bytes - base.bytes,
            ns=self._ns(index),
            retransmits=_since(base.retransmits, end.retransmits),
            jitter_ns=end.jitter_ns,
            packets=end.packets - base.packets,
            lost=max(0, end.lost - base.lost),  # a late datagram takes back a loss, maybe one that was omitted
            omitted_packets=omitted.packets,
            omitted_lost=omitted.lost,
            out_of_order=UNKNOWN if end.jitter_ns == UNKNOWN else end.out_of_order - base.out_of_order,
            rtt_ns=path.rtt_sum_ns // path.looks if path.looks else UNKNOWN,
            rtt_min_ns=path.rtt_min_ns,
            cwnd_max_bytes=path.cwnd_max_bytes,
        )

    def _ns(self, index: int) -> int:
        last_ns = self._streams[index].cell[LAST]
        ended_ns = last_ns if self._limited and self._base_ns < last_ns < self._ended_ns else self._ended_ns
        return ended_ns - self._base_ns

    def _look(self, now_ns: int) -> list[Reading]:
        readings = [_read(stream, now_ns) for stream in self._streams]
        for path, reading in zip(self._paths, readings, strict=True):
            path.take(reading)
        return readings


def share(limit_bytes: int, among: int) -> list[int]:
    """A limit divided so that the shares sum up to it exactly; NO_LIMIT for each when there is none."""
    if not limit_bytes:
        return [NO_LIMIT] * among
    return [limit_bytes // among + (index < limit_bytes % among) for index in range(among)]


def _read(stream: Stream, now_ns: int) -> Reading:
    count, packets, lost, out_of_order = stream.read()
    info = stream.info()
    return Reading(
        at_ns=now_ns,
        bytes=count,
        packets=packets,
        lost=lost,
        out_of_order=out_of_order,
        jitter_ns=stream.jitter_ns(),
        cpu_ns=stream.cpu_ns(),
        retransmits=info.total_retransmits if info else UNKNOWN,
        rtt_ns=info.rtt_ns if info else UNKNOWN,
        rtt_min_ns=info.rtt_min_ns if info else UNKNOWN,
        cwnd_bytes=info.cwnd_bytes if info else UNKNOWN,
    )


def _usage() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime, used.ru_stime


def _since(before: int, after: int) -> int:
    return UNKNOWN if UNKNOWN in (before, after) else after - before
