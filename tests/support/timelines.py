"""Constructed timelines of runs against targets, for plots over time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from coordinator.output.html.over_time import Scene
from coordinator.output.html.timeline import Timeline
from loadgen.measure.censored import Times
from loadgen.measure.histogram import Histogram


def timeline(ok: Sequence[Sequence[int]], **changes: Any) -> Timeline:
    """A timeline of measured seconds in which `ok` operations of each target ended, each after 5 ms."""
    ended = np.array(ok, np.int64)
    columns = ended.shape[1]
    p99_ms = np.where(ended > 0, 5.0, np.nan)
    nothing = Times.exactly(Histogram.EMPTY)
    found = Timeline(
        first_s=0,
        span_s=1,
        length_s=columns,
        ok=ended,
        failed=np.zeros_like(ended),
        good=ended,
        p99_ms=p99_ms,
        p99_all_ms=np.full(columns, 5.0),
        measured=np.ones(columns, np.bool_),
        failed_in_windows=np.zeros(len(ended), np.int64),
        heat=np.ones((48, columns), np.int64),
        edges_ms=np.geomspace(1, 100, 49),
        response=nothing,
        service=nothing,
    )
    return dataclasses.replace(found, **changes)


def scene(line: Timeline, **changes: Any) -> Scene:
    """The scene of VMs vm1, vm2, ..., the worst first."""
    vms = len(line.ok)
    found = Scene(
        timeline=line,
        names=[f"vm{at + 1}" for at in range(vms)],
        order=range(vms),
        word="VM",
        conformity=True,
        disturbance=None,
    )
    return dataclasses.replace(found, **changes)
