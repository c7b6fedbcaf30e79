"""Computes the result of a spec run from its measurements.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from coordinator.kinds.again import disturbance_of
from coordinator.kinds.fair import fairness_of
from coordinator.kinds.margin import margin_of
from coordinator.run.api import Played
from coordinator.run.evidence import (
    TapeEvidence,
    TapeMeasured,
    canary_rows,
    lost_connections,
    lost_workers,
    trust_evidence,
)
from loadgen.measure.histogram import Histogram
from loadgen.measure.ledger import Totals
from loadgen.model.plan import SpecPlan
from loadgen.verdict.connection import judge_connections
from loadgen.verdict.evidence import Loop
from loadgen.verdict.iteration import judge_iteration
from loadgen.verdict.lateness import cost_of
from loadgen.verdict.result import Check, IterationResult, RunResult, TargetResult, Trust
from loadgen.verdict.run import judge_run
from loadgen.verdict.seen import say_seen, say_statuses
from loadgen.verdict.trust import judge_trust, worst_of_windows
from loadgen.verdict.vm_counters import VmCounters
from workloads.api import Workload

_OUT_THAT_MATTERS = 0.01


def judge(played: Played[SpecPlan, TapeMeasured], evidence: TapeEvidence, workload: Workload[SpecPlan]) -> RunResult:
    """Return the result of a run; `evidence` says whether its load generator can be trusted."""
    result = _judge(played, evidence)
    disturbance = disturbance_of(result, evidence, lambda rest: _judge(played, rest), _checks, each_counts=True)
    result = dataclasses.replace(result, disturbance=disturbance)
    median = result.iterations[result.median] if result.median >= 0 else None
    if median is None or not median.complete or not result.has_score:
        return result
    asked, totals = evidence.asked, evidence.measured.totals
    late = Histogram.merge_all(cell.lateness for cell in totals.window(median.index).values())
    result = dataclasses.replace(result, notes=(*result.notes, *_say_lateness(late, evidence)))
    if evidence.measured.lost:  # connections are missing: what remains is no score, and has no margin
        return result
    found = judge_connections(totals.window_tallies(median.index), asked.connections, asked.bound)
    margin = margin_of(played.header.plan, workload, evidence.timings, asked, result.iterations, median, found)
    return dataclasses.replace(result, margin=margin)


def _judge(played: Played[SpecPlan, TapeMeasured], evidence: TapeEvidence) -> RunResult:
    """Return the result of what `evidence` has of the run."""
    asked, totals = evidence.asked, evidence.measured.totals
    vms = evidence.measured.intake.vms
    iterations = [
        dataclasses.replace(
            one,
            trust=judge_trust(trust_evidence(evidence, totals, Loop.PACED, (one.index,))),
            targets=_with_counters(one.targets, vms.counters(one.index)),
            namespaces=evidence.measured.intake.namespaces.rows(one.index),
        )
        for one in _iterations(evidence, totals)
    ]
    # A window that was cut short does not count, so the complete windows are not affected.
    judged = [one for one in iterations if one.complete] or iterations
    result = judge_run(
        iterations,
        worst_of_windows({one.index: one.trust for one in judged if one.trust is not None}),
        requested_connections=asked.connections,
        planned_iterations=played.header.plan.phases.iterations,
        interrupted=played.interrupted,
        lost=lost_workers(evidence),
        fairness=fairness_of(evidence, totals),
        early=evidence.measured.early,
        notes=(
            *played.notes,
            *say_statuses(asked.targets, totals.cells),
            *say_seen(evidence.measured.intake.shown, asked.targets, totals.cells),
        ),
    )
    return dataclasses.replace(result, canary=canary_rows(evidence))


def _with_counters(targets: Sequence[TargetResult], counters: Sequence[VmCounters | None]) -> tuple[TargetResult, ...]:
    """Return the targets with the counters of each."""
    return tuple(dataclasses.replace(one, counters=read) for one, read in zip(targets, counters, strict=True))


def _say_lateness(late: Histogram, evidence: TapeEvidence) -> list[str]:
    """Return a note when single requests missed their bound by the load generator's lateness alone; usually none.

    It does not matter for the score, which counts the time of all operations of a connection.
    """
    if evidence.timings is None:
        return []
    share = cost_of(late, evidence.timings, evidence.line_bps, evidence.asked.bound).out_share
    if share <= _OUT_THAT_MATTERS:
        return []
    return [f"lateness of the load generator alone takes {share:.1%} of the requests out of their bound (in bound)"]


def _checks(result: RunResult) -> dict[str, Check]:
    """Return the checks of a result by name: of the servers in its worst iteration, and of the load generator."""
    servers = {one.index: Trust(checks=one.checks) for one in result.iterations if one.complete}
    return {check.name: check for check in (*worst_of_windows(servers).checks, *result.trust.checks)}


def _iterations(run: TapeEvidence, totals: Totals) -> list[IterationResult]:
    measured, asked = run.measured, run.asked
    return [
        judge_iteration(
            window,
            totals,
            asked,
            measured_ns=measured_ns,
            complete=window in measured.complete,
            lost=lost_connections(run, window, totals),
            more_checks=[measured.log_checks[window]] if window in measured.log_checks else [],
        )
        for window, measured_ns in sorted(measured.measured_ns.items())
        if measured_ns > 0
    ]
