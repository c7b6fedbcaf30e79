"""The planner of `loadgen paper`: which experiment is next, and what its record keeps of each."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from coordinator.experiment.api import Answer, Next, StepPlayed
from coordinator.experiment.paper import Paper
from coordinator.experiment.paper_steps import step_of
from coordinator.experiment.resume import resumable
from coordinator.output.judged import Judged
from coordinator.output.terminal.paper_report import print_paper
from coordinator.record.document import finished, result_of, unfinished
from loadgen.model.errors import PlanError
from loadgen.model.paper import STEPS, Experiment, PaperPlan, Profile, parse_experiments
from loadgen.model.units import NS_PER_S
from loadgen.verdict.paper import PaperResult, PaperStep, State
from loadgen.verdict.paper_figures import PARTS
from loadgen.verdict.result import Verdict
from tests.support import papers
from tests.support.judged import END, judged

PROFILES = [PaperPlan(profile=profile, steps=STEPS[profile], vm_driver="ns") for profile in Profile]


def test_each_experiment_is_played_once_in_its_own_directory() -> None:
    done = papers.play(papers.GOOD)
    assert [one.path.name for one in done] == [one.value for one in STEPS[Profile.QUICK]]
    assert isinstance(Paper(papers.PLAN).plan(done), Answer)


def test_the_experiments_keep_their_order_whatever_the_order_in_which_they_were_asked_for() -> None:
    plan = dataclasses.replace(papers.PLAN, steps=(Experiment.PACK, Experiment.SPEC))
    assert [one.path.name for one in papers.play(papers.GOOD, plan)] == ["spec", "pack"]


def test_an_experiment_that_this_machine_cannot_play_is_named_and_the_others_go_on() -> None:
    result = papers.result()
    found = {step.experiment: step for step in result.steps}
    assert len(found) == len(papers.PLAN.steps)
    assert found[Experiment.SPEC_OCI].state is State.NOT_HERE
    assert found[Experiment.SPEC_OCI].reasons == (papers.NO_ENGINE.message, papers.NO_ENGINE.hint)
    assert result.verdict is Verdict.CONFORMING  # it says nothing about the others
    assert f"spec-oci cannot be played here: {papers.NO_ENGINE.message}" in result.reasons


def test_an_experiment_that_fails_ends_nothing_and_is_no_good_result() -> None:
    result = papers.result({**papers.GOOD, Experiment.COMPILE: papers.LATE})
    assert [step.state for step in result.steps if step.experiment is Experiment.COMPILE] == [State.FAILED]
    assert len(result.steps) == len(papers.PLAN.steps)
    assert result.verdict is Verdict.INVALID
    assert f"compile failed: {papers.LATE.message}" in result.reasons


def test_an_experiment_that_fails_late_shows_what_it_had_measured() -> None:
    """A relative experiment, for example, whose fourth round fails has a record of three rounds."""
    step: Any = StepPlayed(result=papers.micro(), took_ns=NS_PER_S, failed=papers.LATE)
    whole = papers.result({**papers.GOOD, Experiment.MICRO: papers.micro()})
    plan = dataclasses.replace(papers.PLAN, steps=(Experiment.MICRO,))
    one = Judged(path=Path("rec/micro"), document={}, header=papers.header(), result=step)
    found = Paper(plan).answer((one,)).result
    assert isinstance(found, PaperResult)
    (failed,) = found.steps
    assert (failed.state, failed.record, failed.verdict) == (State.FAILED, "micro", None)
    assert failed.ours
    assert [failed.ours] == [step.ours for step in whole.steps if step.experiment is Experiment.MICRO]
    file = io.StringIO()
    print_paper(Console(file=file, width=80), judged(papers.header(plan), found, path=Path("rec")))
    assert "FAILED, took 0:01; its record: rec/micro" in file.getvalue()
    assert "ns, page fault" in file.getvalue()


def test_the_worst_verdict_counts() -> None:
    assert papers.result(papers.BAD).exit_code == 3
    assert papers.result(papers.INTERRUPTED).exit_code == 130
    nothing = dict.fromkeys(papers.PLAN.steps, papers.NO_DBENCH)
    assert papers.result(nothing).verdict is Verdict.INVALID  # nothing at all was measured


def test_an_experiment_that_the_user_stopped_ends_the_whole_and_shows_no_numbers() -> None:
    done = papers.play(papers.INTERRUPTED)
    answer = Paper(papers.PLAN).plan(done)
    assert isinstance(answer, Answer)
    assert isinstance(answer.result, PaperResult)
    assert answer.result.verdict is Verdict.INTERRUPTED
    assert [step.ours for step in answer.result.steps if step.interrupted] == [()]


@pytest.mark.parametrize("plan", PROFILES, ids=lambda plan: plan.profile.value)
def test_equal_plans_have_equal_steps(plan: PaperPlan) -> None:
    """Only then does a resumed experiment find its own records again."""
    again = PaperPlan.from_dict(plan.to_dict())
    assert again == plan
    for one in plan.steps:
        assert step_of(plan, one) == step_of(again, one)
        assert step_of(plan, one).about_ns > 0


def test_the_quick_experiments_fit_into_twenty_minutes() -> None:
    quick, full = (Paper(plan).progress(()).left_ns / NS_PER_S for plan in PROFILES)
    assert quick < 16 * 60 < full  # the rest is for what the plans do not know: to start and end VMs


def test_the_time_left_shrinks_with_each_experiment() -> None:
    done = papers.play(papers.GOOD)
    left = [Paper(papers.PLAN).progress(done[:count]).left_ns for count in range(len(done) + 1)]
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0


def test_commands_are_compared_in_the_environments_of_the_plan() -> None:
    plan = dataclasses.replace(papers.PLAN, environments=("bare", "ns", "oci"))
    two, three = (step_of(one, Experiment.DBENCH) for one in (papers.PLAN, plan))
    assert three.planner.shown.environments == ("bare", "ns", "oci")
    assert three.about_ns * 2 == two.about_ns * 3
    with pytest.raises(PlanError, match="given twice: ns, ns"):
        dataclasses.replace(papers.PLAN, environments=("ns", "ns"))


def test_a_peer_on_another_machine_takes_the_place_of_the_lab() -> None:
    plan = dataclasses.replace(papers.PLAN, peer="192.0.2.7", peer_port=5202)
    planner = step_of(plan, Experiment.TCP).planner
    assert (planner.runs, planner.shown.host, planner.shown.port) == ("iperf", "192.0.2.7", 5202)


def test_every_experiment_has_its_place_in_the_paper() -> None:
    assert set(PARTS) == set(Experiment)
    assert all(part.source and part.method and part.differs for part in PARTS.values())


@pytest.mark.parametrize("text", ["", "figure-4", "spec,", "spec,spec"])
def test_wrong_experiments_are_refused(text: str) -> None:
    with pytest.raises(PlanError):
        PaperPlan(steps=parse_experiments(text))


def test_a_plan_without_experiments_is_refused() -> None:
    with pytest.raises(PlanError, match="no experiment to play"):
        PaperPlan(steps=())


def written(directory: Path, found: dict[Experiment, Any], *, ended: bool = False) -> PaperResult:
    result = papers.result(found)
    header = papers.header()
    document = finished(header, result, finished_at=END) if ended else unfinished(header, result)
    (directory / "run.json").write_text(json.dumps(document))
    assert result_of(document) == result  # nothing is lost in the record
    return result


def test_a_resumed_paper_plays_what_is_missing_and_what_could_not_be_played(tmp_path: Path) -> None:
    written(tmp_path, papers.INTERRUPTED, ended=True)
    found = resumable(tmp_path)
    assert [one.path for one in found.done] == [tmp_path / "spec"]
    step = found.experiment.plan(found.done)
    assert isinstance(step, Next)
    assert step.record == "spec-oci"  # podman may have been installed meanwhile
    after = found.experiment.plan((*found.done, papers.played(step, papers.NO_ENGINE)))
    assert isinstance(after, Next)
    assert after.record == "tcp"


def test_a_resumed_paper_keeps_what_was_played(tmp_path: Path) -> None:
    result = written(tmp_path, papers.BAD)
    found = resumable(tmp_path)
    kept: list[PaperStep] = [one.result for one in found.done]
    assert kept == [step for step in result.steps if step.state is State.PLAYED]


def test_a_paper_whose_experiments_are_all_over_is_not_resumed(tmp_path: Path) -> None:
    written(tmp_path, {**papers.GOOD, Experiment.SPEC_OCI: papers.sweep(), Experiment.DBENCH: papers.micro()})
    with pytest.raises(PlanError, match="nothing is left to play"):
        resumable(tmp_path)


def test_vms_have_addresses_of_their_own_where_the_driver_gives_them() -> None:
    """In the driver ns, Apache cannot serve at a published port."""
    for driver, address in (("ns", "198.18.0.0/16"), ("local", "127.0.0.1")):
        plan = dataclasses.replace(papers.PLAN, vm_driver=driver)
        for one in (Experiment.SPEC, Experiment.PACK, Experiment.CAPACITY):
            assert step_of(plan, one).planner.shown.vm_address == address
