"""Computes the result of a `loadgen http` run from its measurements.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from coordinator.run.api import Played
from coordinator.run.evidence import TapeEvidence, TapeMeasured, lost_workers, trust_evidence
from loadgen.measure.ledger import Ledger
from loadgen.measure.snapshot import Health
from loadgen.model.http_plan import HttpPlan
from loadgen.model.units import NS_PER_S
from loadgen.verdict.checks.tape.littles_law import LITTLES_LAW
from loadgen.verdict.evidence import Loop, TrustEvidence, WorkerEvidence
from loadgen.verdict.http import judge_http
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.result import Trust
from loadgen.verdict.slo import Slo
from loadgen.verdict.trust import judge_trust


def _with_all_health(evidence: TrustEvidence, ledger: Ledger) -> TrustEvidence:
    """The evidence with the health of each engine over the window, which is the last part of the run.

    Evidence is of the intervals in which operations ended.  With servers that do not answer, this is only the moment in
    which the run ends and all operations are cut: an engine is busy then, and was idle before.
    """
    seconds = evidence.measured_ns // NS_PER_S

    def widened(one: WorkerEvidence) -> WorkerEvidence:
        reported = ledger.health(one.worker)
        last = reported[-1][0] if reported else 0
        health = [health for interval, health in reported if interval > last - seconds]
        return dataclasses.replace(one, health=max(one.health, health, key=_wall_ns))

    return dataclasses.replace(evidence, workers=[widened(one) for one in evidence.workers])


def _wall_ns(health: Sequence[Health]) -> int:
    return sum(one.wall_ns for one in health)


def judge(played: Played[HttpPlan, TapeMeasured], evidence: TapeEvidence) -> HttpResult:
    """Return the result of a run, which has one window; `evidence` says whether its load generator can be trusted."""
    plan, measured, asked = played.header.plan, played.measured, evidence.asked
    totals = measured.intake.ledger.totals()
    measured_ns = measured.measured_ns.get(0, 0)
    open_loop = plan.rate_per_s > 0
    loop = Loop.OPEN if open_loop else Loop.CLOSED
    trust = Trust(checks=())
    if measured_ns > 0:
        found = trust_evidence(evidence, totals, loop)
        trust = judge_trust(_with_all_health(found, measured.intake.ledger))
    lost = lost_workers(evidence)
    if lost:  # the connections of a lost worker are missing, and the result says so
        trust = Trust(checks=tuple(check for check in trust.checks if check.name != LITTLES_LAW))
    return judge_http(
        totals.cells,
        totals.window_tallies(0),
        asked,
        [Slo.parse(text) for text in plan.slos],
        trust,
        open_loop=open_loop,
        measured_ns=measured_ns,
        complete=0 in measured.complete,
        interrupted=played.interrupted,
        lost=lost,
        notes=played.notes,
    )
