"""Measures how well one engine process keeps time: N paced connections to a fast web server, on a quiet machine.

The engine is pinned to one core, servers and coordinator to the others.  Prints the rates of connections (each must
be within 1 % of the line speed), the lateness of requests, and the engine's share of its core.

    python benchmarks/pacing.py [--connections 500] [--duration 20s] [--server auto] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from coordinator.fleet.api import Prepare, Start, workers_of
from coordinator.fleet.local import LocalFleet
from coordinator.kinds.spec.kind import SpecKind
from coordinator.run.intake import Intake
from coordinator.run.tapes import assignments
from deploy.ask import ask_all
from deploy.vms.api import VmRequest
from deploy.vms.catalog import choose
from loadgen.engine.api import Segment
from loadgen.measure.events import EngineLost, SegmentEnded
from loadgen.measure.histogram import Histogram
from loadgen.measure.snapshot import Snapshot
from loadgen.model.plan import Phases, Server, SpecPlan
from loadgen.model.shard import share_out
from loadgen.model.units import NS_PER_MS, NS_PER_S, parse_duration_ns
from loadgen.schedule.placement import Placement, place
from loadgen.verdict.connection import judge_connections
from workloads.specweb99 import fileset, urls
from workloads.specweb99.compile import compile_tape
from workloads.specweb99.mix import GROUPS, KINDS
from workloads.specweb99.workload import Specweb99

VMS = 4


async def measure(plan: SpecPlan, docroot: Path, engine_core: int, other_cores: set[int]) -> dict[str, Any]:
    """Run `plan` once, and return the figures."""
    os.sched_setaffinity(0, other_cores)  # servers inherit it
    fleet = LocalFleet(1)
    workers = workers_of(fleet.machines)
    needed = Specweb99().files(plan)
    request = VmRequest(
        count=VMS,
        server=plan.server,
        connections=plan.connections,
        docroots=(docroot,) * VMS,
        app=needed.app,
        proof_path=needed.proof_path,
        app_path=needed.app_path,
    )
    async with choose("local").prepare(request) as vms:
        await ask_all(vms.targets, urls.reset_command(plan))
        try:
            await fleet.open()
            os.sched_setaffinity(fleet.pids[0], {engine_core})
            tape = compile_tape(plan)
            shares = share_out(plan.total_connections, [1] * VMS)
            placement = Placement(workers, place(shares, [1], plan.seed))
            kind = SpecKind()
            asked = kind.asked(plan, vms.targets)
            await fleet.command(Prepare(assignments(kind, plan, asked, placement, tape)))
            start_ns = time.monotonic_ns() + NS_PER_S // 4
            window_ns = start_ns + plan.phases.lead_ns(0)
            segment = Segment(
                index=0,
                origin_ns=start_ns,
                start_ns=start_ns,
                window_start_ns=window_ns,
                window_end_ns=window_ns + plan.phases.measure_ns,
                end_ns=start_ns + plan.phases.length_ns(0),
            )
            await fleet.command(Start(segment))
            intake = Intake.of(workers, len(KINDS), len(GROUPS), connections=plan.total_connections, targets=VMS)
            while not isinstance(event := await fleet.event(), SegmentEnded):
                if isinstance(event, EngineLost):
                    sys.exit(f"the engine process ended: {event.why}")
                if isinstance(event, Snapshot):
                    intake.receive(event)
        finally:
            await fleet.close()
        return {"server": f"{vms.facts.server} {vms.facts.version}", **figures(plan, intake)}


def figures(plan: SpecPlan, intake: Intake) -> dict[str, Any]:
    """The figures to print, by name."""
    totals = intake.ledger.totals()
    found = judge_connections(totals.window_tallies(0), plan.total_connections, plan.bound)
    rates = found["bits_per_s"] / plan.line_bps
    cells = totals.window(0).values()
    lateness, service = (Histogram.merge_all(getattr(c, name) for c in cells) for name in ("lateness", "service"))
    health = [h for n, h in intake.ledger.health("local/0") if n in intake.intervals_of(0)]
    return {
        "connections": plan.total_connections,
        "operations_per_s": sum(c.ok for c in cells) / (plan.phases.measure_ns / NS_PER_S),
        "errors": sum(c.bad for c in cells),
        "rate_of_line_min": float(np.min(rates)),
        "rate_of_line_max": float(np.max(rates)),
        "connections_off_by_over_1_percent": int(np.sum(np.abs(rates - 1) > 0.01)),
        "lateness_p50_ms": (lateness.percentile_ns(50) or 0) / NS_PER_MS,
        "lateness_p99_ms": (lateness.percentile_ns(99) or 0) / NS_PER_MS,
        "lateness_max_ms": lateness.max_ns / NS_PER_MS,
        "service_p50_ms": (service.percentile_ns(50) or 0) / NS_PER_MS,
        "engine_cpu_share": sum(h.cpu_ns for h in health) / sum(h.wall_ns for h in health),
    }


def main() -> int:
    """Run the benchmark.  Exit code 0 if every connection was within 1 % and the p99 lateness below 5 ms."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=500, help="Connections in total (default: 500).")
    parser.add_argument("--duration", default="20s", help="Length of the measured window (default: 20s).")
    parser.add_argument("--server", choices=[s.value for s in Server], default="auto", help="Web server to use.")
    parser.add_argument("--json", type=Path, help="File to write the figures to.")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("this benchmark needs two cores: one for the engine, one for the servers")
    phases = Phases(
        ramp_up_ns=2 * NS_PER_S,
        warmup_ns=5 * NS_PER_S,
        measure_ns=parse_duration_ns(options.duration),
        ramp_down_ns=NS_PER_S,
        iterations=1,
    )
    plan = SpecPlan(
        vms=VMS, connections=options.connections // VMS, server=Server(options.server), engines=1, phases=phases
    )
    with tempfile.TemporaryDirectory(prefix="loadgen-bench-") as scratch:
        made = fileset.ensure(Path(scratch), urls.directories(plan))
        found = uvloop.run(measure(plan, made.root, cores[0], set(cores[1:])))
    width = max(map(len, found))
    for name, value in found.items():
        print(f"{name:{width}}  {value:.4f}" if isinstance(value, float) else f"{name:{width}}  {value}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    good = found["connections_off_by_over_1_percent"] == 0 and found["lateness_p99_ms"] < 5
    print("every connection within 1 % of the line, p99 lateness under 5 ms:", "yes" if good else "NO")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
