"""Constructed results of spec runs and sweeps."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from coordinator.fleet.api import workers_of
from coordinator.fleet.check import Checked
from coordinator.record.environment import Environment
from coordinator.record.fleet import FleetRecord
from coordinator.record.header import Header
from coordinator.record.kinds import KIND_SPEC, KIND_SWEEP
from coordinator.record.sweep_result import Sweep, SweepPoint
from loadgen.measure.events import EngineReady
from loadgen.model.machine import Clock, Machine
from loadgen.model.plan import Server, SpecPlan
from loadgen.model.target import Target
from loadgen.schedule.placement import Placement
from loadgen.verdict.fair_result import Fairness, VmShare, WorstTime
from loadgen.verdict.margin import FLOOR_CHANGES, AtFloor, Ideal, Margin, Spread
from loadgen.verdict.result import (
    Check,
    IterationResult,
    ResponseTimes,
    RunResult,
    TargetResult,
    Trust,
    Verdict,
)
from loadgen.verdict.run import without_score
from loadgen.verdict.span import PercentileSpans, Span
from loadgen.verdict.time_shares import TimeShares

FAIRNESS = Fairness(
    jain=0.9998,
    jain_by_chance=0.9996,
    slowest_over_fastest=0.972,
    slowest_over_fastest_by_chance=0.961,
    verdict="fair",
    slowest="vm2",
    iterations=3,
    worst_p99=WorstTime(name="vm4", p99_ms=Span(815.0, 815.0), by_chance_ms=830.0),
    explained=0.0,
    vms=(
        VmShare(name="vm1", share=1.0, received=1.0, by_iteration=(1.0, 1.0, 1.0)),
        VmShare(name="vm2", share=0.986, received=0.986, by_iteration=(0.986, 0.986, None)),
    ),
)
KINDS = {"class 0": (2310, 0), "class 1": (3301, 1), "class 2": (924, 1), "class 3": (66, 0)}
GROUPS = {"static": (4620, 1), "standard GET": (822, 0), "custom ad GET": (832, 1), "POST": (317, 0), "CGI": (10, 0)}


def environment() -> Environment:
    return Environment(
        host="bench-1",
        kernel="6.1.0-18-amd64",
        architecture="x86_64",
        distribution="Debian GNU/Linux 12 (bookworm)",
        cpu="Intel(R) Xeon(R) CPU 3.06GHz",
        cores=2,
        cores_usable=2,
        memory_bytes=4 << 30,
        load_average=(0.25, 0.5, 0.125),
        open_files_limit=20000,
        sysctls={"net.core.somaxconn": "4096"},
        python="3.11.7",
        libraries={"uvloop": "0.21.0"},
        loadgen="0.1.0",
        git_commit="f00e558",
        command_line=("loadgen", "spec", "--vms", "16"),
        server={"kind": "nginx", "version": "1.22.1", "driver": "local", "config": "worker_processes 1;\n"},
    )


def targets(vms: int = 16) -> tuple[Target, ...]:
    return tuple(Target(name=f"vm{i + 1}", host="127.0.0.1", port=20001 + i) for i in range(vms))


def header(vms: int = 16) -> Header[SpecPlan]:
    return Header(
        kind=KIND_SPEC,
        started_at="2026-02-03T04:05:06+00:00",
        plan=SpecPlan(vms=vms, connections=20, server=Server.NGINX, seed=7),
        targets=targets(vms),
        environment=environment(),
        fleet=local_fleet(20 * vms),
    )


def local_fleet(connections: int, engines: int = 1) -> FleetRecord:
    """Return a fleet of this machine only; its engines take the connections in turn."""
    workers = tuple(f"local/{i}" for i in range(engines))
    return FleetRecord(
        way="local",
        run_id="0123456789abcdef",
        machines=(Machine(name="local", workers=workers, cores=4, open_files=1024),),
        clocks={"local": Clock()},
        placement=Placement(workers, np.arange(connections, dtype=np.int32) % np.int32(engines)),
        engines=tuple(EngineReady(worker, "compiled", "kernel", "") for worker in workers),
    )


def three_machines(connections: int) -> FleetRecord:
    """Return a fleet of three machines over SSH with different boot times."""
    machines = [
        Machine(
            name=name,
            workers=tuple(f"{name}/{i}" for i in range(cores)),
            cores=cores,
            open_files=1_048_576,
            loadgen="0.1.0",
            sysctls={"net.ipv4.ip_local_port_range": "32768 60999"},
            spool="/home/alice/.local/state/loadgen/spool",
            spool_free_bytes=83_945_000_000,
        )
        for name, cores in (("c07", 2), ("c08", 4), ("a-rather-long-name-of-a-machine", 2))
    ]
    workers = workers_of(machines)
    return FleetRecord(
        way="ssh",
        run_id="0123456789abcdef",
        machines=tuple(machines),
        missing={"c09": "it does not answer at 192.0.2.9:22 within 10 s"},
        clocks={
            one.name: Clock(offset_ns=offset_ns, error_ns=83_000 + 10_000 * offset_ns % 97)
            for one, offset_ns in zip(machines, (-120_000, 8_123_456_789_012, 0), strict=True)
        },
        placement=Placement(workers, np.arange(connections, dtype=np.int32) % np.int32(len(workers))),
        engines=(
            *(EngineReady(worker, "compiled", "kernel", "") for worker in workers[:-2]),
            *(EngineReady(worker, "python", "loop", "it was not built") for worker in workers[-2:]),
        ),
        start_skew_ns={0: 412_000},
    )


def checked() -> list[Checked]:
    """Return three checked machines: one without a problem, one with a warning, and one that cannot be used."""
    fleet = three_machines(80)
    first, second, _ = fleet.machines
    return [
        Checked(name=first.name, machine=first, clock=fleet.clocks["c07"], send_bps=941e6, receive_bps=938.2e6),
        Checked(
            name=second.name,
            machine=second,
            clock=Clock(error_ns=2_300_000),
            problem="its clock is known to ±2.3 ms only; the link to it may be busy",
        ),
        Checked(name="c09", problem=fleet.missing["c09"]),
    ]


TIME = TimeShares(
    service=0.012, pacing=0.9815, lateness=0.0041, rest=0.0004, failed=0.002, unfinished=0, absent=0, idle=0
)


def spans(**times_ms: float) -> PercentileSpans:
    return PercentileSpans(**{name: Span(value, value) for name, value in times_ms.items()})


def target_result(index: int, conforming: int = 20) -> TargetResult:
    return TargetResult(
        name=f"vm{index + 1}",
        host="127.0.0.1",
        port=20001 + index,
        requested=20,
        conforming=conforming,
        requests_ok=1311 + index,
        requests_conforming=1300 + index,
        ops_per_s=65.55 + index / 8,
        kbit_per_s=7840.5 + 3 * index,
        response_ms=spans(p50=4.5, p90=98.25, p99=812.0 + index, max=1650.5),
        connection_kbit_per_s=(391.5, 396.25, 399.0),
        errors={} if conforming == 20 else {"CLOSED_EARLY": 2, "BAD_STATUS": 1},
        time=TIME,
    )


def iteration(index: int, vms: int = 16, short: int = 0) -> IterationResult:
    """Return an iteration in which `short` connections do not conform, beginning with the third (or last) VM's."""
    left, rows_by_index = short, {}
    for i in [*range(min(2, vms - 1), vms), *range(min(2, vms - 1))]:
        rows_by_index[i] = target_result(i, 20 - min(left, 20))
        left -= min(left, 20)
    rows = tuple(rows_by_index[i] for i in range(vms))
    requested, conforming = 20 * vms, 20 * vms - short
    return IterationResult(
        index=index,
        measured_s=20.0,
        complete=True,
        requested=requested,
        conforming=conforming,
        ops_per_s=sum(row.ops_per_s for row in rows),
        kbit_per_s=sum(row.kbit_per_s for row in rows),
        requests_ok=sum(row.requests_ok for row in rows),
        time=TIME,
        requests_conforming=sum(row.requests_conforming or 0 for row in rows),
        errors=dict(sum((Counter(row.errors) for row in rows), Counter[str]())),
        by_kind=KINDS,
        by_group=GROUPS,
        response_ms=spans(p50=4.25, p90=96.0, p99=809.0 + index, max=1650.5),
        service_ms=spans(p50=4.125, p90=95.5, p99=808.0, max=1649.0),
        lateness_ms=ResponseTimes(p50=0.0625, p90=0.25, p99=0.75, max=2.5),
        checks=(
            Check(
                name="conforming connections",
                value=100 * conforming / requested,
                limit=95.0,
                ok=conforming / requested >= 0.95,
                unit="%",
                relation=">=",
                detail=f"{conforming} of {requested} requested connections conformed",
            ),
            Check(
                name="errors", value=0.1, limit=1.0, ok=True, unit="%", detail="1 of 924 failed: class 2; BAD_STATUS 1"
            ),
            Check(name="mix", value=3.1, limit=10.5, ok=True, unit="%", detail="furthest from its share: class 3"),
            Check(name="POST log", value=0, limit=0, ok=True, unit="records", detail="317 sent, 317 logged, in order"),
        ),
        targets=rows,
    )


