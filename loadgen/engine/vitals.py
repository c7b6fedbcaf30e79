"""Measures the engine process itself: the evidence on whether its measurements can be trusted."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from loadgen.measure.snapshot import Health
from loadgen.model.units import NS_PER_MS, NS_PER_S

STILL_NS = 20 * NS_PER_MS
"""Shorter delays of a timer are normal scheduling."""

_LOOK_NS = 50 * NS_PER_MS
_BASE_FDS = 16  # descriptors of the process itself: pipes, epoll and event descriptors
_TIME_WAIT = re.compile(r"^TCP: .*\btw (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mark:
    """The running totals of the process at time `at_ns`; `runqueue_ns` is -1 where it is unknown."""

    at_ns: int
    cpu_ns: int
    runqueue_ns: int
    still_ns: int


class PlayedTime:
    """Adds up what the process did while a segment was played, whatever it does before, between and after segments."""

    def __init__(self) -> None:
        self._sum = self._latest = Mark(0, 0, 0, 0)
        self._began: Mark | None = None

    def begin(self, mark: Mark) -> None:
        """A segment begins at `mark`, which may have a time that is still to come."""
        self._began = mark

    def end(self, mark: Mark) -> None:
        """The segment ends at `mark`; nothing happens when none has begun."""
        self._sum = self.until(mark)
        self._began = None

    def until(self, mark: Mark) -> Mark:
        """The totals of all segments until `mark`; `at_ns` of a total is the time that was played.

        No total is below an earlier one, although the end of a segment may be told after marks that are later than it.
        """
        began, total, latest = self._began, self._sum, self._latest
        if began is not None:
            known = mark.runqueue_ns >= 0 and began.runqueue_ns >= 0 and total.runqueue_ns >= 0
            waited_ns = total.runqueue_ns + mark.runqueue_ns - began.runqueue_ns
            total = Mark(
                max(latest.at_ns, total.at_ns + mark.at_ns - began.at_ns),
                max(latest.cpu_ns, total.cpu_ns + mark.cpu_ns - began.cpu_ns),
                max(latest.runqueue_ns, waited_ns) if known else -1,  # the kernel's total falls when a thread ends
                max(latest.still_ns, total.still_ns + mark.still_ns - began.still_ns),
            )
        self._latest = total
        return total


class Vitals:
    """Reads the clocks of the process, and the kernel's counters below `proc`."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._still_ns = 0
        self._looked = (0, 0)  # (wall clock, CPU clock) at the last look, in ns

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to notice when the process is stopped, with a timer of `loop`."""
        self._looked = time.monotonic_ns(), time.process_time_ns()
        loop.call_later(_LOOK_NS / NS_PER_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        at_ns, cpu_ns = self._looked
        now_ns, now_cpu_ns = time.monotonic_ns(), time.process_time_ns()
        self._still_ns += still_ns(now_ns - at_ns - _LOOK_NS, now_cpu_ns - cpu_ns)
        self._looked = now_ns, now_cpu_ns
        loop.call_later(_LOOK_NS / NS_PER_S, self._look, loop)

    def mark(self) -> Mark:
        """The running totals of the process at this moment."""
        return Mark(time.monotonic_ns(), time.process_time_ns(), self._runqueue_ns(), self._still_ns)

    def health(self, before: Mark, after: Mark, open_sockets: int, active_connections: int) -> Health:
        """The health of the process between two totals of played time, with the given connection counts."""
        known = before.runqueue_ns >= 0 and after.runqueue_ns >= 0
        runqueue_ns = max(0, after.runqueue_ns - before.runqueue_ns) if known else -1
        return Health(
            wall_ns=after.at_ns - before.at_ns,
            cpu_ns=after.cpu_ns - before.cpu_ns,
            runqueue_ns=runqueue_ns,
            still_ns=max(0, after.still_ns - before.still_ns - max(0, runqueue_ns)),
            open_fds=_BASE_FDS + open_sockets,
            fd_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            sockets_time_wait=self._time_wait(),
            active_connections=active_connections,
        )

    def _runqueue_ns(self) -> int:
        """Time that threads of the process were runnable but not running (proc(5), schedstat); -1 if unknown."""
        waited_ns = []
        for stat in (self._proc / "self/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, ValueError, IndexError):  # a thread may end between glob and read
                waited_ns.append(int(stat.read_text().split()[1]))
        return sum(waited_ns) if waited_ns else -1

    def _time_wait(self) -> int:
        """The number of sockets in TIME_WAIT in this network namespace; 0 if unknown."""
        try:
            found = _TIME_WAIT.search((self._proc / "net/sockstat").read_text())
        except OSError:
            return 0
        return int(found[1]) if found else 0


def still_ns(late_ns: int, cpu_ns: int) -> int:
    """Return how long a process was stopped, in ns, if its timer fired `late_ns` late and it used `cpu_ns` since the
    last look.

        CPU time beyond the timer's interval was work of the process, which delayed the timer without a stop.
    """
    idle_ns = late_ns - max(0, cpu_ns - _LOOK_NS)
    return idle_ns if idle_ns >= STILL_NS else 0
