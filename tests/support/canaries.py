"""Canaries for tests: rows of a result, and what a machine reports of them."""

from __future__ import annotations

import numpy as np

from loadgen.measure.canary import CanariesHeard, CanarySeen
from loadgen.measure.histogram import Histogram
from loadgen.model.units import NS_PER_MS


def times(ms: float, count: int) -> Histogram:
    return Histogram.of(np.full(count, int(ms * NS_PER_MS), np.int64))


def seen(worker: str = "local/0", *, added_ms: float = 0.1, count: int = 100, failed: int = 0) -> CanarySeen:
    return CanarySeen(
        worker=worker,
        failed=failed,
        response=times(5 + added_ms, count),
        truth=times(5, count),
        added=times(added_ms, count),
    )


def tail(worker: str = "local/0") -> CanarySeen:
    """A canary to which an engine adds 0.1 ms, and 25 ms in every tenth request."""
    slow, quick = (seen(worker, added_ms=ms, count=count) for ms, count in ((25, 40), (0.1, 360)))
    return CanarySeen(
        worker=worker,
        failed=0,
        response=Histogram.merge_all([slow.response, quick.response]),
        truth=Histogram.merge_all([slow.truth, quick.truth]),
        added=Histogram.merge_all([slow.added, quick.added]),
    )


def heard(*engines: CanarySeen, segment: int = 0, machine: str = "local", why: str = "") -> CanariesHeard:
    return CanariesHeard(machine=machine, segment=segment, engines=engines, why=why)
