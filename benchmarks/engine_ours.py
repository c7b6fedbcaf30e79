"""The engines of loadgen in the engine benchmark: an engine process below its agent, as in a user's run."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import uvloop
from numpy.typing import NDArray

from benchmarks.engine_meter import MOST_BY_OTHERS, Meter, Window, between, open_files, own_bytes
from benchmarks.engine_responder import Responder
from coordinator.fleet.api import Prepare, Start, workers_of
from coordinator.fleet.local import LocalFleet
from coordinator.kinds.http.kind import HttpKind
from coordinator.kinds.spec.kind import SpecKind
from coordinator.run.intake import Intake
from coordinator.run.tapes import assignments
from loadgen.engine.api import Assignment, EngineKind, Segment
from loadgen.measure.cells import Cell
from loadgen.measure.events import EngineLost, SegmentEnded
from loadgen.measure.snapshot import Snapshot
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.plan import Phases, SpecPlan
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import CHECK_DTYPE, KEEP_ALIVE, OP_DTYPE, START_DTYPE, OpTape, StringsBuilder
from loadgen.schedule.placement import Placement, place
from loadgen.verdict.connection import judge_connections
from workloads.http.compile import compile_http
from workloads.specweb99.compile import compile_tape

LINE_BPS = 400_000
LATE_MS = 5.0
OFF_SHARE = 0.01
_ENDS_S = 0.1  # from the end of the window to the end of the segment
_SOON_NS = 250 * NS_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one engine process plays: a function from the worker's name to its assignment, and the times.

    The window opens `lead_s` after the start and is `window_s` long.
    """

    assign: Callable[[str], Assignment]
    lead_s: float
    window_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was measured from outside: cost and true latencies in the window, memory and descriptors at its end."""

    window: Window
    truth: NDArray[np.int64]
    own_bytes: int
    open_files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The result of a load: measured from outside, and as the engine reported it."""

    seen: Seen
    intake: Intake

    def cell(self) -> Cell:
        """The counts of all operations that were due in the window."""
        return Cell.merge_all(self.intake.ledger.totals().window(0).values())


T = TypeVar("T")
Watch = Callable[[int, int, int], Coroutine[Any, Any, T]]
"""Observes an engine process: called with its pid, and begin and end of the window in time.monotonic_ns()."""


def play(load: Load, responder: Responder, core: int) -> Played:
    """Play `load` on an engine process on `core`, and measure it with the responder's counters."""
    seen, intake = uvloop.run(play_async(load, core, partial(_watch, core, responder)))
    return Played(seen=seen, intake=intake)


def play_watched(load: Load, core: int, watch: Watch[T]) -> T:
    """Play `load` on an engine process on `core`; returns the result of `watch`."""
    return uvloop.run(play_async(load, core, watch))[0]


async def play_async(load: Load, core: int, watch: Watch[T]) -> tuple[T, Intake]:
    """Play `load` on an engine process on `core`; returns the result of `watch`, and what the engine reported."""
    fleet = LocalFleet(1)
    (worker,) = workers_of(fleet.machines)
    assignment = load.assign(worker)
    tape = assignment.tape
    connections, targets = len(assignment.shard.connections), len(assignment.targets)
    intake = Intake.of([worker], len(tape.kinds), len(tape.groups), connections=connections, targets=targets)
    try:
        await fleet.open()
        (pid,) = fleet.pids
        os.sched_setaffinity(pid, {core})
        await fleet.command(Prepare([assignment]))
        start_ns = time.monotonic_ns() + _SOON_NS
        window_ns = start_ns + int(load.lead_s * NS_PER_S)
        end_ns = window_ns + int(load.window_s * NS_PER_S)
        segment = Segment(
            index=0,
            origin_ns=start_ns,
            start_ns=start_ns,
            window_start_ns=window_ns,
            window_end_ns=end_ns,
            end_ns=end_ns + int(_ENDS_S * NS_PER_S),
        )
        await fleet.command(Start(segment))
        watching = asyncio.create_task(watch(pid, window_ns, end_ns))
        while not isinstance(event := await fleet.event(), SegmentEnded):
            match event:
                case EngineLost(_, why):
                    raise SystemExit(f"the engine process ended: {why}")
                case Snapshot():
                    intake.receive(event)
        seen = await watching
    finally:
        await fleet.close()
    return seen, intake


