"""Experiments that consist of experiments: each step has its own record, is continued from it, and may fail alone."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from coordinator.experiment.api import Done, Experiment
from coordinator.experiment.director import Director, Outcome
from coordinator.experiment.paper import Paper
from coordinator.experiment.resume import resumable
from coordinator.output.judged import Judged
from coordinator.record.document import finished, unfinished
from coordinator.record.header import Header
from coordinator.record.sweep_result import Sweep
from coordinator.run.interrupts import Interrupts, NothingMeasuredError
from loadgen.model.errors import LoadgenError
from loadgen.model.paper import Experiment as Name
from loadgen.verdict.paper import PaperResult, State
from tests.support import packs, papers, results
from tests.support.judged import END

PLAN = dataclasses.replace(papers.PLAN, steps=(Name.SPEC, Name.PACK, Name.DBENCH))


class Played(Director):
    """Plays no step: writes its record and gives its result, or raises its error."""

    def give(self, found: dict[Name, Any]) -> dict[str, list[Done]]:
        """Set what the steps give, and return by step with which finished runs it was begun."""
        calls: dict[str, list[Done]] = {}
        object.__setattr__(self, "found", found)
        object.__setattr__(self, "calls", calls)
        return calls

    async def play(
        self, experiment: Experiment[Any], directory: Path, *, again: Header[Any] | None = None, done: Done = ()
    ) -> Outcome:
        if isinstance(experiment, Paper):
            return await super().play(experiment, directory, again=again, done=done)
        self.calls.setdefault(directory.name, []).append(done)  # type: ignore[attr-defined]
        found = self.found[Name(directory.name)]  # type: ignore[attr-defined]
        if isinstance(found, LoadgenError):
            raise found
        return written(experiment, directory, found), None


def written(experiment: Experiment[Any], directory: Path, result: Any) -> Judged[Any, Any]:
    """The record of a step that is whole; without a result, of one that was cut."""
    header = dataclasses.replace(
        results.sweep_header() if isinstance(result, Sweep) else packs.header(), plan=experiment.shown
    )
    document = finished(header, result, finished_at=END) if result else unfinished(header)
    directory.mkdir(exist_ok=True, parents=True)
    (directory / "run.json").write_text(json.dumps(document))
    return Judged(path=directory, document=document, header=header, result=result)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def director(tmp_path: Path, said: list[str]) -> Played:
    return Played(
        fleet=None,
        command_line=("loadgen", "paper"),
        interrupts=Interrupts(),
        err=Console(file=io.StringIO()),
        cache=tmp_path / "cache",
        say=said.append,
        progress=lambda done, total: None,
    )


def play(director: Played, directory: Path, **more: Any) -> tuple[PaperResult, LoadgenError | None]:
    judged, failed = asyncio.run(director.play(Paper(PLAN), directory, **more))
    assert json.loads((directory / "run.json").read_text())["verdict"] == judged.document["verdict"]
    return judged.result, failed


def test_each_step_is_tried_whatever_the_others_give(director: Played, tmp_path: Path, said: list[str]) -> None:
    director.give({**papers.GOOD, Name.SPEC: papers.LATE})
    result, failed = play(director, tmp_path / "run")
    assert [step.state for step in result.steps] == [State.FAILED, State.PLAYED, State.NOT_HERE]
    assert failed is None
    assert said[0].startswith("— spec: SPECweb99-style load on 1, 4 and 16 web servers")
    assert "(1 of 3), about" in said[0]
    assert said[1] == f"spec: not played: {papers.LATE.message} (took 0:00)"
    assert said[3] == "pack: conforming (took 0:00)"


def test_a_signal_before_the_traffic_of_a_step_ends_the_whole_which_can_be_resumed(
    director: Played, tmp_path: Path
) -> None:
    stop = NothingMeasuredError("interrupted before there was any traffic; nothing was measured")
    calls = director.give({**papers.GOOD, Name.PACK: stop})
    result, failed = play(director, tmp_path / "run")
    assert failed is stop
    assert [step.experiment for step in result.steps] == [Name.SPEC]
    assert set(calls) == {"spec", "pack"}

    director.give(papers.GOOD)
    found = resumable(tmp_path / "run")
    result, failed = play(director, tmp_path / "run", again=found.record.header, done=found.done)
    assert [step.state for step in result.steps] == [State.PLAYED, State.PLAYED, State.NOT_HERE]
    assert failed is None


def first(name: Name) -> Experiment[Any]:
    """The experiment of a step."""
    for at in range(len(PLAN.steps)):
        step = Paper(PLAN).plan(papers.play(papers.GOOD, PLAN)[:at])
        if getattr(step, "record", "") == name.value:
            planner: Experiment[Any] = step.experiment  # type: ignore[union-attr]
            return planner
    raise AssertionError(name)


def resume(director: Played, directory: Path, said: list[str]) -> PaperResult:
    """Continue a paper whose own record knows of no step, as when it was killed in the first."""
    directory.mkdir(exist_ok=True)
    (directory / "run.json").write_text(json.dumps(unfinished(papers.header(PLAN), PaperResult(asked=PLAN.in_order))))
    found = resumable(directory)
    said.clear()
    result, _ = play(director, directory, again=found.record.header, done=found.done)
    return result


def test_a_step_whose_record_is_whole_is_not_played_again(director: Played, tmp_path: Path, said: list[str]) -> None:
    written(first(Name.PACK), tmp_path / "run" / "pack", papers.GOOD[Name.PACK])
    calls = director.give(papers.GOOD)
    result = resume(director, tmp_path / "run", said)
    assert "pack" not in calls
    assert [step.state for step in result.steps] == [State.PLAYED, State.PLAYED, State.NOT_HERE]


def test_a_step_with_several_runs_goes_on_with_those_that_are_missing(
    director: Played, tmp_path: Path, said: list[str]
) -> None:
    sweep = first(Name.SPEC)
    points = tuple(
        dataclasses.replace(point, header=dataclasses.replace(point.header, plan=sweep.plan(()).plan))  # type: ignore[union-attr]
        for point in papers.sweep().points[:1]
    )
    own = tmp_path / "run" / "spec"
    own.mkdir(parents=True)
    header = dataclasses.replace(results.sweep_header(), plan=sweep.shown)
    (own / "run.json").write_text(json.dumps(unfinished(header, Sweep(vms=(1, 4, 16), points=points))))
    calls = director.give(papers.GOOD)
    resume(director, tmp_path / "run", said)
    assert [[one.path.name for one in done] for done in calls["spec"]] == [["vms-1"]]


@pytest.mark.parametrize("other", [False, True], ids=["cut", "of another plan"])
def test_a_record_of_which_nothing_can_be_used_is_kept_aside(
    other: bool, director: Played, tmp_path: Path, said: list[str]
) -> None:
    pack = first(Name.PACK)
    if other:
        pack = dataclasses.replace(pack, shown=packs.PLAN)  # type: ignore[type-var]
    written(pack, tmp_path / "run" / "pack", papers.GOOD[Name.PACK] if other else None)
    calls = director.give(papers.GOOD)
    resume(director, tmp_path / "run", said)
    assert calls["pack"] == [()]
    assert (tmp_path / "run" / "pack.cut-1").is_dir()
    assert any("pack.cut-1" in line for line in said)
