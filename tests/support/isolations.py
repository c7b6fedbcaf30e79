"""Constructed isolation runs, as of a machine that keeps its VMs apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from coordinator.record.header import Header
from coordinator.record.kinds import KIND_ISOLATE
from loadgen.measure.isolation import Held, HostSeen, Isolated, Phase, Probed, Web, times_of
from loadgen.model.isolate import Hog, IsolatePlan
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.results import environment

US = 1000
PLAN = IsolatePlan()
ABOUT: Mapping[str, Any] = {
    "kind": "nginx",
    "version": "nginx/1.22.1",
    "config": "worker_processes 1;\n",
    "driver": "ns",
    "scheduler": "EEVDF, autogroup on",
    "limits": {"cgroup": "v1", "memory_bytes": 256 << 20, "pids": 128},
    "game": "openarena",
    "game_version": "ioq3 1.36",
    "priority": "real-time priority (SCHED_FIFO 10)",
    "stamps": "kernel",
}


def probed(times_us: Sequence[int], *, lost: int = 0, late_us: Sequence[int] = (50,)) -> Probed:
    return Probed(
        answered=times_of([one * US for one in times_us]),
        lost=lost,
        timeout_ns=NS_PER_S,
        late=times_of([one * US for one in late_us]),
    )


def web(conforming: int | None = 10, *, p99_ms: float = 3.5, invalid: str = "") -> Web:
    return Web(
        requested=10, errors=0, conforming=conforming, ops_per_s=34.2, p50_ms=0.8, p99_ms=p99_ms, invalid=invalid
    )


def host(*, others: float = 0.03, most: str = "sshd (pid 7)") -> HostSeen:
    return HostSeen(
        spawn=times_of([2 * NS_PER_MS, 3 * NS_PER_MS]), free_bytes=21 << 30, others_share=others, others_most=most
    )


def held(hog: Hog, **changes: Any) -> Held:
    if hog is Hog.NONE:
        return Held(hogs=0, running=0)
    did = {Hog.CPU: 18_500, Hog.FORK: 51_234, Hog.MEMORY: 90 << 30, Hog.DISK: 5 << 30, Hog.NET: 12 << 30}
    found = Held(
        hogs=9, running=9, did=did[hog], cpu_ns=18_500 * NS_PER_MS, memory_bytes=90 << 20, pids=6, pids_refused=0,
        oom_kills=0,
    )  # fmt: skip
    if hog is Hog.FORK:
        found = dataclasses.replace(found, pids=128, pids_refused=1_234_567)
    if hog is Hog.MEMORY:
        found = dataclasses.replace(found, oom_kills=87)
    return dataclasses.replace(found, **changes)


def phase(hog: Hog, **changes: Any) -> Phase:
    """A phase: 90 % of the probes take 150 us, and the others longer beside a hog than without."""
    slow_us = 600 if hog is Hog.NONE else 4_000
    found = Phase(
        hog=hog,
        game=probed([250] * 81 + [slow_us] * 9),
        echo=probed([150] * 900 + [slow_us] * 99 + [9_000]),
        web=web(10 if hog is Hog.NONE else 9, p99_ms=3.5 if hog is Hog.NONE else 45.6),
        held=held(hog),
        host=host(),
        end_ns=700 * NS_PER_MS,
    )
    return dataclasses.replace(found, **changes)


def isolated(*phases: Phase) -> Isolated:
    """All that a run measured: by default, all phases of the plan."""
    return Isolated(phases=phases or tuple(phase(hog) for hog in PLAN.phases), about=ABOUT)


def header(plan: IsolatePlan = PLAN) -> Header[IsolatePlan]:
    return Header(
        kind=KIND_ISOLATE,
        started_at="2026-02-03T04:05:06+00:00",
        plan=plan,
        environment=dataclasses.replace(environment(), server=dict(ABOUT)),
    )
