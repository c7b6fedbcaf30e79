"""CPU time that processes other than this one and its descendants use on the whole machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

from loadgen.host.processes import Sample, descendants, take_sample

_KTHREADD = 2  # the parent of all kernel threads, which also work for this process


@dataclass(slots=True)
class Others:
    """The share (0..1) of the CPU time of all cores that others used; `most` names the one that used the most.

    Processes that began and ended in between are not seen, so the share is a lower bound.
    """

    share: float = 0.0
    most: str = ""


@contextlib.asynccontextmanager
async def watch_others() -> AsyncIterator[Others]:
    """What others used inside the context; it is known behind it."""
    found = Others()
    before = await asyncio.to_thread(take_sample)
    yield found
    after = await asyncio.to_thread(take_sample)
    found.share, found.most = used_by_others(before, after, os.getpid())


def used_by_others(before: Sample, after: Sample, own: int) -> tuple[float, str]:
    """The share and the name for :class:`Others`, from two samples; `own` is the pid of this process."""
    mine = descendants(before, (own,)) | descendants(after, (own,))
    spent: dict[str, int] = {}
    for pid, process in after.processes.items():
        earlier = before.processes.get(pid)
        if pid in mine or _KTHREADD in (pid, process.parent) or earlier is None:
            continue
        spent_ns = process.cpu_ns - earlier.cpu_ns
        if spent_ns > 0:
            spent[f"{process.name} (pid {pid})"] = spent_ns
    wall_ns = (after.at_ns - before.at_ns) * len(after.cores)
    if not spent or wall_ns <= 0:
        return 0.0, ""
    return min(1.0, sum(spent.values()) / wall_ns), max(spent, key=lambda name: spent[name])
