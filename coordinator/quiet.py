"""Watches, segment by segment, what processes that have no part in the run use of the engines' cores."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from loadgen.host.neighbours import OtherUse, Sample, others, take_sample


class QuietWatch:
    """`uses` has one entry for each segment that was watched to its end."""

    def __init__(self, engine_pids: Sequence[int]) -> None:
        self._pids = tuple(engine_pids)
        self._begin: tuple[int, Sample] | None = None
        self.uses: list[OtherUse] = []

    def begin(self) -> None:
        """A segment is about to start."""
        self._begin = (time.monotonic_ns(), take_sample())

    def end(self) -> None:
        """It has ended."""
        if self._begin is None:
            return
        (began_ns, before), self._begin = self._begin, None
        cores: set[int] = set()
        for pid in self._pids:
            try:
                cores |= os.sched_getaffinity(pid)
            except ProcessLookupError:
                continue  # a lost engine has no cores
        wall_ns = time.monotonic_ns() - began_ns
        self.uses.append(others(before, take_sample(), ours=[os.getpid()], cores=cores, wall_ns=wall_ns))
