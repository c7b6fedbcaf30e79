"""The disturbance track of a load machine: while its engines play, each second is looked at from outside of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadgen.engine.api import Segment
from loadgen.host.counters import Counters, between, mean_mhz, quota_between, read_counters
from loadgen.host.neighbours import Beside, QuietWatch
from loadgen.measure.disturbance import UNKNOWN, EngineSecond, MachineSecond
from loadgen.model.units import NS_PER_S

_RARELY = 100
"""A sample is due when this many times the CPU time of the last one has passed: the track costs 1 % of a core at most.

Measured: 2.2 ms of CPU time for a sample with 125 processes, so 0.2 % of a core; samples are rarer than each second
from about 700 processes on.
"""


@dataclass(frozen=True, slots=True)
class _Look:
    """One sample: what happened in the `wall_ns` since the last one, and the counters at its end."""

    wall_ns: int
    beside: Mapping[int, Beside]
    counters: Counters
    took_ns: int


class Disturbances:
    """Calls `report` with what each second of a segment was like on `machine`; `watch` knows the cores."""

    def __init__(
        self,
        machine: str,
        watch: QuietWatch,
        report: Callable[[MachineSecond], None],
        *,
        proc: Path = Path("/proc"),
        sys: Path = Path("/sys"),
    ) -> None:
        self._machine = machine
        self._watch = watch
        self._report = report
        self._proc = proc
        self._sys = sys
        self._over = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    def begin(self, segment: Segment, workers: Mapping[int, str]) -> None:
        """Follow a segment that the engines `workers`, by pid, play.  The watch has begun it."""
        self._over = asyncio.Event()
        self._following = asyncio.create_task(self._follow(segment, workers, self._over))

    async def end(self) -> None:
        """Report the rest of the segment, which is over."""
        self._over.set()
        if self._following is not None:
            await asyncio.gather(self._following, return_exceptions=True)

    def close(self) -> None:
        """Report nothing more."""
        if self._following is not None:
            self._following.cancel()

    async def _follow(self, segment: Segment, workers: Mapping[int, str], over: asyncio.Event) -> None:
        await _until(segment.start_ns, over)
        begin_ns = max(segment.start_ns, _settled(time.monotonic_ns(), segment.start_ns, segment))
        last = await asyncio.to_thread(self._look)
        while not over.is_set() and begin_ns < segment.end_ns:
            due_ns = _next_second(begin_ns + max(1, _RARELY * last.took_ns), segment.origin_ns)
            await _until(min(due_ns, segment.end_ns), over)
            before, last = last.counters, await asyncio.to_thread(self._look)
            end_ns = _settled(time.monotonic_ns(), due_ns, segment)
            if last.wall_ns > 0 and end_ns > begin_ns:
                self._report(self._second(segment, begin_ns, end_ns, before, last, workers))
            begin_ns = end_ns

    def _look(self) -> _Look:
        began_ns = time.thread_time_ns()
        wall_ns, beside = self._watch.look()
        counters = read_counters(self._proc)
        return _Look(wall_ns, beside, counters, time.thread_time_ns() - began_ns)

    def _second(
        self, segment: Segment, begin_ns: int, end_ns: int, before: Counters, look: _Look, workers: Mapping[int, str]
    ) -> MachineSecond:
        first, last = ((at_ns - segment.origin_ns) // NS_PER_S for at_ns in (begin_ns, end_ns - 1))
        base_ns = segment.origin_ns + first * NS_PER_S
        inside = max(begin_ns, segment.window_start_ns), min(end_ns, segment.window_end_ns)
        in_window = inside[0] < inside[1]
        return MachineSecond(
            machine=self._machine,
            interval=max(0, first),
            span=last - first + 1,
            window=segment.index if in_window else -1,
            begin_ns=inside[0] - base_ns if in_window else 0,
            end_ns=inside[1] - base_ns if in_window else 0,
            wall_ns=look.wall_ns,
            engines=tuple(self._engine(worker, look.beside.get(pid)) for pid, worker in workers.items()),
            **between(before, look.counters),
            **quota_between(before, look.counters),
        )

    def _engine(self, worker: str, beside: Beside | None) -> EngineSecond:
        if beside is None:
            return EngineSecond(worker=worker)
        mhz = mean_mhz(beside.cores, self._sys)
        return EngineSecond(
            worker=worker,
            cores=tuple(sorted(beside.cores)),
            core_ns=beside.core_ns,
            others_ns=beside.used_ns - beside.stolen_ns if self._watch.knows_others else UNKNOWN,
            stolen_ns=beside.stolen_ns,
            softirq_ns=beside.softirq_ns,
            mhz=UNKNOWN if mhz is None else mhz,
            most=beside.most if self._watch.knows_others else "unknown",
        )


def _next_second(at_ns: int, origin_ns: int) -> int:
    """The first whole second of the run from `at_ns` on."""
    return origin_ns - (origin_ns - at_ns) // NS_PER_S * NS_PER_S


def _settled(now_ns: int, due_ns: int, segment: Segment) -> int:
    """The end of the seconds that a sample at `now_ns` covers: the whole second that it was due at, or a later one.

    A sample is some milliseconds late, or seconds on a machine that stood still.
    """
    if now_ns < due_ns:  # the segment has ended
        return min(now_ns, segment.end_ns)
    late = (now_ns - due_ns + NS_PER_S // 2) // NS_PER_S
    return min(due_ns + late * NS_PER_S, segment.end_ns)


async def _until(at_ns: int, over: asyncio.Event) -> None:
    """Wait until `at_ns`, or until the segment is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0, at_ns - time.monotonic_ns()) / NS_PER_S):
            await over.wait()