def trust(*, late_ms: float = 0.75) -> Trust:
    return Trust(
        checks=(
            Check(
                name="send lateness", value=late_ms, limit=100, ok=late_ms <= 100, unit="ms", detail="p99 of engine 1"
            ),
            Check(name="CPU", value=31.25, limit=90, ok=True, unit="%", detail="engine 0 was the busiest"),
            Check(name="ephemeral ports", value=2140, limit=28232, ok=True),
        )
    )


def margin(iterations: Sequence[IterationResult], median: int) -> Margin:
    """Return the margin of such a run, with 4 connections within 5 % of the floor."""
    chosen, rate = iterations[median], iterations[median].ops_per_s
    conforming = [one.conforming or 0 for one in iterations]
    return Margin(
        ideal=Ideal(
            conforming=chosen.requested,
            ops_per_s=1.004 * rate,
            deals=40,
            conforming_spread=Spread(chosen.requested, chosen.requested),
            ops_per_s_spread=Spread(0.99 * rate, 1.02 * rate),
        ),
        floors=tuple(
            AtFloor(change, round(320_000 * (1 + change)), (chosen.conforming or 0) - lost)
            for change, lost in zip(FLOOR_CHANGES, (0, 0, 4), strict=True)
        ),
        conforming=Spread(min(conforming), max(conforming)),
        ops_per_s=Spread(rate, rate),
        near_floor=4,
    )


