"""The planner of `loadgen relative`: its rounds, its answer, and what is left after a stop."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from coordinator.experiment.api import Answer, Done, Next
from coordinator.experiment.relative import Relative
from coordinator.experiment.resume import resumable
from coordinator.output.judged import Judged, read_judged
from coordinator.record.document import finished, unfinished
from loadgen.measure.trials import Round
from loadgen.model.errors import PlanError
from loadgen.model.units import NS_PER_S
from loadgen.verdict.relative import judge_relative, judge_round
from loadgen.verdict.result import Verdict
from tests.support.judged import END
from tests.support.relatives import PLAN, header, round_header, rounds


def played(*found: Round, interrupted: bool = False) -> Done:
    last = len(found) - 1
    return tuple(
        Judged(
            path=Path(one.record),
            document={},
            header=round_header(one.number),
            result=judge_round(one, interrupted=interrupted and at == last),
        )
        for at, one in enumerate(found)
    )


def test_rounds_are_played_one_after_the_other_until_all_are_over() -> None:
    planner = Relative(PLAN)
    for done in range(5):
        step = planner.plan(played(*rounds(done)))
        assert isinstance(step, Next)
        assert (step.plan.round, step.record, step.label) == (done + 1, f"round-{done + 1}", f"round {done + 1}")
    answer = planner.plan(played(*rounds(5)))
    assert isinstance(answer, Answer)
    assert answer.result == judge_relative(PLAN, rounds(5))


def test_an_interrupted_round_ends_the_comparison_and_its_trials_count() -> None:
    second = dataclasses.replace(rounds(2)[1], complete=False, trials=rounds(2)[1].trials[:1])
    answer = Relative(PLAN).plan(played(rounds(1)[0], second, interrupted=True))
    assert isinstance(answer, Answer)
    assert answer.result.verdict is Verdict.INTERRUPTED
    assert answer.result.reasons == ("stopped by the user after 1 of 5 rounds",)
    assert [len(row.values) for row in answer.result.rows] == [2, 1]  # type: ignore[attr-defined]


def test_the_time_that_is_left_is_that_of_the_rounds_before() -> None:
    planner = Relative(PLAN)
    assert planner.progress(()).left_ns == 0
    assert planner.progress(played(*rounds(2))).left_ns == 3 * 3 * NS_PER_S


def write(directory: Path, *found: Round, interrupted: bool = False, ended: bool = True) -> Path:
    result = judge_relative(PLAN, found, interrupted=interrupted)
    document = finished(header(), result, finished_at=END) if ended else unfinished(header(), result)
    (directory / "run.json").write_text(json.dumps(document))
    return directory


def test_a_stopped_comparison_goes_on_with_the_round_that_was_cut(tmp_path: Path) -> None:
    cut = dataclasses.replace(rounds(3)[2], complete=False, trials=())
    found = resumable(write(tmp_path, *rounds(2), cut, interrupted=True))
    assert [one.path.name for one in found.done] == ["round-1", "round-2"]
    step = found.experiment.plan(found.done)
    assert isinstance(step, Next)
    assert step.plan == PLAN.only(3)
    assert found.experiment.answer(found.done).result.rounds == rounds(2)  # type: ignore[attr-defined]


def test_a_whole_comparison_is_not_resumed_and_a_round_names_its_comparison(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="nothing is left to play"):
        resumable(write(tmp_path, *rounds(5)))
    (tmp_path / "run.json").write_text(json.dumps(unfinished(round_header())))
    with pytest.raises(PlanError, match="only an experiment of several runs") as caught:
        resumable(tmp_path)
    assert caught.value.hint == f"continue the comparison: loadgen resume {tmp_path.parent}"


def test_a_comparison_that_was_cut_shows_its_rounds(tmp_path: Path) -> None:
    found = read_judged(write(tmp_path, *rounds(3), ended=False), {})
    assert found.result.rounds == rounds(3)
    assert found.result.rows == judge_relative(PLAN, rounds(3)).rows
    assert found.cut == "the runs were cut off before their result was written"
