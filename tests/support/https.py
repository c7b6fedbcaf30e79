"""A constructed `loadgen http` run: its plan, the snapshots of its engines, its result."""

from __future__ import annotations

import dataclasses
import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.kinds.http.kind import HttpKind
from coordinator.record.header import Header
from coordinator.record.kinds import KIND_HTTP
from coordinator.run.api import Played
from coordinator.run.evidence import TapeMeasured
from coordinator.run.tapes import empty_intake
from loadgen.measure.cells import CellTable
from loadgen.measure.fold import FoldContext, fold
from loadgen.measure.record import RECORD_DTYPE
from loadgen.measure.snapshot import Health, Snapshot
from loadgen.measure.stages import fold_stages
from loadgen.model.bound import Bound
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.outcome import Outcome
from loadgen.model.stages import ramps_of
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.http_result import HttpResult
from tests.support.arrivals import ramped_ns
from tests.support.canaries import heard, seen
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


def health(plan: HttpPlan, cpu: float = 0.5, wall_ns: int = NS_PER_S) -> Health:
    return Health(
        wall_ns=wall_ns,
        cpu_ns=int(cpu * wall_ns),
        runqueue_ns=0,
        still_ns=0,
        open_fds=20,
        fd_limit=1024,
        sockets_time_wait=0,
        active_connections=plan.connections,
    )


def context_of(plan: HttpPlan) -> FoldContext:
    """The tables by which the records of a run of `plan` are folded."""
    tape = compile_http(plan)
    return FoldContext(
        kind=np.ascontiguousarray(tape.ops["kind"]),
        group=np.ascontiguousarray(tape.ops["group"]),
        kinds=len(tape.kinds),
        groups=1,
        target_of=np.repeat(np.arange(len(plan.shares), dtype=np.int32), plan.shares),
        line_bps=0,
        bound=Bound.rate(1),
        is_open=bool(plan.stages),
    )


def fold_rows(
    plan: HttpPlan, rows: Sequence[tuple[int, ...]], *, start_ns: int = 0, waits: bool = False
) -> tuple[CellTable, NDArray[np.void]]:
    """The cells and tallies of `rows`, which have the fields of RECORD_DTYPE; the window begins at `start_ns`.

    `waits`: requests wait for a connection, so that their lateness is no time of a connection.
    """
    end_ns = start_ns + plan.duration_ns
    context = context_of(plan)
    if waits:
        context = dataclasses.replace(context, is_open=True)
    return fold(np.array(rows, RECORD_DTYPE), context, window=0, window_start_ns=start_ns, window_end_ns=end_ns)