async def _watch(core: int, responder: Responder, pid: int, begin_ns: int, end_ns: int) -> Seen:
    meter = Meter(pid, core, responder)
    await asyncio.sleep((begin_ns - time.monotonic_ns()) / NS_PER_S)
    before, true_before = meter.mark(), responder.truth()
    await asyncio.sleep((end_ns - time.monotonic_ns()) / NS_PER_S)
    return Seen(
        window=between(before, meter.mark()),
        truth=responder.truth() - true_before,
        own_bytes=own_bytes(pid),
        open_files=open_files(pid),
    )


def fixed_size(
    engine: EngineKind,
    responder: Responder,
    size_bytes: int,
    connections: int,
    *,
    seconds: float,
    settle_s: float,
    rate_per_s: float = 0.0,
) -> Load:
    """The load of `loadgen http URL`: a closed loop, or with `rate_per_s` an open loop."""
    plan = HttpPlan(
        requests=(HttpRequest(url=responder.url(size_bytes)),),
        connections=connections,
        engine=engine,
        rate_per_s=rate_per_s,
    )

    def assign(worker: str) -> Assignment:
        placement = Placement((worker,), place(plan.shares, [1], plan.seed))
        kind = HttpKind()
        (found,) = assignments(kind, plan, kind.asked(plan, plan.targets), placement, compile_http(plan))
        return found

    return Load(assign=assign, lead_s=settle_s, window_s=seconds)


def paced(engine: EngineKind, responder: Responder, connections: int, *, seconds: float) -> Load:
    """SPECweb99's file sizes in its mix, at line speed, with connections spread evenly over their operations.

    All TCP connections stay open.  In SPECweb99 30 % of the operations open one, which costs the kernel several times
    as much as the rest of an operation, and would hide the cost of the engine.
    """
    targets = _targets(responder)
    plan = SpecPlan(
        vms=len(targets),
        targets=targets,
        connections=connections // len(targets),
        line_bps=LINE_BPS,
        phases=Phases(
            ramp_up_ns=2 * NS_PER_S,
            warmup_ns=2 * NS_PER_S,
            measure_ns=int(seconds * NS_PER_S),
            ramp_down_ns=0,
            iterations=1,
        ),
    )

    def assign(worker: str) -> Assignment:
        tape = _only_sizes(compile_tape(plan))
        placement = Placement((worker,), np.zeros(plan.total_connections, np.int32))
        kind = SpecKind()
        (found,) = assignments(kind, plan, kind.asked(plan, targets), placement, tape)
        return _by(engine, found)

    return Load(assign=assign, lead_s=plan.phases.lead_ns(0) / NS_PER_S, window_s=seconds)


