"""The verdict of a `loadgen spec` run: median iteration, and the reasons behind the verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.model.emulated import EMULATED_VMS
from loadgen.model.units import number
from loadgen.verdict.fair_result import Fairness
from loadgen.verdict.result import Check, IterationResult, RunResult, TargetResult, Trust, Verdict
from loadgen.verdict.tcp_result import without_blame
from loadgen.verdict.vm_counters import VmCounters

_NEEDS = {
    "<=": ("at most", "allowed"),
    "<": ("less than", "allowed"),
    ">=": ("at least", "needed"),
    ">": ("more than", "needed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LostWorker:
    """One worker, or all workers of a machine, that stopped reporting `lost_s` seconds into the run.

    `who`: its name, as the beginning of a sentence.  `connections`: how many it played.  `where`: the targets that lost
    these connections, as a phrase.
    """

    who: str
    connections: int
    lost_s: float
    where: str = ""


def median_iteration(iterations: Sequence[IterationResult]) -> int:
    """The index of the median iteration by conforming connections, ties by operations per second; -1 without any.

    This is SPECweb99's rule.  Of an even number, it is the lower one in the middle.  Iterations that were cut short
    count only when none is complete.
    """
    chosen = [i for i, one in enumerate(iterations) if one.complete] or list(range(len(iterations)))
    chosen.sort(key=lambda i: (iterations[i].conforming or 0, iterations[i].ops_per_s))
    return chosen[(len(chosen) - 1) // 2] if chosen else -1


def judge_run(
    iterations: Sequence[IterationResult],
    trust: Trust,
    *,
    requested_connections: int,
    planned_iterations: int,
    interrupted: bool = False,
    lost: Sequence[LostWorker] = (),
    notes: Sequence[str] = (),
    fairness: Fairness | None = None,
    early: str = "",
) -> RunResult:
    """The result with its verdict: the first verdict in this list that applies; the reasons name all that apply.

    1. INTERRUPTED: the user stopped the run.  2. INVALID: a trust check fails, or a window is missing although no
    worker was lost.  3. DEGRADED: a worker was lost.  4. NOT_CONFORMING: a check of a complete iteration fails, or the
    run was stopped because one will fail whatever follows: `early` says which.  5. CONFORMING.

    A run that is INVALID, or whose trust checks fail, has no score: see :func:`without_score`.  `fairness` does not
    change the verdict.
    """
    complete = [one for one in iterations if one.complete]
    median = median_iteration(iterations)
    reasons: list[tuple[Verdict, str]] = []
    if interrupted:
        reasons.append((Verdict.INTERRUPTED, _interrupted(len(complete), planned_iterations)))
    reasons += [(Verdict.INVALID, _untrusted(c)) for c in trust.checks if not c.ok]
    missing = not interrupted and not early and len(complete) < planned_iterations
    if missing and not lost:
        reasons.append((Verdict.INVALID, _missing(len(complete), planned_iterations)))
    reasons += [(Verdict.DEGRADED, say_lost(one, requested_connections)) for one in lost]
    if missing and lost:
        reasons.append((Verdict.DEGRADED, _missing(len(complete), planned_iterations)))
    if trust.valid and not any(verdict is Verdict.INVALID for verdict, _ in reasons):
        if early:
            reasons.append((Verdict.NOT_CONFORMING, say_early(early, iterations[-1].measured_s)))
        reasons += [
            (Verdict.NOT_CONFORMING, f"Iteration {one.index + 1}: {say_failed(check)}.")
            for one in complete
            for check in one.checks
            if not check.ok
        ]
    if not reasons or (interrupted and complete and all(verdict is Verdict.INTERRUPTED for verdict, _ in reasons)):
        reasons.append((Verdict.CONFORMING, _conforming(complete, iterations[median])))
    result = RunResult(
        verdict=reasons[0][0],
        reasons=tuple(text for _, text in reasons),
        requested_connections=requested_connections,
        conforming_connections=iterations[median].conforming if iterations else 0,
        median=median,
        iterations=tuple(iterations),
        targets=iterations[median].targets if iterations else (),
        trust=trust,
        fairness=fairness,
        notes=tuple(notes),
        stopped_early=early,
    )
    return result if result.has_score else without_score(result)


def without_score(result: RunResult) -> RunResult:
    """The result without any number that looks like a score: conforming counts, checks of the servers, fairness.

    Rates and times stay: they are evidence on what happened, and no rule turns them into a verdict.
    """
    return dataclasses.replace(
        result,
        conforming_connections=None,
        fairness=None,
        margin=None,
        iterations=tuple(
            dataclasses.replace(
                one,
                conforming=None,
                requests_conforming=None,
                checks=(),
                fairness=None,
                targets=_without_counts(one.targets),
                tcp=without_blame(one.tcp),
            )
            for one in result.iterations
        ),
        targets=_without_counts(result.targets),
    )


def _without_counts(targets: Sequence[TargetResult]) -> tuple[TargetResult, ...]:
    return tuple(
        dataclasses.replace(
            one,
            conforming=None,
            requests_conforming=None,
            counters=_without_blame(one.counters),
            tcp=without_blame(one.tcp),
        )
        for one in targets
    )


def _without_blame(counters: VmCounters | None) -> VmCounters | None:
    """The numbers only: without a score, nothing held the VM."""
    return None if counters is None else dataclasses.replace(counters, held=())


def _missing(complete: int, planned: int) -> str:
    return f"Only {complete} of {planned} iterations were complete."


def say_failed(check: Check) -> str:
    """The value and limit of a failed check, as part of a sentence."""
    need, verb = _NEEDS[check.relation]
    unit = f" {check.unit}" if check.unit else ""
    text = f"{check.name} {number(check.value)}{unit}, but {need} {number(check.limit)}{unit} is {verb}"
    return f"{text} ({check.detail})" if check.detail else text


def _untrusted(check: Check) -> str:
    if check.name == EMULATED_VMS:
        return f"VMs: {check.detail}."
    return f"Load generator: {say_failed(check)}."


def _interrupted(complete: int, planned: int) -> str:
    if not complete:
        return f"The run was interrupted before the first of {planned} iterations was complete."
    return f"The run was interrupted after {complete} of {planned} iterations."


def say_lost(one: LostWorker, requested: int) -> str:
    """A sentence about a lost worker and its share of the `requested` connections."""
    share = 100 * one.connections / requested
    return (
        f"{one.who} was lost {one.lost_s:.0f} s into the run, and with it "
        f"{one.connections:,} of {requested:,} connections ({share:.1f} %)" + (f": {one.where}." if one.where else ".")
    )


def say_early(why: str, measured_s: float) -> str:
    """A sentence about a run that was stopped `measured_s` into a window, because of `why`."""
    return f"Stopped after {measured_s:.3g} s of the window, because the rest could not change the verdict: {why}."


def _conforming(complete: Sequence[IterationResult], median: IterationResult) -> str:
    share = 100 * (median.conforming or 0) / median.requested
    count = f"{median.conforming or 0:,} of {median.requested:,} connections ({share:.1f} %)"
    if len(complete) == 1:
        return f"The iteration conformed: {count}."
    return f"All {len(complete)} complete iterations conformed; in the median {count}."
