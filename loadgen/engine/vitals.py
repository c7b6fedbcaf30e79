"""What the engine's process costs: the evidence on whether its measurements may be trusted."""

from __future__ import annotations

import contextlib
import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from loadgen.measure.snapshot import Health

_BASE_FDS = 16  # the process's own: pipes, the loop's epoll and event descriptors
_TIME_WAIT = re.compile(r"^TCP: .*\btw (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mark:
    """Running totals at one moment."""

    at_ns: int
    cpu_ns: int
    runqueue_ns: int


class Vitals:
    """Reads the process's clocks and the kernel's counters."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def mark(self) -> Mark:
        """The totals now."""
        return Mark(time.monotonic_ns(), time.process_time_ns(), self._runqueue_ns())

    def health(self, before: Mark, after: Mark, open_sockets: int, active_connections: int) -> Health:
        """What happened between two marks."""
        known = before.runqueue_ns >= 0 and after.runqueue_ns >= 0
        return Health(
            wall_ns=after.at_ns - before.at_ns,
            cpu_ns=after.cpu_ns - before.cpu_ns,
            # A thread that has ended takes its part of the total along.
            runqueue_ns=max(0, after.runqueue_ns - before.runqueue_ns) if known else -1,
            open_fds=_BASE_FDS + open_sockets,
            fd_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            sockets_time_wait=self._time_wait(),
            active_connections=active_connections,
        )

    def _runqueue_ns(self) -> int:
        """Time that our threads were runnable, not running (proc(5), schedstat: the second field); -1 where unknown."""
        waited_ns = []
        for stat in (self._proc / "self/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, ValueError, IndexError):  # a thread may end meanwhile
                waited_ns.append(int(stat.read_text().split()[1]))
        return sum(waited_ns) if waited_ns else -1

    def _time_wait(self) -> int:
        """Sockets of this network namespace in TIME_WAIT; 0 where unknown."""
        try:
            found = _TIME_WAIT.search((self._proc / "net/sockstat").read_text())
        except OSError:
            return 0
        return int(found[1]) if found else 0