def idle(engine: EngineKind, responder: Responder, connections: int) -> Load:
    """Each connection opens, plays one operation, and then rests until the end of the segment."""
    targets = _targets(responder)
    plan = SpecPlan(vms=len(targets), targets=targets, connections=connections // len(targets), line_bps=LINE_BPS)
    total = plan.total_connections
    strings = StringsBuilder()
    ops = np.zeros(1, OP_DTYPE)
    ops["line"], ops["rest"] = strings.add(b"GET /1024 HTTP/1.1\r\n"), strings.add(b"\r\n")
    ops["status"], ops["flags"] = 200, KEEP_ALIVE
    checks = np.zeros(1, CHECK_DTYPE)
    checks["content_bytes"], checks["literal_at"] = 1024, -1
    starts = np.zeros((1, total), START_DTYPE)
    starts["delay_ns"] = np.arange(total) * NS_PER_S // total
    tape = OpTape(ops, checks, strings.build(), starts, ("only",), ("get",), (1.0,))

    def assign(worker: str) -> Assignment:
        placement = Placement((worker,), np.zeros(total, np.int32))
        kind = SpecKind()
        (found,) = assignments(kind, plan, kind.asked(plan, targets), placement, tape)
        found = _by(engine, found)
        slow = dataclasses.replace(found.load, line_bps=500)  # 1,024 bytes take over 16 s
        return dataclasses.replace(found, load=slow)

    return Load(assign=assign, lead_s=2.0, window_s=0.5)


def _targets(responder: Responder) -> tuple[Target, ...]:
    return tuple(Target(name=f"t{i}", host="127.0.0.1", port=port) for i, port in enumerate(responder.ports))


def _by(engine: EngineKind, assignment: Assignment) -> Assignment:
    return dataclasses.replace(assignment, load=dataclasses.replace(assignment.load, engine=engine))


def _only_sizes(tape: OpTape) -> OpTape:
    """The same operations as requests to the responder, which serves every size but only one content."""
    strings = StringsBuilder()
    ops = tape.ops.copy()
    sizes, check_of = np.unique(tape.checks["content_bytes"][tape.ops["check"]], return_inverse=True)
    lines = np.array([strings.add(f"GET /{size} HTTP/1.1\r\n".encode()) for size in sizes.tolist()], np.uint32)
    ops["line"] = lines[check_of]
    ops["rest"] = strings.add(b"User-Agent: loadgen\r\nAccept: */*\r\n\r\n")
    ops["check"] = check_of
    ops["cookie"] = ops["literal"] = 0
    ops["flags"] = KEEP_ALIVE
    checks = np.zeros(len(sizes), CHECK_DTYPE)
    checks["content_bytes"] = sizes
    checks["literal_at"] = -1
    return dataclasses.replace(tape, ops=ops, checks=checks, strings=strings.build())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The result of a trial with paced connections.  Rates are relative to the line speed."""

    connections: int
    operations_per_s: float
    mean_bytes: float
    errors: int
    rate_min: float
    rate_max: float
    connections_off: int
    lateness_p50_ms: float
    lateness_p99_ms: float
    client_share: float
    responder_share: float
    others: float

    @property
    def disturbed(self) -> bool:
        """Whether other processes used much of the client's core."""
        return self.others > MOST_BY_OTHERS

    @property
    def holds(self) -> bool:
        """Whether every connection kept the line speed and operations were sent on time."""
        return not self.connections_off and not self.errors and self.lateness_p99_ms < LATE_MS


def pace_of(played: Played, seconds: float) -> Pace:
    """The figures of a paced segment."""
    cell, connections = played.cell(), played.intake.connections
    totals = played.intake.ledger.totals()
    bound = SpecPlan().bound
    rates = judge_connections(totals.window_tallies(0), connections, bound)["bits_per_s"] / LINE_BPS
    return Pace(
        connections=connections,
        operations_per_s=cell.ok / seconds,
        mean_bytes=cell.bytes / max(1, cell.ok),
        errors=cell.bad,
        rate_min=float(rates.min()),
        rate_max=float(rates.max()),
        connections_off=int(np.sum(np.abs(rates - 1) > OFF_SHARE)),
        lateness_p50_ms=_ms(cell.lateness.percentile_ns(50)),
        lateness_p99_ms=_ms(cell.lateness.percentile_ns(99)),
        client_share=played.seen.window.client_share,
        responder_share=played.seen.window.responder_share,
        others=played.seen.window.others,
    )


def service_ms(played: Played) -> tuple[float, float]:
    """The reported service times (p50, p99) in ms."""
    service = played.cell().service
    return _ms(service.percentile_ns(50)), _ms(service.percentile_ns(99))


def _ms(value_ns: int | None) -> float:
    return (value_ns or 0) / NS_PER_MS
