"""Measures what the canary says, against a server whose truth is known (engine_responder.c), and what it costs.

For each engine: a quiet run, the same run without a canary, and two beside busy loops on the engine's core.  Printed
are what the client added to the load's own response times (as the engine reports them, less the server's truth), what
the canary says that it added, and the engine's CPU for each request of the canary.

    python benchmarks/canary.py [--duration 6s] [--rate 2000]
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.engine_responder import Responder, build, percentile_ms, serving
from coordinator.fleet.api import Prepare, Start, workers_of
from coordinator.fleet.local import LocalFleet
from coordinator.kinds.http.kind import HttpKind
from coordinator.run.intake import Intake
from coordinator.run.tapes import assignments
from loadgen.engine.api import EngineKind, Segment
from loadgen.engine.choice import available
from loadgen.measure.canary import CanariesHeard
from loadgen.measure.cells import Cell
from loadgen.measure.events import EngineLost, SegmentEnded
from loadgen.measure.histogram import Histogram
from loadgen.measure.snapshot import Snapshot
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.units import NS_PER_MS, NS_PER_S, parse_duration_ns
from loadgen.schedule.placement import Placement, place
from workloads.http.compile import compile_http

_CONNECTIONS = 64
_DELAY_US = 5000
_BODY_BYTES = 1000
_SOON_NS = 500 * NS_PER_MS
_QS = (50, 99)
_LOOPS = 8  # beside a single one, an engine that needs less than half of the core has it whenever it wants


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """One run: what was added to the load and to the canary in ms (mean, percentiles), and the engine's CPU."""

    load_ms: tuple[float, ...]
    canary_ms: tuple[float, ...]
    canary_requests: int
    cpu_share: float


async def _play(plan: HttpPlan, responder: Responder, core: int) -> tuple[Cell, CanariesHeard | None, float]:
    kind, fleet = HttpKind(), LocalFleet(1)
    (worker,) = workers_of(fleet.machines)
    asked = kind.asked(plan, plan.targets)
    placement = Placement((worker,), place(plan.shares, [1], plan.seed))
    intake = Intake.of([worker], len(asked.kinds), len(asked.groups), connections=plan.connections, targets=1)
    heard: CanariesHeard | None = None
    try:
        await fleet.open()
        await fleet.command(Prepare(assignments(kind, plan, asked, placement, compile_http(plan))))
        os.sched_setaffinity(fleet.pids[0], {core})
        start_ns = time.monotonic_ns() + _SOON_NS
        end_ns = start_ns + plan.duration_ns
        segment = Segment(
            index=0,
            origin_ns=start_ns,
            start_ns=start_ns,
            window_start_ns=start_ns,
            window_end_ns=end_ns,
            end_ns=end_ns,
        )
        await fleet.command(Start(segment))
        ended = False
        while not ended or (plan.canary and heard is None):
            event = await fleet.event()
            match event:
                case Snapshot():
                    intake.receive(event)
                case CanariesHeard():
                    heard = event
                case SegmentEnded():
                    ended = True
                case EngineLost(_, why):
                    raise SystemExit(f"the engine ended: {why}")
    finally:
        await fleet.close()
    health = [one for _, one in intake.ledger.health(worker)]
    cpu = sum(one.cpu_ns for one in health) / max(1, sum(one.wall_ns for one in health))
    return Cell.merge_all(intake.ledger.totals().window(0).values()), heard, cpu


def measure(plan: HttpPlan, responder: Responder, core: int) -> Seen:
    """Run `plan` with the engine on `core`."""
    before = responder.truth()
    cell, heard, cpu_share = uvloop.run(_play(plan, responder, core))
    truth = responder.truth() - before
    true_mean_ms = float((np.arange(len(truth)) + 0.5) @ truth) / max(1, truth.sum()) / 1e3
    added = heard.engines[0].added if heard is not None and heard.engines else Histogram.EMPTY
    return Seen(
        load_ms=(
            _mean_ms(cell.response) - true_mean_ms,
            *(_ms(cell.response, q) - percentile_ms(truth, q) for q in _QS),
        ),
        canary_ms=(_mean_ms(added), *(_ms(added, q) for q in _QS)),
        canary_requests=added.total,
        cpu_share=cpu_share,
    )


def _mean_ms(histogram: Histogram) -> float:
    return (histogram.mean_ns or 0) / NS_PER_MS


def _ms(histogram: Histogram, q: float) -> float:
    return (histogram.percentile_ns(q) or 0) / NS_PER_MS


@contextlib.contextmanager
def busy_loops(core: int, number: int) -> Iterator[None]:
    """Processes that use `core` as much as they can, each with the same claim to it as the engine."""
    hogs = []
    try:
        for _ in range(number):
            hogs.append(subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True))
            os.sched_setaffinity(hogs[-1].pid, {core})
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def _say(name: str, seen: Seen) -> None:
    columns = zip(("mean", "p50", "p99"), seen.load_ms, seen.canary_ms, strict=True)
    text = "; ".join(f"{what} {load:6.3f} | {canary:6.3f}" for what, load, canary in columns)
    print(f"{name:26} {text}; {seen.canary_requests} requests, CPU {100 * seen.cpu_share:.2f} %", flush=True)


def main() -> int:
    """Measure and print.  Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", default="6s", help="length of each run")
    parser.add_argument("--rate", type=float, default=2000, help="requests per second of the load")
    options = parser.parse_args()
    core, *others = sorted(os.sched_getaffinity(0))
    if not others:
        raise SystemExit("this benchmark needs two cores")
    os.sched_setaffinity(0, set(others))  # the canary's responder inherits it
    with tempfile.TemporaryDirectory() as home, serving(build(Path(home)), others[0], delay_us=_DELAY_US) as responder:
        for engine in reversed(available()):
            plan = HttpPlan(
                requests=(HttpRequest(url=responder.url(_BODY_BYTES)),),
                connections=_CONNECTIONS,
                duration_ns=parse_duration_ns(options.duration),
                rate_per_s=options.rate,
                poisson=True,
                engine=EngineKind(engine),
            )
            print("added in ms: load | canary", flush=True)
            quiet = measure(plan, responder, core)
            _say(f"{engine.value}, quiet", quiet)
            without = measure(dataclasses.replace(plan, canary=False), responder, core)
            _say(f"{engine.value}, without a canary", without)
            for number in (1, _LOOPS):
                with busy_loops(core, number):
                    _say(f"{engine.value}, busy loops: {number}", measure(plan, responder, core))
            seconds = plan.duration_ns / NS_PER_S
            cost_us = 1e6 * (quiet.cpu_share - without.cpu_share) * seconds / max(1, quiet.canary_requests)
            print(f"{engine.value}: {cost_us:.0f} µs of CPU for each request of the canary", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
