"""Planners are pure, and the executor plays the runs that they plan."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from coordinator.experiment.api import Answer, Done, Experiment, Next
from coordinator.experiment.executor import Outcome, execute
from coordinator.experiment.headroom import CheckHeadroom
from coordinator.experiment.once import Once
from coordinator.experiment.repeat import Repeat
from coordinator.experiment.sweep import VmSweep
from coordinator.fleet.choice import FleetChoice
from coordinator.output.judged import Judged
from coordinator.record.document import unfinished
from coordinator.record.sweep_result import Sweep
from loadgen.model.errors import ExitCode, FleetError, TargetError
from loadgen.model.plan import SpecPlan
from loadgen.model.target import Target
from loadgen.verdict.result import RunResult, Verdict
from tests.support.results import header, run_result, sweep_header
from tests.support.toy_experiment import UntilConforming

PLAN = SpecPlan(connections=4)
TARGETS = tuple(Target(name=f"t{n}", host="192.0.2.1", port=8000 + n) for n in range(4))


EXPERIMENTS: tuple[Experiment[SpecPlan], ...] = (
    Once("spec", PLAN),
    VmSweep(PLAN, (1, 2, 3)),
    Repeat(PLAN, 3),
    UntilConforming(PLAN, most=3),
    CheckHeadroom(PLAN, FleetChoice()),
)
"""One of each class."""


def judged(step: Next[SpecPlan], verdict: Verdict = Verdict.CONFORMING) -> Judged[SpecPlan, RunResult]:
    found = dataclasses.replace(header(), plan=step.plan)
    result = dataclasses.replace(run_result(), verdict=verdict)
    return Judged(path=Path(step.record), document={}, header=found, result=result)


class Played:
    """Plays nothing: gives each run the next verdict, or fails to start it."""

    def __init__(self, verdicts: Sequence[Verdict | Exception]) -> None:
        self._verdicts = list(verdicts)
        self.steps: list[Next[SpecPlan]] = []
        self.said: list[str] = []
        self.noted: list[int] = []

    async def play(self, step: Next[SpecPlan]) -> Judged[Any, Any]:
        self.steps.append(step)
        verdict = self._verdicts.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        return judged(step, verdict)

    def execute(self, experiment: Experiment[SpecPlan], done: Done = ()) -> Outcome:
        return asyncio.run(
            execute(
                experiment,
                play=self.play,
                say=self.said.append,
                on_done=lambda over: self.noted.append(len(over)),
                done=done,
            )
        )


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda one: type(one).__name__)
def test_an_experiment_ends_with_the_run_that_the_user_interrupted(experiment: Experiment[SpecPlan]) -> None:
    played = Played([Verdict.INTERRUPTED])
    assert played.execute(experiment).answer.result.verdict is Verdict.INTERRUPTED


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda one: type(one).__name__)
def test_an_experiment_keeps_no_state(experiment: Experiment[SpecPlan]) -> None:
    first = experiment.plan(())
    assert isinstance(first, Next)
    done = (judged(first, Verdict.NOT_CONFORMING),)
    assert experiment.plan(done) == experiment.plan(list(done))
    assert experiment.plan(()) == first


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda one: type(one).__name__)
def test_each_run_of_an_experiment_has_a_directory_of_its_own(experiment: Experiment[SpecPlan]) -> None:
    played = Played([Verdict.NOT_CONFORMING] * 3)
    played.execute(experiment)
    records = [step.record for step in played.steps]
    assert len(set(records)) == len(records)
    assert all(records) or len(records) == 1


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda one: type(one).__name__)
def test_an_experiment_with_a_record_of_its_own_can_fill_it_before_the_first_run(
    experiment: Experiment[SpecPlan],
) -> None:
    if experiment.kind != experiment.runs:
        own = dataclasses.replace(sweep_header(), kind=experiment.kind)
        assert unfinished(own, experiment.answer(()).result)["kind"] == experiment.kind


def test_a_single_run_is_its_own_answer_and_is_not_announced() -> None:
    played = Played([Verdict.NOT_CONFORMING])
    outcome = played.execute(Once("spec", PLAN))
    assert [(step.plan, step.record) for step in played.steps] == [(PLAN, "")]
    assert outcome.answer.result.verdict is Verdict.NOT_CONFORMING
    assert played.said == []


def test_a_sweep_plays_each_number_of_vms_once_and_shows_its_progress() -> None:
    played = Played([Verdict.CONFORMING, Verdict.NOT_CONFORMING, Verdict.CONFORMING])
    outcome = played.execute(VmSweep(PLAN, (1, 4, 16)))
    assert [(step.plan.vms, step.record) for step in played.steps] == [(1, "vms-1"), (4, "vms-4"), (16, "vms-16")]
    assert played.noted == [1, 2, 3]
    sweep = outcome.answer.result
    assert isinstance(sweep, Sweep)
    assert [point.vms for point in sweep.points] == [1, 4, 16]
    assert sweep.verdict is Verdict.NOT_CONFORMING  # the worst one
    assert played.said[0] == "— 1 VM (1 of 3), about 214s left —"
    assert played.said[2] == "— 16 VMs (3 of 3), about 72s left —"


def test_a_sweep_over_targets_uses_the_first_targets_for_each_point() -> None:
    sweep = VmSweep(dataclasses.replace(PLAN, vms=4, targets=TARGETS), (2, 4))
    first = sweep.plan(())
    assert isinstance(first, Next)
    assert first.plan.targets == TARGETS[:2]
    assert sweep.shown.targets == TARGETS


def test_an_interrupted_point_ends_the_sweep() -> None:
    played = Played([Verdict.CONFORMING, Verdict.INTERRUPTED])
    outcome = played.execute(VmSweep(PLAN, (1, 2, 3)))
    assert len(played.steps) == 2
    assert outcome.answer.result.verdict is Verdict.INTERRUPTED


def test_after_a_point_that_cannot_start_the_answer_has_the_earlier_points() -> None:
    failure = TargetError("no more ports")
    outcome = Played([Verdict.CONFORMING, failure]).execute(VmSweep(PLAN, (1, 2)))
    assert outcome.failed is failure
    assert len(outcome.done) == 1
    with pytest.raises(TargetError, match="no more ports"):
        Played([failure]).execute(VmSweep(PLAN, (1, 2)))


def test_a_bug_in_a_later_run_is_shown_and_costs_no_result() -> None:
    played = Played([Verdict.CONFORMING, ZeroDivisionError("of ours")])
    outcome = played.execute(VmSweep(PLAN, (1, 2)))
    assert isinstance(outcome.answer.result, Sweep)
    assert [point.vms for point in outcome.answer.result.points] == [1]
    assert outcome.failed is not None
    assert outcome.failed.exit_code is ExitCode.INTERNAL
    assert "ZeroDivisionError: of ours" in played.said[-1]

    outcome = Played([Verdict.CONFORMING, MemoryError()]).execute(VmSweep(PLAN, (1, 2)))
    assert isinstance(outcome.failed, FleetError)
    with pytest.raises(ZeroDivisionError):
        Played([ZeroDivisionError()]).execute(VmSweep(PLAN, (1, 2)))


def test_a_resumed_sweep_plays_only_the_missing_points() -> None:
    sweep = VmSweep(PLAN, (1, 2, 3))
    first = sweep.plan(())
    assert isinstance(first, Next)
    played = Played([Verdict.CONFORMING, Verdict.CONFORMING])
    outcome = played.execute(sweep, done=(judged(first),))
    assert [step.plan.vms for step in played.steps] == [2, 3]
    assert len(outcome.done) == 3


def test_the_toy_experiment_repeats_a_run_until_it_conforms() -> None:
    played = Played([Verdict.NOT_CONFORMING, Verdict.INVALID, Verdict.CONFORMING, Verdict.CONFORMING])
    assert played.execute(UntilConforming(PLAN, most=5)).answer.result.verdict is Verdict.CONFORMING
    assert [step.record for step in played.steps] == ["try-1", "try-2", "try-3"]
    assert Played([Verdict.INVALID] * 2).execute(UntilConforming(PLAN, most=2)).answer.result.verdict is Verdict.INVALID


@given(
    st.lists(st.integers(1, 64), min_size=1, max_size=6, unique=True).map(sorted),
    st.lists(st.sampled_from(list(Verdict)), min_size=6, max_size=6),
)
def test_a_resumed_sweep_plans_the_same_runs(vms: list[int], verdicts: list[Verdict]) -> None:
    """A planner keeps no state: a new planner with the same results continues with the same run."""
    done: list[Judged[Any, Any]] = []
    while True:
        step, again = VmSweep(PLAN, tuple(vms)).plan(done), VmSweep(PLAN, tuple(vms)).plan(tuple(done))
        assert step == again
        if isinstance(step, Answer):
            break
        assert step.plan.vms == vms[len(done)]
        done.append(judged(step, verdicts[len(done)]))
    assert len(done) == len(vms) or done[-1].result.verdict is Verdict.INTERRUPTED
