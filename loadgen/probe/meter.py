"""Reads the counters of a test's streams at its start, at the end of the omitted warm-up, and at its end."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadgen.measure.throughput import UNKNOWN, Tick
from loadgen.model.units import NS_PER_S
from loadgen.probe.messages import StreamCount
from loadgen.probe.streams import LAST, NO_LIMIT, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The counters of one stream at `at_ns`, all since the stream began."""

    at_ns: int = 0
    bytes: int = 0
    packets: int = 0
    lost: int = 0
    out_of_order: int = 0
    duplicates: int = 0
    dropped: int = UNKNOWN
    jitter_ns: int = UNKNOWN
    cpu_ns: int = 0
    retransmits: int = UNKNOWN
    rtt_ns: int = UNKNOWN
    rtt_min_ns: int = UNKNOWN
    cwnd_bytes: int = UNKNOWN
    acked_bytes: int = UNKNOWN


@dataclass(slots=True)
class _Path:
    """Path statistics of a sending stream, from the kernel, over all readings."""

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
    """CPU time of a test that has no threads besides its streams: 0."""
    return 0


class Meter:
    """The measurement of all streams of a test.  Callers pass the time (CLOCK_MONOTONIC, ns).

    `limited`: whether the test ends at a number of bytes; then the time of a stream ends with its last byte.
    `besides`: returns the CPU time in ns so far of other threads that work for the test.  `began_ns`: when the test
    began.  `base_ns`: when its measured time began.
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
        self.began_ns = began_ns
        self._datagrams = any(stream.jitter_ns() != UNKNOWN for stream in streams)
        self._base = [_read(stream, began_ns) for stream in streams]
        self._omitted = [Reading()] * len(streams)
        self._ticked = self._base
        self._ended: list[Reading] = []
        self._quiet_ns: list[int] = []
        self._is_over = False
        self._paths = [_Path() for _ in streams]
        self.base_ns = self._ended_ns = began_ns
        self._besides = besides
        self._base_besides_ns = self._ended_besides_ns = besides()
        self._base_usage = self._ended_usage = _usage()
        self._base_waited = self._ended_waited = _waited(streams)

    def omit_until(self, now_ns: int) -> None:
        """Omit everything until `now_ns`, the end of the warm-up; byte limits count from here."""
        self._omitted = self._base = [_read(stream, now_ns) for stream in self._streams]
        self._paths = [_Path() for _ in self._streams]
        self.base_ns = now_ns
        self._base_besides_ns, self._base_usage = self._besides(), _usage()
        self._base_waited = _waited(self._streams)

    def tick(self, now_ns: int, *, omitted: bool) -> Tick:
        """The changes since the last tick, as a Tick that ends at `now_ns`."""
        before, self._ticked = self._ticked, self._look(now_ns)
        pairs = list(zip(self._streams, before, self._ticked, strict=True))
        senders = [(old, new) for stream, old, new in pairs if stream.sends]
        receivers = [(old, new) for stream, old, new in pairs if not stream.sends]
        rtts = [new.rtt_ns for _, new in senders if new.rtt_ns != UNKNOWN]
        cwnds = [new.cwnd_bytes for _, new in senders if new.cwnd_bytes != UNKNOWN]
        retransmits = [_since(old.retransmits, new.retransmits) for old, new in senders]
        known = [count for count in retransmits if count != UNKNOWN]
        return Tick(
            start_ns=(before[0].at_ns if before else now_ns) - self.began_ns,
            end_ns=now_ns - self.began_ns,
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
        """End the measurement at `now_ns`; later bytes do not count."""
        self._ended = self._look(now_ns)
        self._ended_ns = now_ns
        self._ended_besides_ns, self._ended_usage = self._besides(), _usage()
        self._ended_waited = _waited(self._streams)
        self._quiet_ns = [stream.quiet_ns(now_ns) for stream in self._streams]
        self._is_over = True

    def progress(self) -> tuple[int, int]:
        """Bytes sent and received so far, without the omitted warm-up."""
        done = [stream.read()[0] - base.bytes for stream, base in zip(self._streams, self._base, strict=True)]
        sent = sum(count for stream, count in zip(self._streams, done, strict=True) if stream.sends)
        return sent, sum(done) - sent

    @property
    def is_over(self) -> bool:
        """Whether :meth:`end` was called; the properties and counts below need it."""
        return self._is_over

    @property
    def wall_ns(self) -> int:
        """The measured time; for a limited test, that of the slowest stream."""
        return max((self._ns(index) for index in range(len(self._streams))), default=self._ended_ns - self.base_ns)

    @property
    def cpu_ns(self) -> int:
        """CPU time of all threads of the test during the measured time."""
        return sum(self._stream_cpu_ns) + self._ended_besides_ns - self._base_besides_ns

    @property
    def busiest_ns(self) -> int:
        """CPU time of the busiest thread of the test; or of all Python code of the process, which runs on one core.

        Only one thread of the process executes Python at a time (the GIL).  That is its time in user mode: in the
        kernel, a thread does not hold the GIL.
        """
        (user_before_s, _), (user_after_s, _) = self._base_usage, self._ended_usage
        besides_ns = self._ended_besides_ns - self._base_besides_ns
        return max([besides_ns, round((user_after_s - user_before_s) * NS_PER_S), *self._stream_cpu_ns])

    @property
    def runnable_ns(self) -> int:
        """As :attr:`busiest_ns`, plus the time in which the thread waited for a core that another thread used."""
        waits = [
            after - max(0, before) if after != UNKNOWN else 0
            for before, after in zip(self._base_waited, self._ended_waited, strict=True)
        ]
        runnable = [cpu_ns + wait_ns for cpu_ns, wait_ns in zip(self._stream_cpu_ns, waits, strict=True)]
        return max([self.busiest_ns, *runnable])

    @property
    def _stream_cpu_ns(self) -> list[int]:
        return [end.cpu_ns - base.cpu_ns for base, end in zip(self._base, self._ended, strict=True)]

    @property
    def cpu_shares(self) -> tuple[float, float]:
        """CPU time in user mode and in the kernel, as shares of one core.

        The clock of a thread does not separate the two, so the ratio of the whole process is used.
        """
        share = self.cpu_ns / self.wall_ns if self.wall_ns else 0.0
        user_s, system_s = (end - base for base, end in zip(self._base_usage, self._ended_usage, strict=True))
        user_share = share * (user_s / (user_s + system_s)) if user_s + system_s > 0 else 0.0
        return user_share, share - user_share  # never negative: the quotient is at most 1

    def counts(self) -> tuple[StreamCount, ...]:
        """The counts of each stream, after :meth:`end`."""
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
            lost=max(0, end.lost - base.lost),  # a late datagram takes back a loss, which may be an omitted one
            omitted_packets=omitted.packets,
            omitted_lost=omitted.lost,
            out_of_order=UNKNOWN if end.jitter_ns == UNKNOWN else end.out_of_order - base.out_of_order,
            duplicates=UNKNOWN if end.jitter_ns == UNKNOWN else end.duplicates - base.duplicates,
            dropped=_since(base.dropped, end.dropped),
            quiet_ns=self._quiet_ns[index],
            rtt_ns=path.rtt_sum_ns // path.looks if path.looks else UNKNOWN,
            rtt_min_ns=path.rtt_min_ns,
            cwnd_max_bytes=path.cwnd_max_bytes,
            acked_bytes=_since(base.acked_bytes, end.acked_bytes),
        )

    def _ns(self, index: int) -> int:
        last_ns = self._streams[index].cell[LAST]
        ended_ns = last_ns if self._limited and self.base_ns < last_ns < self._ended_ns else self._ended_ns
        return ended_ns - self.base_ns

    def _look(self, now_ns: int) -> list[Reading]:
        readings = [_read(stream, now_ns) for stream in self._streams]
        for path, reading in zip(self._paths, readings, strict=True):
            path.take(reading)
        return readings


def share(limit_bytes: int, among: int) -> list[int]:
    """`limit_bytes` divided among `among` streams, exactly; NO_LIMIT for each if the limit is 0."""
    if not limit_bytes:
        return [NO_LIMIT] * among
    return [limit_bytes // among + (index < limit_bytes % among) for index in range(among)]


def _read(stream: Stream, now_ns: int) -> Reading:
    count, packets, lost, out_of_order, duplicates = stream.read()
    info = stream.info()
    return Reading(
        at_ns=now_ns,
        bytes=count,
        packets=packets,
        lost=lost,
        out_of_order=out_of_order,
        duplicates=duplicates,
        dropped=stream.dropped(),
        jitter_ns=stream.jitter_ns(),
        cpu_ns=stream.cpu_ns(),
        retransmits=info.total_retransmits if info else UNKNOWN,
        rtt_ns=info.rtt_ns if info else UNKNOWN,
        rtt_min_ns=info.rtt_min_ns if info else UNKNOWN,
        cwnd_bytes=info.cwnd_bytes if info else UNKNOWN,
        acked_bytes=info.acked_bytes if info else UNKNOWN,
    )


def _waited(streams: Sequence[Stream]) -> list[int]:
    return [stream.waited_ns() for stream in streams]


def _usage() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime, used.ru_stime


def _since(before: int, after: int) -> int:
    return UNKNOWN if UNKNOWN in (before, after) else after - before
