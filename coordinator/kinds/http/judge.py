"""Computes the result of a `loadgen http` run from its measurements.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from coordinator.kinds.again import disturbance_of
from coordinator.run.api import Played
from coordinator.run.evidence import TapeEvidence, TapeMeasured, canary_rows, lost_workers, trust_evidence
from loadgen.measure.ledger import Ledger
from loadgen.measure.snapshot import Health
from loadgen.model.http_plan import HttpPlan
from loadgen.model.units import NS_PER_S, format_duration
from loadgen.verdict.evidence import Loop, TrustEvidence, WorkerEvidence
from loadgen.verdict.http import judge_http
from loadgen.verdict.http_result import Handshakes, HttpResult, StageRow
from loadgen.verdict.result import Check, Trust
from loadgen.verdict.seen import say_seen
from loadgen.verdict.slo import Slo
from loadgen.verdict.stages import stage_rows
from loadgen.verdict.tcp_result import judge_tcp
from loadgen.verdict.trust import judge_trust


def _with_all_health(evidence: TrustEvidence, ledger: Ledger, left_out: frozenset[int]) -> TrustEvidence:
    """The evidence with the health of each engine over the window, which is the last part of the run.

    Evidence is of the intervals in which operations ended.  With servers that do not answer, this is only the moment in
    which the run ends and all operations are cut: an engine is busy then, and was idle before.  The intervals in
    `left_out` are not judged.
    """
    seconds = evidence.measured_ns // NS_PER_S + len(left_out)

    def widened(one: WorkerEvidence) -> WorkerEvidence:
        reported = ledger.health(one.worker)
        last = reported[-1][0] if reported else 0
        health = [one for interval, one in reported if interval > last - seconds and interval not in left_out]
        return dataclasses.replace(one, health=max(one.health, health, key=_wall_ns))

    return dataclasses.replace(evidence, workers=[widened(one) for one in evidence.workers])


def _wall_ns(health: Sequence[Health]) -> int:
    return sum(one.wall_ns for one in health)


def judge(played: Played[HttpPlan, TapeMeasured], evidence: TapeEvidence) -> HttpResult:
    """Return the result of a run, which has one window; `evidence` says whether its load generator can be trusted."""
    result = _judge(played, evidence)
    disturbance = disturbance_of(result, evidence, lambda rest: _judge(played, rest), _checks)
    return dataclasses.replace(result, disturbance=disturbance)


def _judge(played: Played[HttpPlan, TapeMeasured], evidence: TapeEvidence) -> HttpResult:
    """Return the result of what `evidence` has of the run."""
    plan, measured, asked = played.header.plan, evidence.measured, evidence.asked
    totals = measured.totals
    measured_ns = measured.measured_ns.get(0, 0)
    open_loop = plan.rate_per_s > 0
    loop = Loop.OPEN if open_loop else Loop.CLOSED
    trust = Trust(checks=())
    if measured_ns > 0:
        found = trust_evidence(evidence, totals, loop)
        trust = judge_trust(_with_all_health(found, measured.intake.ledger, measured.left_out))
    result = judge_http(
        totals.cells,
        totals.window_tallies(0),
        asked,
        [Slo.parse(text, bare=True) for text in plan.slos],
        trust,
        open_loop=open_loop,
        measured_ns=measured_ns,
        complete=0 in measured.complete,
        interrupted=played.interrupted,
        lost=lost_workers(evidence),
        notes=(
            *played.notes,
            *_on_count(played),
            *_on_tls(played),
            *say_seen(measured.intake.shown, asked.targets, totals.cells),
        ),
        done=0 in measured.done,
        early=measured.early,
        slots="streams" if plan.http2 else "connections",
    )
    tcp = judge_tcp(totals.tcp, 0, asked.target_of, len(asked.targets))
    if tcp is not None:
        rows = zip(result.targets, tcp.targets, strict=True)
        result = dataclasses.replace(
            result,
            total=dataclasses.replace(result.total, tcp=tcp.all),
            targets=tuple(dataclasses.replace(one, tcp=row) for one, row in rows),
        )
    return dataclasses.replace(
        result,
        canary=canary_rows(evidence),
        handshakes=_handshakes(measured),
        stages=_stages(played, evidence, result),
        namespaces=measured.intake.namespaces.rows(0),
    )


def _stages(played: Played[HttpPlan, TapeMeasured], evidence: TapeEvidence, result: HttpResult) -> tuple[StageRow, ...]:
    """Return the rows of the stages.  With seconds left out there are none: that would shorten stages by halves."""
    plan, measured = played.header.plan, evidence.measured
    measured_ns = measured.measured_ns.get(0, 0)
    if measured.left_out or not measured_ns:
        return ()
    whole = 0 in measured.complete - measured.done
    return stage_rows(
        plan.stages,
        measured.totals,
        evidence.asked,
        [Slo.parse(text) for text in plan.slos] if result.slos else (),
        measured_ns=measured_ns,
        played_ns=plan.duration_ns if whole else measured_ns,
    )


def _on_count(played: Played[HttpPlan, TapeMeasured]) -> Iterator[str]:
    """Notes on a run with a given number of requests."""
    plan, measured = played.header.plan, played.measured
    if plan.total_requests and 0 in measured.complete and 0 not in measured.done and not measured.lost:
        limit = format_duration(plan.duration_ns)
        yield f"The run ended after {limit} (--duration), before all {plan.total_requests:,} requests (-n) were done."
    if 0 in measured.done and measured.measured_ns.get(0, 0) < NS_PER_S:
        yield "The requests took less than a second: figures of so short a run vary. Give more requests (-n)."


def _handshakes(measured: TapeMeasured) -> Handshakes | None:
    full, resumed = measured.handshakes
    return Handshakes(full=full, resumed=resumed) if full + resumed else None


def _on_tls(played: Played[HttpPlan, TapeMeasured]) -> Iterator[str]:
    """How many handshakes were resumed, when that was asked for."""
    made = _handshakes(played.measured)
    if played.header.plan.tls_resume and made is not None:
        total, share = made.full + made.resumed, made.resumed_share
        yield f"TLS: {made.resumed:,} of {total:,} handshakes were resumed ({share:.0%})."


def _checks(result: HttpResult) -> dict[str, Check]:
    return {check.name: check for check in (*result.slos, *result.trust.checks)}
