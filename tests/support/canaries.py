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


def heard(*engines: CanarySeen, segment: int = 0, machine: str = "local", why: str = "") -> CanariesHeard:
    return CanariesHeard(machine=machine, segment=segment, engines=engines, why=why)
