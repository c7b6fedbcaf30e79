"""Constructed packings of VMs, as of Apache on a machine with 24 GiB."""

from __future__ import annotations

import dataclasses

from coordinator.record.header import Header
from coordinator.record.kinds import KIND_PACK
from loadgen.measure.packing import Limit, Packed, Room, Silence, Step, Sweep, Use
from loadgen.model.pack import PackPlan
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.results import environment

GIB, MIB, KIB = 1 << 30, 1 << 20, 1 << 10
PLAN = PackPlan(count=512)


def limit(name: str = "kernel.pid_max", unit: str = "tasks", used: int = 150, most: int = 32768, **more: int) -> Limit:
    return Limit(name=name, unit=unit, used=used, limit=most, **more)


def room(vms: int = 0, *, memory_bytes: int = 22 * GIB, each_bytes: int = 2 * MIB, tasks: int = 18) -> Room:
    """The room of the machine when `vms` run, each of which takes so much."""
    return Room(
        memory_bytes=memory_bytes - vms * each_bytes,
        disk_bytes=60 * GIB - vms * 28 * KIB,
        limits=(
            limit(used=150 + vms * tasks),
            limit("RLIMIT_NOFILE (ulimit -Hn)", "open files", used=12, most=20000, needed=1),
        ),
    )


def step(vms: int, tried: int = 1, *, took_ns: int = NS_PER_S, refused: str = "", **more: int) -> Step:
    """An attempt after which `vms` run; the first step of a run has none."""
    use = Use(
        pss_bytes=vms * 1300 * KIB,
        supervisors_bytes=11 * MIB if vms else 0,
        processes=vms,
        tasks=vms * 18,
        group_bytes=100 * MIB + vms * 1700 * KIB + (11 * MIB if vms else 0),
        slab_bytes=200 * MIB + vms * 150 * KIB,
        stacks_bytes=4 * MIB + vms * 288 * KIB,
        tables_bytes=8 * MIB + vms * 140 * KIB,
    )
    return Step(vms=vms, tried=tried, took_ns=took_ns if tried else 0, room=room(vms, **more), use=use, refused=refused)


def steps(most: int = 512) -> tuple[Step, ...]:
    """The steps of a packing that nothing stops before `most`, a power of two."""
    found = [step(0, 0), step(1, took_ns=180 * NS_PER_MS)]
    while found[-1].vms < most:
        vms = found[-1].vms
        found.append(step(2 * vms, vms, took_ns=100 * NS_PER_MS + vms * 4 * NS_PER_MS))
    return tuple(found)


def sweep(asked: int = 512, *silent: Silence) -> Sweep:
    return Sweep(
        asked=asked,
        answered=asked - len(silent),
        at_once=asked - len(silent),
        took_ns=142 * NS_PER_MS,
        slowest_ns=131 * NS_PER_MS,
        silent=silent,
    )


def packed(
    found: tuple[Step, ...] = (), *, swept: Sweep | None = None, deaths: tuple[str, ...] = (), ended: bool = True
) -> Packed:
    """All that a run measured: by default, 512 VMs that all answered."""
    found = found or steps()
    return Packed(
        steps=found,
        sweep=(swept or sweep(found[-1].vms),) if ended else (),
        deaths=deaths,
        ended_ns=900 * NS_PER_MS,
        driver="local",
        server="Apache/2.4.57",
    )


def header(plan: PackPlan = PLAN) -> Header[PackPlan]:
    server = {"kind": "apache", "version": "Apache/2.4.57", "driver": "local", "config": "Listen 127.0.0.1:8001\n"}
    return Header(
        kind=KIND_PACK,
        started_at="2026-02-03T04:05:06+00:00",
        plan=plan,
        environment=dataclasses.replace(environment(), server=server),
    )