def run_result(vms: int = 16, *, shorts: tuple[int, ...] = (0, 0, 0)) -> RunResult:
    """Return a valid run whose iterations lack `shorts` connections; the middle one of three is the median."""
    iterations = tuple(iteration(i, vms, short) for i, short in enumerate(shorts))
    order = sorted(range(len(shorts)), key=lambda i: shorts[i])
    median = order[len(order) // 2]
    chosen = iterations[median]
    conforming = all(item.conforms for item in iterations)
    return RunResult(
        verdict=Verdict.CONFORMING if conforming else Verdict.NOT_CONFORMING,
        reasons=(
            (f"all three iterations conform: {chosen.conforming} of {chosen.requested} connections",)
            if conforming
            else (
                f"iteration {median + 1}: {chosen.conforming} of {chosen.requested} connections conform, 95 % must",
                "vm3: 3 operations failed (CLOSED_EARLY 2, BAD_STATUS 1)",
            )
        ),
        requested_connections=chosen.requested,
        conforming_connections=chosen.conforming,
        median=median,
        iterations=iterations,
        targets=chosen.targets,
        trust=trust(),
        fairness=FAIRNESS if vms > 1 else None,
        margin=margin(iterations, median),
        notes=("short windows: not every connection met a class 3 file",),
    )


def invalid_result() -> RunResult:
    found = dataclasses.replace(
        run_result(shorts=(0, 40, 60)),
        verdict=Verdict.INVALID,
        reasons=("Load generator: send lateness 612.4 ms, but at most 100 ms is allowed (p99 of engine 1).",),
        trust=trust(late_ms=612.4),
    )
    late = dataclasses.replace(found.iterations[1], trust=found.trust)
    return without_score(
        dataclasses.replace(found, iterations=(found.iterations[0], late, found.iterations[2])),
    )


def interrupted_result() -> RunResult:
    whole = run_result()
    cut = dataclasses.replace(whole.iterations[1], complete=False, measured_s=7.0)
    return dataclasses.replace(
        whole,
        verdict=Verdict.INTERRUPTED,
        reasons=("stopped by the user in iteration 2, after 7 s of 20 s",),
        iterations=(whole.iterations[0], cut),
        median=0,
    )


def nothing_measured() -> RunResult:
    return RunResult(
        verdict=Verdict.INTERRUPTED,
        reasons=("stopped by the user before anything was measured",),
        requested_connections=320,
        conforming_connections=0,
        median=-1,
        iterations=(),
        targets=(),
        trust=Trust(checks=()),
    )


def sweep_header() -> Header[SpecPlan]:
    return dataclasses.replace(header(1), kind=KIND_SWEEP, targets=())


def sweep_point(vms: int, result: RunResult) -> SweepPoint:
    return SweepPoint(vms, header(vms), result, f"vms-{vms}")


def sweep(points: int = 3) -> Sweep:
    """Return a sweep over three numbers of VMs of which the first `points` are done."""
    whole = (
        sweep_point(1, run_result(1)),
        sweep_point(4, run_result(4)),
        sweep_point(16, run_result(16, shorts=(0, 40, 60))),
    )
    return Sweep(vms=(1, 4, 16), points=whole[:points])
