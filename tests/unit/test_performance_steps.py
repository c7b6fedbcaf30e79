"""Experiments that consist of experiments: each step has its own record, is continued from it, and may fail alone."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.experiment import performance
from coordinator.experiment.api import Answer, Done, Experiment
from coordinator.experiment.executor import Outcome
from coordinator.experiment.paper import Paper
from coordinator.experiment.paper_steps import step_of
from coordinator.experiment.performance import Session, Surroundings, perform
from coordinator.experiment.resume import resumable
from coordinator.output.judged import Judged
from coordinator.record.document import finished, unfinished
from coordinator.record.sweep_result import Sweep
from coordinator.run.interrupts import NothingMeasuredError
from loadgen.model.errors import LoadgenError
from loadgen.model.paper import Experiment as Name
from loadgen.verdict.paper import PaperResult, State
from tests.support import packs, papers, results
from tests.support.judged import END

PLAN = dataclasses.replace(papers.PLAN, steps=(Name.SPEC, Name.PACK, Name.DBENCH))


class Played:
    """Plays no step: writes its record and gives its result in `found`, or raises its error.

    `calls` has by step the finished runs with which it was begun.
    """

    def __init__(self) -> None:
        self.found: dict[Name, Any] = {}
        self.calls: dict[str, list[Done]] = {}
        self.said: list[str] = []

    def give(self, found: dict[Name, Any]) -> None:
        self.found = found
        self.calls.clear()
        self.said.clear()

    async def perform(
        self, session: Session, directory: Path, inside: Surroundings
    ) -> tuple[Judged[Any, Any], Outcome]:
        self.calls.setdefault(directory.name, []).append(session.done)
        found = self.found[Name(directory.name)]
        if isinstance(found, Exception):
            raise found
        judged = written(session.experiment, directory, found)
        return judged, Outcome(done=(), answer=Answer(found))

    def play(self, directory: Path, **more: Any) -> tuple[PaperResult, LoadgenError | None]:
        session = Session(experiment=Paper(PLAN), fleet=None, command_line=("loadgen", "paper"), **more)
        judged, outcome = asyncio.run(perform(session, directory, _inside(self)))
        assert json.loads((directory / "run.json").read_text())["verdict"] == judged.document["verdict"]
        return judged.result, outcome.failed

    def resume(self, directory: Path) -> PaperResult:
        """Continue a paper whose own record knows of no step, as when it was killed in the first."""
        directory.mkdir(exist_ok=True)
        begun = unfinished(papers.header(PLAN), PaperResult(asked=PLAN.in_order))
        (directory / "run.json").write_text(json.dumps(begun))
        found = resumable(directory)
        result, _ = self.play(directory, resumed=found.record.header, done=found.done)
        return result


def _inside(played: Played) -> Surroundings:
    def unused(_: object) -> Any:
        raise AssertionError("no run is played")

    return Surroundings(around=unused, during=unused, say=played.said.append)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    found = Played()
    monkeypatch.setattr(performance, "perform", found.perform)  # of the steps only: the tests call the real one
    return found


def written(experiment: Experiment[Any], directory: Path, result: Any) -> Judged[Any, Any]:
    """The record of a step that is whole; without a result, of one that was cut."""
    header = dataclasses.replace(
        results.sweep_header() if isinstance(result, Sweep) else packs.header(), plan=experiment.shown
    )
    document = finished(header, result, finished_at=END) if result else unfinished(header)
    directory.mkdir(exist_ok=True, parents=True)
    (directory / "run.json").write_text(json.dumps(document))
    return Judged(path=directory, document=document, header=header, result=result)


def test_each_step_is_tried_whatever_the_others_give(played: Played, tmp_path: Path) -> None:
    played.give({**papers.GOOD, Name.SPEC: papers.LATE})
    result, failed = played.play(tmp_path / "run")
    assert [step.state for step in result.steps] == [State.FAILED, State.PLAYED, State.NOT_HERE]
    assert failed is None
    assert played.said[0].startswith("— spec: SPECweb99-style load on 1, 4 and 16 web servers")
    assert "(1 of 3), about" in played.said[0]
    assert played.said[1] == f"spec: not played: {papers.LATE.message} (took 0:00)"
    assert played.said[3] == "pack: conforming (took 0:00)"


def test_a_bug_in_a_step_is_shown_and_costs_no_other_step(played: Played, tmp_path: Path) -> None:
    played.give({**papers.GOOD, Name.SPEC: ZeroDivisionError("of ours")})
    result, failed = played.play(tmp_path / "run")
    assert [step.state for step in result.steps] == [State.FAILED, State.PLAYED, State.NOT_HERE]
    assert failed is None
    assert played.said[1].startswith("Traceback (most recent call last):")
    assert played.said[1].endswith("ZeroDivisionError: of ours\n")
    assert played.said[2].startswith("spec: not played: this is a bug in loadgen")


def test_a_signal_before_the_traffic_of_a_step_ends_the_whole_which_can_be_resumed(
    played: Played, tmp_path: Path
) -> None:
    stop = NothingMeasuredError("interrupted before there was any traffic; nothing was measured")
    played.give({**papers.GOOD, Name.PACK: stop})
    result, failed = played.play(tmp_path / "run")
    assert failed is stop
    assert [step.experiment for step in result.steps] == [Name.SPEC]
    assert set(played.calls) == {"spec", "pack"}

    played.give(papers.GOOD)
    found = resumable(tmp_path / "run")
    result, failed = played.play(tmp_path / "run", resumed=found.record.header, done=found.done)
    assert [step.state for step in result.steps] == [State.PLAYED, State.PLAYED, State.NOT_HERE]
    assert set(played.calls) == {"pack", "dbench"}
    assert failed is None


def first(name: Name) -> Experiment[Any]:
    """The experiment of a step."""
    return step_of(PLAN, name).planner


def test_a_step_whose_record_is_whole_is_not_played_again(played: Played, tmp_path: Path) -> None:
    written(first(Name.PACK), tmp_path / "run" / "pack", papers.GOOD[Name.PACK])
    played.give(papers.GOOD)
    result = played.resume(tmp_path / "run")
    assert "pack" not in played.calls
    assert [step.state for step in result.steps] == [State.PLAYED, State.PLAYED, State.NOT_HERE]


def test_a_step_with_several_runs_goes_on_with_those_that_are_missing(played: Played, tmp_path: Path) -> None:
    sweep = first(Name.SPEC)
    points = tuple(
        dataclasses.replace(point, header=dataclasses.replace(point.header, plan=sweep.plan(()).plan))  # type: ignore[union-attr]
        for point in papers.sweep().points[:1]
    )
    own = tmp_path / "run" / "spec"
    own.mkdir(parents=True)
    header = dataclasses.replace(results.sweep_header(), plan=sweep.shown)
    (own / "run.json").write_text(json.dumps(unfinished(header, Sweep(vms=(1, 4, 16), points=points))))
    played.give(papers.GOOD)
    played.resume(tmp_path / "run")
    assert [[one.path.name for one in done] for done in played.calls["spec"]] == [["vms-1"]]


@pytest.mark.parametrize("other", [False, True], ids=["cut", "of another plan"])
def test_a_record_of_which_nothing_can_be_used_is_kept_aside(other: bool, played: Played, tmp_path: Path) -> None:
    pack = first(Name.PACK)
    if other:
        pack = dataclasses.replace(pack, shown=packs.PLAN)  # type: ignore[type-var]
    written(pack, tmp_path / "run" / "pack", papers.GOOD[Name.PACK] if other else None)
    played.give(papers.GOOD)
    played.resume(tmp_path / "run")
    assert played.calls["pack"] == [()]
    assert (tmp_path / "run" / "pack.cut-1").is_dir()
    assert any("pack.cut-1" in line for line in played.said)
