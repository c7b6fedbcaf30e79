"""Measures a window of a benchmark from outside, equally for every client: CPU of client and server, requests."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine_responder import Responder

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_IDLE = (3, 4)  # /proc/stat: idle, iowait
_LOOK_S = 0.3
_LEAST_CLIENT_SHARE = 0.95
MOST_BY_OTHERS = 0.08
"""The limit for other processes' share of the client's core.  Kernel threads and rounding account for 1 to 3 %."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Running totals at one moment.  `core_busy_s` is the busy time of the client's core, by any process."""

    at_ns: int
    client_ns: int
    responder_ns: int
    core_busy_s: float
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The difference of two marks.  Shares are of one core; `others` is other processes' share of the client's core."""

    requests: int
    seconds: float
    client_share: float
    responder_share: float
    others: float

    @property
    def cpu_us(self) -> float:
        """User and system time of the client's process per request, in µs."""
        return self.client_share * self.seconds * 1e6 / max(1, self.requests)

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.seconds

    @property
    def fault(self) -> str:
        """Why the window is not usable for the client; "" if it is."""
        if not self.requests:
            return "nothing was answered"
        if self.others > MOST_BY_OTHERS:
            return "others used the client's core"
        if self.client_share < _LEAST_CLIENT_SHARE:
            return "the client was not the limit"
        return ""


class Meter:
    """Reads the running totals of a client process on `core`, and of the responder."""

    def __init__(self, client_pid: int, core: int, responder: Responder) -> None:
        self._client_pid = client_pid
        self._core = core
        self._responder = responder

    def mark(self) -> Mark:
        """Return the running totals of client, core and responder at this moment."""
        return Mark(
            time.monotonic_ns(),
            process_cpu_ns(self._client_pid),
            process_cpu_ns(self._responder.pid),
            _core_busy_s(self._core),
            self._responder.requests,
        )


def between(before: Mark, after: Mark) -> Window:
    """The window from `before` to `after`."""
    wall_ns = after.at_ns - before.at_ns
    client = (after.client_ns - before.client_ns) / wall_ns
    return Window(
        requests=after.requests - before.requests,
        seconds=wall_ns / 1e9,
        client_share=client,
        responder_share=(after.responder_ns - before.responder_ns) / wall_ns,
        others=max(0.0, (after.core_busy_s - before.core_busy_s) / (wall_ns / 1e9) - client),
    )


def process_cpu_ns(pid: int) -> int:
    """User and system time of all threads of a process so far, including threads that have ended.

    Read from the kernel's CPU clock of the process (clock_getcpuclockid(3)), which has a resolution of 1 ns;
    /proc/PID/stat counts in steps of 10 ms.
    """
    return time.clock_gettime_ns(~pid << 3 | 2)


def own_bytes(pid: int) -> int:
    """Memory of this process alone, in bytes (Private_Clean and Private_Dirty of proc(5), smaps_rollup)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


def wait_for_quiet(cores: Iterable[int], until: float) -> None:
    """Wait until `cores` are almost idle, at most until time.monotonic() is `until`."""
    watched = set(cores)
    while time.monotonic() < until:
        before = {core: _core_busy_s(core) for core in watched}
        time.sleep(_LOOK_S)
        if all(_core_busy_s(core) - busy_s <= MOST_BY_OTHERS * _LOOK_S for core, busy_s in before.items()):
            return


def open_files(pid: int) -> int:
    """The number of open descriptors of a process."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _core_busy_s(core: int) -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            ticks = [int(field) for field in fields[:8]]  # the later fields are guest time, which is included in "user"
            return (sum(ticks) - sum(ticks[at] for at in _IDLE)) / _TICKS_PER_S
    raise SystemExit(f"there is no core {core} in /proc/stat")
