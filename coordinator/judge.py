"""From everything that came in during a spec run to its result: collects the evidence, asks loadgen.verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coordinator.evidence import (
    Intake,
    lost_workers,
    neighbour_evidence,
    port_evidence,
    start_evidence,
    worker_evidence,
)
from coordinator.record.connections import CONNECTION_DTYPE
from coordinator.record.fleet import FleetRecord
from coordinator.record.header import Header
from loadgen.measure.cells import Cell
from loadgen.measure.events import CoresShared
from loadgen.measure.ledger import Totals
from loadgen.measure.snapshot import Snapshot
from loadgen.model.plan import SpecPlan
from loadgen.model.shard import share_out
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from loadgen.verdict.connection import judge_connections
from loadgen.verdict.iteration import judge_iteration
from loadgen.verdict.result import Check, IterationResult, RunResult, Trust
from loadgen.verdict.rules import Asked
from loadgen.verdict.run import judge_run
from loadgen.verdict.trust import judge_trust
from workloads.specweb99.mix import CLASS_SHARES, GROUPS, KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a run is judged by.

    `measured_ns` is the length of each window that was begun, by iteration; `complete` holds those that were
    played to their end.  `began_ns` is when each worker began, by iteration; `shared` is what others used of
    the engines' cores, segment by segment and machine by machine.
    """

    plan: SpecPlan
    targets: Sequence[Target]
    fleet: FleetRecord
    intake: Intake
    measured_ns: Mapping[int, int]
    complete: frozenset[int]
    interrupted: bool
    lost: Mapping[str, str]
    log_checks: Mapping[int, Check]
    began_ns: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    shared: Sequence[CoresShared] = ()
    notes: tuple[str, ...] = ()

    @property
    def sources(self) -> Sequence[str]:
        """Those of the plan."""
        return self.plan.sources

    @property
    def strangers_serve(self) -> bool:
        """Whether the servers are not ours."""
        return bool(self.plan.targets)

    @property
    def asked(self) -> Asked:
        """What was asked for."""
        weights = [target.weight for target in self.targets] or [1] * self.plan.vms  # none were started yet
        shares = share_out(self.plan.total_connections, weights)
        return Asked(
            targets=self.targets,
            target_of=np.repeat(np.arange(len(shares), dtype=np.int32), shares),
            kinds=KINDS,
            groups=GROUPS,
            kind_shares=CLASS_SHARES,
            bound=self.plan.bound,
        )


def judge(evidence: Evidence) -> RunResult:
    """The result of a run."""
    asked, totals = evidence.asked, evidence.intake.ledger.totals()
    iterations = _iterations(evidence, asked, totals)
    return judge_run(
        iterations,
        _trust(evidence, asked, totals) if iterations else Trust(checks=()),
        requested_connections=asked.connections,
        planned_iterations=evidence.plan.phases.iterations,
        interrupted=evidence.interrupted,
        lost=lost_workers(evidence),
        notes=evidence.notes,
    )


def judge_snapshots(header: Header[SpecPlan], snapshots: Iterable[Snapshot]) -> RunResult:
    """The result of a run of which only snapshots are left: it was cut.

    Raises ValueError when a snapshot cannot be of this plan.
    """
    plan = header.plan
    intake = Intake.of(
        header.own_fleet.placement.workers,
        len(KINDS),
        len(GROUPS),
        connections=plan.total_connections,
        targets=len(header.targets),
    )
    seen: dict[int, list[int]] = {}
    for snapshot in snapshots:
        if snapshot.worker in intake.ledger.workers:
            intake.receive(snapshot)
            for window in set(snapshot.tallies["window"].tolist()):
                seen.setdefault(window, []).append(snapshot.interval)
    windows = sorted(window for window in seen if window >= 0)
    # Whoever has begun the next window has finished the one before.
    measured_ns = {
        window: plan.phases.measure_ns
        if window < windows[-1]
        else min(plan.phases.measure_ns, (max(seen[window]) - min(seen[window]) + 1) * NS_PER_S)
        for window in windows
    }
    return judge(
        Evidence(
            plan=plan,
            targets=header.targets,
            fleet=header.own_fleet,
            intake=intake,
            measured_ns=measured_ns,
            complete=frozenset(windows[:-1]),
            interrupted=True,
            lost={},
            log_checks={},
        )
    )


def connection_rows(evidence: Evidence) -> NDArray[np.void]:
    """What each connection did in each window, as CONNECTION_DTYPE."""
    asked, totals = evidence.asked, evidence.intake.ledger.totals()
    parts = [np.zeros(0, dtype=CONNECTION_DTYPE)]
    for window in sorted(evidence.measured_ns):
        found = judge_connections(totals.window_tallies(window), asked.connections, asked.bound)
        rows = np.zeros(len(found), dtype=CONNECTION_DTYPE)
        for name in ("connection", "ok", "bad", "bytes", "busy_ns", "state"):
            rows[name] = found[name]
        rows["iteration"] = window
        rows["target"] = asked.target_of
        rows["kbit_per_s"] = found["bits_per_s"] / 1000
        parts.append(rows)
    return np.concatenate(parts)


def _iterations(evidence: Evidence, asked: Asked, totals: Totals) -> list[IterationResult]:
    return [
        judge_iteration(
            window,
            totals,
            asked,
            measured_ns=measured_ns,
            complete=window in evidence.complete,
            more_checks=[evidence.log_checks[window]] if window in evidence.log_checks else [],
        )
        for window, measured_ns in sorted(evidence.measured_ns.items())
        if measured_ns > 0
    ]


def _trust(evidence: Evidence, asked: Asked, totals: Totals) -> Trust:
    whole = Cell.merge_all([Cell.empty(len(KINDS), len(GROUPS)), *totals.cells.values()])
    return judge_trust(
        worker_evidence(evidence, totals),
        port_evidence(evidence),
        whole,
        asked,
        neighbours=neighbour_evidence(evidence),
        starts=start_evidence(evidence),
    )
