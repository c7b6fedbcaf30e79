"""A constructed `loadgen http` run: its plan, the snapshots of its engines, its result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coordinator.kinds.http.kind import HttpKind
from coordinator.record.header import KIND_HTTP, Header
from coordinator.run.api import Played
from coordinator.run.evidence import TapeMeasured
from coordinator.run.tapes import empty_intake
from loadgen.measure.fold import FoldContext, fold
from loadgen.measure.record import RECORD_DTYPE
from loadgen.measure.snapshot import Health, Snapshot
from loadgen.model.bound import Bound
from loadgen.model.http_plan import HttpPlan, HttpRequest
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.http_result import HttpResult
from tests.support.results import environment, local_fleet
from workloads.http.compile import compile_http

PLAN = HttpPlan(
    requests=(
        HttpRequest(url="http://192.0.2.1:8080/index.html", weight=3),
        HttpRequest(url="https://shop.example/cart", method="POST", body="{}", status=201),
    ),
    connections=4,
    duration_ns=2 * NS_PER_S,
    seed=7,
)
OPEN = dataclasses.replace(PLAN, rate_per_s=40.0, slos=("p99<50ms", "errors<1%"))


def header(plan: HttpPlan = PLAN) -> Header[HttpPlan]:
    return Header(
        kind=KIND_HTTP,
        started_at="2026-02-03T04:05:06+00:00",
        plan=plan,
        targets=plan.targets,
        environment=environment(),
        fleet=local_fleet(plan.connections),
    )


def snapshots(
    plan: HttpPlan = PLAN,
    *,
    service_ms: float = 50.0,
    late_ms: float = 0.0,
    cpu: float = 0.5,
    outcomes: Mapping[int, Outcome] | None = None,
) -> list[Snapshot]:
    """Return one snapshot per second of a closed loop (or of a rate); `outcomes` are by operation number."""
    tape = compile_http(plan)
    target_of = np.repeat(np.arange(len(plan.shares), dtype=np.int32), plan.shares)
    step_ns = int(NS_PER_S / plan.rate_per_s) if plan.rate_per_s else int(service_ms * NS_PER_MS)
    rows: list[tuple[int, ...]] = []
    if plan.rate_per_s:
        dues = np.arange(0, plan.duration_ns, step_ns)
        turns = [(int(due), n % plan.connections) for n, due in enumerate(dues)]
    else:
        turns = [(due, c) for due in range(0, plan.duration_ns - step_ns + 1, step_ns) for c in range(plan.connections)]
    for n, (due, connection) in enumerate(turns):
        outcome = (outcomes or {}).get(n, Outcome.OK)
        sent = due + int(late_ms * NS_PER_MS)
        done = sent + int(service_ms * NS_PER_MS)
        row = int(tape.starts["row"][0][connection])
        if outcome is Outcome.SHED:
            rows.append((due + 1, 0, due + 1, 0, row, connection, outcome, 0))
        else:
            rows.append((due + 1, sent + 1, done + 1, 1000, row, connection, outcome, 0))
    records = np.array(rows, RECORD_DTYPE)
    context = FoldContext(
        kind=np.ascontiguousarray(tape.ops["kind"]),
        group=np.ascontiguousarray(tape.ops["group"]),
        kinds=len(tape.kinds),
        groups=1,
        target_of=target_of,
        line_bps=0,
        bound=Bound.rate(1),
    )
    health = Health(
        wall_ns=NS_PER_S,
        cpu_ns=int(cpu * NS_PER_S),
        runqueue_ns=0,
        still_ns=0,
        open_fds=20,
        fd_limit=1024,
        sockets_time_wait=0,
        active_connections=plan.connections,
    )
    found = []
    for second in range(plan.duration_ns // NS_PER_S):
        mine = records[records["due_ns"] // NS_PER_S == second]
        cells, tallies = fold(mine, context, window=0, window_start_ns=0, window_end_ns=1 << 62)
        found.append(Snapshot("local/0", second, cells, tallies, health))
    return found


def result(
    plan: HttpPlan = PLAN,
    *,
    given: Sequence[Snapshot] | None = None,
    interrupted: bool = False,
    notes: tuple[str, ...] = (),
    **changes: Any,
) -> HttpResult:
    """Return the result of the run `given`, by default of a good run."""
    kind, begun = HttpKind(), header(plan)
    intake = empty_intake(kind.asked(plan, plan.targets), begun.own_fleet.placement)
    for snapshot in snapshots(plan) if given is None else given:
        intake.receive(snapshot)
    measured = TapeMeasured(intake=intake, measured_ns={0: plan.duration_ns}, complete=frozenset({0}))
    measured = dataclasses.replace(measured, **changes)
    return kind.judge(Played(header=begun, measured=measured, interrupted=interrupted, notes=notes))
