"""Profiles the CPU time of a process: takes a sample every few milliseconds and assigns it to the code on the stack."""

from __future__ import annotations

import signal
from collections import Counter
from types import FrameType
from typing import Self

INTERVAL_S = 0.002

_PARTS = (
    # (part, part of a file's path, a function's name or ""); the first line that matches any frame decides
    ("view", "coordinator/output/terminal/", ""),
    ("filing", "loadgen/measure/ledger.py", ""),
    ("record", "coordinator/record/writer.py", ""),
    ("decoding snapshots", "loadgen/measure/together.py", "from_wires"),
    ("decoding snapshots", "coordinator/fleet/dask/unread.py", ""),
    ("heartbeats: ours", "coordinator/fleet/stream.py", ""),
    ("heartbeats: ours", "coordinator/fleet/dask/fleet.py", "_on_heartbeat"),
    ("heartbeats: ours", "coordinator/fleet/dask/fleet.py", "_read"),
    ("filing", "coordinator/run/intake.py", ""),
    ("leases: ours", "coordinator/fleet/dask/machine.py", ""),
    ("leases: ours", "coordinator/fleet/dask/leases.py", ""),
    ("leases: Dask", "distributed/batched.py", ""),
    ("commands: Dask", "distributed/scheduler.py", "send_message"),
    ("commands: Dask", "distributed/scheduler.py", "broadcast"),
    ("commands: Dask", "distributed/client.py", "_run"),
    ("workers' own heartbeats", "distributed/scheduler.py", "heartbeat_worker"),
    ("heartbeats: Dask", "distributed/client.py", "_handle_report"),
    ("heartbeats: Dask", "distributed/core.py", "handle_stream"),
    ("connections", "distributed/core.py", "_handle_comm"),
    ("Dask's housekeeping", "distributed/system_monitor.py", ""),
    ("Dask's housekeeping", "distributed/", ""),
    ("TLS and TCP", "tornado/iostream.py", ""),
    ("TLS and TCP", "ssl.py", ""),
    ("event loop", "", ""),
)


class Sampler:
    """A context manager that samples while it is open."""

    def __init__(self) -> None:
        self.samples: Counter[str] = Counter()

    def __enter__(self) -> Self:
        signal.signal(signal.SIGPROF, self._take)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def shares(self) -> dict[str, float]:
        """Return the share of CPU time of each part, the largest first."""
        total = max(1, self.samples.total())
        return {what: count / total for what, count in self.samples.most_common()}

    def _take(self, _signal: int, frame: FrameType | None) -> None:
        best = len(_PARTS) - 1
        while frame is not None:
            path, name = frame.f_code.co_filename, frame.f_code.co_name
            for rank, (_, part, function) in enumerate(_PARTS[:best]):
                if part in path and function in ("", name):
                    best = rank
                    break
            frame = frame.f_back
        self.samples[_PARTS[best][0]] += 1
