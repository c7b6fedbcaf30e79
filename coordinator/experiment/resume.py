"""Continues a stopped experiment from its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.experiment.api import Answer, Done, Experiment
from coordinator.experiment.find import FindCapacity
from coordinator.experiment.interleave import Interleave
from coordinator.experiment.paper import Paper
from coordinator.experiment.relative import Relative, record_of
from coordinator.experiment.repeat import Repeat
from coordinator.experiment.sweep import VmSweep
from coordinator.kinds.catalog import judges
from coordinator.output.judged import Judged, read_judged
from coordinator.record.find_result import Find
from coordinator.record.header import RecordError
from coordinator.record.interleaved_result import Interleaved
from coordinator.record.kinds import (
    KIND_HTTP_COMPARE,
    KIND_HTTP_FIND,
    KIND_HTTP_REPEATS,
    KIND_PAPER,
    KIND_RELATIVE,
    KIND_ROUND,
    KIND_SPEC_COMPARE,
    KIND_SPEC_FIND,
    KIND_SPEC_REPEATS,
    KIND_SWEEP,
)
from coordinator.record.reader import Record, load
from coordinator.record.sweep_result import Sweep
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_secrets import hidden
from loadgen.model.secrets import MASK
from loadgen.verdict.paper import PaperResult
from loadgen.verdict.relative import judge_round
from loadgen.verdict.relative_result import RelativeResult
from loadgen.verdict.repeats import OneOfMany, Repeats
from loadgen.verdict.result import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumable:
    """An experiment read from its record, and the runs that are not played again."""

    record: Record
    experiment: Experiment[Any]
    done: Done


def resumable(path: Path) -> Resumable:
    """Read the experiment whose record is in the directory `path`.

    Raises RecordError when there is no such record, and PlanError when nothing is left to play, the record is that of
    a single run, or secrets of its plan are masked.
    """
    record = load(path)
    if record.is_of_runs and record.header.kind not in _RESTORE:
        raise PlanError(
            f"{path} is a check of headroom; only several runs can be continued",
            hint=f"repeat it: loadgen {record.header.kind.partition('-')[0]} --check-headroom --replay {path / 'run'}",
        )
    if record.header.kind not in _RESTORE:
        raise PlanError(
            f"{path} is one run of loadgen {record.header.kind}; only an experiment of several runs can be continued",
            hint=f"repeat it: loadgen {record.header.kind} --replay {path}"
            if record.header.kind != KIND_ROUND
            else f"continue the comparison: loadgen resume {path.resolve().parent}",
        )
    found = _RESTORE[record.header.kind](record)
    step = found.experiment.plan(found.done)
    if isinstance(step, Answer):
        raise PlanError(f"all runs of {path} are done; nothing is left to play", hint=f"show it: loadgen show {path}")
    plans = found.experiment.plans if isinstance(found.experiment, Interleave) else (step.plan,)
    if parts := {part: None for plan in plans if isinstance(plan, HttpPlan) for part in hidden(plan)}:
        raise PlanError(
            f"{path} cannot be continued: its record does not hold the secrets of the plan (they are {MASK}): "
            f"{', '.join(parts)}",
            hint="play it from the start; with --record-secrets, its record keeps them and can be continued",
        )
    return found


def _sweep(record: Record) -> Resumable:
    """Points that the user interrupted are played again."""
    sweep: Sweep = record.result()
    header = record.header
    if header.plan.targets and len(header.plan.targets) < max(sweep.vms):
        raise PlanError(
            f"{record.path} was written by version 0.1.0, which did not record the targets of the last point",
            hint="play the sweep again with --targets",
        )
    kept = [point for point in sweep.points if point.result.verdict is not Verdict.INTERRUPTED]
    done = tuple(
        Judged(path=record.path / point.record, document={}, header=point.header, result=point.result) for point in kept
    )
    return Resumable(record=record, experiment=VmSweep(header.plan, sweep.vms), done=done)


def _relative(record: Record) -> Resumable:
    """Rounds that the user interrupted are played again."""
    result: RelativeResult = record.result()
    header = record.header
    done = tuple(
        Judged(
            path=record.path / record_of(one.number),
            document={},
            header=dataclasses.replace(header, kind=KIND_ROUND, plan=header.plan.only(one.number)),
            result=judge_round(one, interrupted=False),
        )
        for one in result.rounds
        if one.complete
    )
    return Resumable(record=record, experiment=Relative(header.plan), done=done)


def _find(record: Record) -> Resumable:
    """Of runs that are over, the search needs only what its own record keeps of them."""
    find: Find = record.result()
    header = record.header
    done = tuple(
        Judged(path=record.path / step.record, document={}, header=header, result=step)
        for step in find.steps
        if step.verdict is not Verdict.INTERRUPTED
    )
    return Resumable(record=record, experiment=FindCapacity(header.plan, find.wanted, find.search), done=done)


def _paper(record: Record) -> Resumable:
    """Experiments that were not played to their end are tried again; each continues its own record."""
    result: PaperResult = record.result()
    over: list[Any] = [step for step in result.steps if step.is_over]
    done = tuple(
        Judged(path=record.path / step.record, document={}, header=record.header, result=step) for step in over
    )
    return Resumable(record=record, experiment=Paper(record.header.plan), done=done)


def _repeats(record: Record) -> Resumable:
    repeats: Repeats = record.result()
    experiment = Repeat(record.header.plan, repeats.asked)
    return Resumable(record=record, experiment=experiment, done=_over(record, repeats.runs))


def _interleaved(record: Record) -> Resumable:
    found: Interleaved = record.result()
    experiment = Interleave(plans=found.plans, files=found.files, rounds=found.rounds, limits=found.limits)
    done = tuple(dataclasses.replace(one, document=_environment(one.path)) for one in _over(record, found.runs))
    return Resumable(record=record, experiment=experiment, done=done)


def _environment(path: Path) -> dict[str, Any]:
    """The part of a run's document that the comparison needs, from its own record; {} when that cannot be read."""
    try:
        return {"environment": load(path).document["environment"]}
    except RecordError:
        return {}


