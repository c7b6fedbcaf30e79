"""Computes the result of a `loadgen http` run from its measurements.  Pure."""

from __future__ import annotations

from coordinator.run.api import Played
from coordinator.run.evidence import TapeEvidence, TapeMeasured, lost_workers, trust_evidence
from loadgen.model.http_plan import HttpPlan
from loadgen.verdict.evidence import Loop
from loadgen.verdict.http import judge_http
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.result import Trust
from loadgen.verdict.slo import Slo
from loadgen.verdict.trust import judge_trust


def judge(played: Played[HttpPlan, TapeMeasured], evidence: TapeEvidence) -> HttpResult:
    """Return the result of a run, which has one window; `evidence` says whether its load generator can be trusted."""
    plan, measured, asked = played.header.plan, played.measured, evidence.asked
    totals = measured.intake.ledger.totals()
    measured_ns = measured.measured_ns.get(0, 0)
    open_loop = plan.rate_per_s > 0
    loop = Loop.OPEN if open_loop else Loop.CLOSED
    trust = judge_trust(trust_evidence(evidence, totals, loop)) if measured_ns > 0 else Trust(checks=())
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
