"""From everything that came in during a `loadgen http` run to its result."""

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
from coordinator.record.fleet import FleetRecord
from coordinator.record.header import Header
from loadgen.measure.cells import Cell
from loadgen.measure.events import CoresShared
from loadgen.measure.snapshot import Snapshot
from loadgen.model.bound import Bound
from loadgen.model.http_plan import HttpPlan
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from loadgen.verdict.http import judge_http
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.http_trust import judge_http_trust
from loadgen.verdict.result import Trust
from loadgen.verdict.rules import Asked
from loadgen.verdict.slo import Slo
from workloads.http.compile import GROUPS, kinds

ANY_TIME = Bound.rate(1)
"""The engines' bound: objectives are judged by what was measured in the end, not request by request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpEvidence:
    """What a run is judged by; fields as in :class:`coordinator.evidence.Gathered`.

    `measured_ns` and `complete` know of one window, 0.
    """

    plan: HttpPlan
    fleet: FleetRecord
    intake: Intake
    measured_ns: Mapping[int, int]
    complete: bool
    interrupted: bool
    lost: Mapping[str, str]
    began_ns: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    shared: Sequence[CoresShared] = ()
    notes: tuple[str, ...] = ()

    @property
    def strangers_serve(self) -> bool:
        """The servers are never ours."""
        return True

    @property
    def sources(self) -> Sequence[str]:
        """Those of the plan."""
        return self.plan.sources

    @property
    def targets(self) -> Sequence[Target]:
        """The servers that the plan names."""
        return self.plan.targets

    @property
    def asked(self) -> Asked:
        """What was asked for."""
        shares = self.plan.shares
        target_of: NDArray[np.int32] = np.repeat(np.arange(len(shares), dtype=np.int32), shares)
        names = kinds(self.plan)
        return Asked(
            targets=self.targets,
            target_of=target_of,
            kinds=names,
            groups=GROUPS,
            kind_shares=[1 / len(names)] * len(names),
            bound=ANY_TIME,
        )


def intake_for(plan: HttpPlan, workers: Iterable[str]) -> Intake:
    """An empty one."""
    return Intake.of(workers, len(kinds(plan)), len(GROUPS), connections=plan.connections, targets=len(plan.targets))


def judge(evidence: HttpEvidence) -> HttpResult:
    """The result of a run."""
    asked, totals = evidence.asked, evidence.intake.ledger.totals()
    measured_ns = evidence.measured_ns.get(0, 0)
    open_loop = evidence.plan.rate_per_s > 0
    nothing = Cell.empty(len(asked.kinds), len(asked.groups))
    trust = Trust(checks=())
    if measured_ns > 0:
        trust = judge_http_trust(
            worker_evidence(evidence, totals),
            port_evidence(evidence),
            Cell.merge_all([nothing, *totals.cells.values()]),
            Cell.merge_all([nothing, *totals.window(0).values()]),
            asked,
            measured_ns=measured_ns,
            open_loop=open_loop,
            neighbours=neighbour_evidence(evidence),
            starts=start_evidence(evidence),
        )
    return judge_http(
        totals.cells,
        asked,
        [Slo.parse(text) for text in evidence.plan.slos],
        trust,
        open_loop=open_loop,
        measured_ns=measured_ns,
        complete=evidence.complete,
        interrupted=evidence.interrupted,
        lost=lost_workers(evidence),
        notes=evidence.notes,
    )


def judge_http_snapshots(header: Header[HttpPlan], snapshots: Iterable[Snapshot]) -> HttpResult:
    """The result of a run of which only snapshots are left: it was cut.

    Raises ValueError when a snapshot cannot be of this plan.
    """
    plan = header.plan
    intake = intake_for(plan, header.own_fleet.placement.workers)
    seen: list[int] = []
    for snapshot in snapshots:
        if snapshot.worker in intake.ledger.workers:
            intake.receive(snapshot)
            if (snapshot.tallies["window"] == 0).any():
                seen.append(snapshot.interval)
    measured_ns = min(plan.duration_ns, (max(seen) - min(seen) + 1) * NS_PER_S) if seen else 0
    return judge(
        HttpEvidence(
            plan=plan,
            fleet=header.own_fleet,
            intake=intake,
            measured_ns={0: measured_ns},
            complete=False,
            interrupted=True,
            lost={},
        )
    )