def _over(record: Record, runs: Sequence[OneOfMany]) -> Done:
    """The runs that the user did not interrupt, as the experiment's own record keeps them."""
    return tuple(
        Judged(path=record.path / run.record, document={}, header=record.header, result=run)
        for run in runs
        if run.verdict is not Verdict.INTERRUPTED
    )


_RESTORE: dict[str, Callable[[Record], Resumable]] = {
    KIND_SWEEP: _sweep,
    KIND_SPEC_FIND: _find,
    KIND_HTTP_FIND: _find,
    KIND_RELATIVE: _relative,
    KIND_PAPER: _paper,
    KIND_SPEC_REPEATS: _repeats,
    KIND_HTTP_REPEATS: _repeats,
    KIND_SPEC_COMPARE: _interleaved,
    KIND_HTTP_COMPARE: _interleaved,
}
"""By the kind of the experiment's record.  An experiment that can be resumed is one entry."""


def how_to_continue(kind: str, path: Path) -> str:
    """The command that continues an experiment of this kind, whose record is in `path`; "" when there is none."""
    return f"loadgen resume {path}" if kind in _RESTORE else ""


def set_aside(record: Path) -> Path:
    """Rename the record of an unfinished run, so that the run can be played again.  Returns the new path."""
    number = 1
    while (kept := record.with_name(f"{record.name}.cut-{number}")).exists():
        number += 1
    return record.rename(kept)


def begun_in(own: Path, planner: Experiment[Any]) -> Resumable | None:
    """The part of an experiment that the record in `own` has already; None for nothing that can be used again."""
    try:
        found = resumable(own)
    except (PlanError, RecordError):
        return None
    return found if found.experiment == planner else None


def finished_in(own: Path, planner: Experiment[Any]) -> Judged[Any, Any] | None:
    """The result of an experiment whose whole record is in `own`; None when it is not whole, or not there."""
    try:
        judged = read_judged(own, judges())
    except RecordError:
        return None
    same = judged.header.kind == planner.kind and judged.header.plan == planner.shown
    return judged if same and not judged.cut and judged.result.verdict is not Verdict.INTERRUPTED else None
