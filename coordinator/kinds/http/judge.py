"""From what a `loadgen http` run measured to its result.  Pure."""

from __future__ import annotations

from coordinator.run.api import Played
from coordinator.run.evidence import (
    TapeEvidence,
    TapeMeasured,
    lost_workers,
    neighbour_evidence,
    port_evidence,
    start_evidence,
    worker_evidence,
)
from loadgen.measure.cells import Cell
from loadgen.model.http_plan import HttpPlan
from loadgen.verdict.http import judge_http
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.http_trust import judge_http_trust
from loadgen.verdict.result import Trust
from loadgen.verdict.slo import Slo


def judge(played: Played[HttpPlan, TapeMeasured], evidence: TapeEvidence) -> HttpResult:
    """The result of a run, which has one window; `evidence` is on its load generator."""
    plan, measured, asked = played.header.plan, played.measured, evidence.asked
    totals = measured.intake.ledger.totals()
    measured_ns = measured.measured_ns.get(0, 0)
    open_loop = plan.rate_per_s > 0
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
        [Slo.parse(text) for text in plan.slos],
        trust,
        open_loop=open_loop,
        measured_ns=measured_ns,
        complete=0 in measured.complete,
        interrupted=played.interrupted,
        lost=lost_workers(evidence),
        notes=played.notes,
    )