def ended(
    plan: HttpPlan, operations: Iterable[tuple[float, float, Outcome]], *, start_s: float = 0.0, cpu: float = 0.5
) -> list[Snapshot]:
    """One snapshot per second of a run whose window begins at `start_s`, of operations (due_s, done_s, outcome).

    The connection that has been free longest plays the next one.  An operation is reported in the second in which it
    ends.
    """
    free = [(0.0, number) for number in range(plan.connections)]
    by_second: defaultdict[int, list[tuple[int, ...]]] = defaultdict(list)
    for due_s, done_s, outcome in sorted(operations, key=lambda one: one[0]):
        number = heapq.heapreplace(free, (done_s, free[0][1]))[1]
        due, done = (1 + round(second * NS_PER_S) for second in (due_s, done_s))
        sent = 0 if outcome in (Outcome.SHED, Outcome.REFUSED) else due
        by_second[done // NS_PER_S].append((due, sent, done, 100, 0, number, outcome, 0))
    last = round(start_s + plan.duration_ns / NS_PER_S)
    found = []
    for second in range(last + 1):
        cells, tallies = fold_rows(plan, by_second[second], start_ns=round(start_s * NS_PER_S))
        # The engine is busy when it ends, a moment after the window.
        own = health(plan, 1.0, NS_PER_S // 100) if second == last else health(plan, cpu)
        found.append(Snapshot("local/0", second, cells, tallies, own))
    return found


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
    found = []
    for second in range(plan.duration_ns // NS_PER_S):
        cells, tallies = fold_rows(plan, [row for row in rows if row[0] // NS_PER_S == second])
        found.append(Snapshot("local/0", second, cells, tallies, health(plan, cpu)))
    return found


def queued(plan: HttpPlan, service_s: float, *, backlog: int = 1 << 30, cpu: float = 0.1) -> list[Snapshot]:
    """One snapshot per second of an open loop whose requests take `service_s` and wait for a connection.

    At most `backlog` requests wait for the connections of each target, the others are shed.
    """
    tape, end_ns = compile_http(plan), plan.duration_ns
    service_ns = round(service_s * NS_PER_S)
    number = 0
    free: list[list[tuple[int, int]]] = []
    for share in plan.shares:
        free.append([(0, number + at) for at in range(share)])
        number += share
    starts: list[list[int]] = [[] for _ in plan.shares]
    by_second: defaultdict[int, list[tuple[int, ...]]] = defaultdict(list)
    for at, due in enumerate(np.arange(0, end_ns, round(NS_PER_S / plan.rate_per_s)).tolist()):
        row = at % len(tape.ops)
        target = int(tape.ops["target"][row])
        if sum(start > due for start in starts[target]) >= backlog:
            by_second[due // NS_PER_S].append((due + 1, 0, due + 1, 0, row, free[target][0][1], Outcome.SHED, 0))
            continue
        begun, connection = free[target][0]
        sent = max(due, begun)
        done = min(sent + service_ns, end_ns)
        heapq.heapreplace(free[target], (max(done, sent), connection))
        starts[target].append(sent)
        outcome = Outcome.OK if sent + service_ns < end_ns else Outcome.CUT
        own = (due + 1, sent + 1 if sent < end_ns else 0, done + 1, 100, row, connection, outcome, 0)
        by_second[min(done, end_ns - 1) // NS_PER_S].append(own)
    found = []
    for second in range(end_ns // NS_PER_S):
        cells, tallies = fold_rows(plan, by_second[second], waits=True)
        found.append(Snapshot("local/0", second, cells, tallies, health(plan, cpu)))
    return found


def staged(
    plan: HttpPlan, *, outcomes: Mapping[int, Outcome] | None = None, service_s: Mapping[int, float] | None = None
) -> list[Snapshot]:
    """Return a snapshot per second of what the stages of `plan` ask for, on the first target.

    An operation takes 5 ms, or what `service_s` says; both mappings are by operation number.
    """
    rows = []
    length_ns = plan.duration_ns
    ramps = ramps_of(plan.stages)
    dues = ramped_ns(ramps, poisson=False, seed=1, part=0, parts=1, length_ns=length_ns)
    for number, due in enumerate((dues + 1).tolist()):
        done = due + round((service_s or {}).get(number, 0.005) * NS_PER_S)
        outcome = (outcomes or {}).get(number, Outcome.OK)
        rows.append((due, 0 if outcome is Outcome.SHED else due, done, 100, 0, 0, outcome, 0))
    ends_ns = np.cumsum([length for length, _, _ in ramps])
    found = []
    for second in range(length_ns // NS_PER_S):
        last = second + 1 == length_ns // NS_PER_S
        mine = [row for row in rows if row[2] // NS_PER_S == second or (last and row[2] // NS_PER_S > second)]
        cells, tallies = fold_rows(plan, mine)
        stages = fold_stages(np.array(mine, RECORD_DTYPE), context_of(plan), 0, ends_ns)
        found.append(Snapshot("local/0", second, cells, tallies, health(plan), stages=stages))
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
    measured = TapeMeasured(
        intake=intake,
        measured_ns={0: plan.duration_ns},
        complete=frozenset({0}),
        canaries=(heard(seen()),),
    )
    measured = dataclasses.replace(measured, **changes)
    return kind.judge(Played(header=begun, measured=measured, interrupted=interrupted, notes=notes))
