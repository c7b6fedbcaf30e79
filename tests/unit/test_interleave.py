"""Plans in turns: the order, the record, what is said, and the command."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coordinator.cli import app
from coordinator.cli.plan_files import read_plans
from coordinator.experiment.api import Answer, Next
from coordinator.experiment.interleave import Interleave
from coordinator.experiment.resume import resumable
from coordinator.output.text import write_text
from coordinator.record.catalog import KINDS
from coordinator.record.document import finished, unfinished
from coordinator.record.interleaved_result import Interleaved
from loadgen.model.errors import LoadgenError, PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.plan import SpecPlan
from loadgen.verdict.compare import SAME
from loadgen.verdict.relative_result import Difference
from loadgen.verdict.result import Verdict
from tests.support import https
from tests.support.judged import END, judged
from tests.support.printed_plans import plan_toml
from tests.support.repeats import LIMITS, http_compare_header, interleaved

OTHER = dataclasses.replace(https.PLAN, seed=8)


def planner(rounds: int = 3) -> Interleave:
    return Interleave(plans=(https.PLAN, OTHER), files=("a.toml", "b.toml"), rounds=rounds, limits=LIMITS)


def test_the_order_turns_around_from_round_to_round() -> None:
    experiment, done = planner(), list[Any]()
    played = []
    while isinstance(step := experiment.plan(done), Next):
        played.append((step.record, step.plan.seed))
        assert experiment.progress(done).runs == 6
        header = dataclasses.replace(https.header(), plan=step.plan)
        done.append(judged(header, https.result(), path=Path("runs") / step.record))
    assert [record for record, _ in played] == ["a-1", "b-1", "b-2", "a-2", "a-3", "b-3"]
    assert {record[0]: seed for record, seed in played} == {"a": https.PLAN.seed, "b": 8}
    assert isinstance(step, Answer)
    assert step.result.verdict is Verdict.CONFORMING
    assert experiment.progress(done).left_ns == 0


def test_a_run_that_the_user_stops_ends_it() -> None:
    stopped = judged(https.header(), https.result(interrupted=True), path=Path("runs/a-1"))
    step = planner().plan([stopped])
    assert isinstance(step, Answer)
    assert step.result.verdict is Verdict.INTERRUPTED


def test_the_comparison_is_by_rounds_and_lists_what_differs() -> None:
    found = interleaved().comparison
    assert found.in_rounds
    assert [one.what for one in found.plans] == ["seed"]
    assert [side.record for side in found.sides] == ["a.toml", "b.toml"]
    assert found.verdict is Verdict.NOT_CONFORMING  # worse by more than 5 %
    assert interleaved(true=1.0).verdict is Verdict.CONFORMING
    assert {row.difference for row in interleaved(true=1.0).comparison.rows} == {Difference.FIRST, Difference.NOT_SHOWN}


def played(kernels: Sequence[str]) -> list[Any]:
    """Runs in their order, each on a machine with this kernel."""
    done: list[Any] = []
    for kernel in kernels:
        step = planner().plan(done)
        assert isinstance(step, Next)
        header = dataclasses.replace(https.header(), plan=step.plan)
        about = dataclasses.replace(header.environment, kernel=kernel, load_average=(float(len(done)), 0.0, 0.0))
        header = dataclasses.replace(header, environment=about)
        done.append(judged(header, https.result(), path=Path("runs") / step.record))
    return done


@pytest.mark.parametrize(
    ("kernels", "said"),
    [
        (["6.1", "6.1", "6.1", "6.1"], ["Machine and software are the same"]),
        (["6.1", "6.12", "6.12", "6.1"], ["kernel: A 6.1, B 6.12"]),
        (["6.1", "6.1", "6.12", "6.1"], ["kernel: A 6.1, B 6.1 or 6.12"]),
        (["6.1"], []),  # of one plan, nothing is known yet
    ],
)
def test_what_differs_in_machine_and_software_is_told(kernels: list[str], said: list[str]) -> None:
    result = planner().answer(played(kernels)).result
    assert isinstance(result, Interleaved)
    document = finished(http_compare_header(), result, finished_at=END)
    read = KINDS["http-compare"].read(document)
    assert read == result
    text = io.StringIO()
    write_text(judged(http_compare_header(), read), text)
    found = " ".join(text.getvalue().split())
    for one in said:
        assert one.lower() in found.lower()
    assert ("same in all runs" in found, "software differ" in found) == ("same" in str(said), "kernel" in str(said))


def test_records_of_earlier_versions_do_not_say_what_differs() -> None:
    document = finished(http_compare_header(), interleaved(), finished_at=END)
    assert "environments" not in document
    read = KINDS["http-compare"].read(document)
    assert SAME not in read.comparison.notes


def test_rounds_that_go_on_know_the_machine_of_the_earlier_ones(tmp_path: Path) -> None:
    done = played(["6.1", "6.12", "6.12"])
    begun = planner().answer(done).result
    (tmp_path / "run.json").write_text(json.dumps(unfinished(http_compare_header(), begun)))
    for one in done:
        (tmp_path / one.path.name).mkdir()
        (tmp_path / one.path.name / "run.json").write_text(json.dumps(one.document))
    found = resumable(tmp_path)
    assert found.experiment.answer(found.done).result == begun


@pytest.mark.parametrize("ended", [False, True])
def test_rounds_that_were_stopped_go_on(tmp_path: Path, ended: bool) -> None:
    begun = interleaved(played=4, last=Verdict.INTERRUPTED) if ended else interleaved(played=3)
    header = http_compare_header()
    document = finished(header, begun, finished_at=END) if ended else unfinished(header, begun)
    (tmp_path / "run.json").write_text(json.dumps(document))
    found = resumable(tmp_path)
    step = found.experiment.plan(found.done)
    assert isinstance(step, Next)
    assert step.record == "a-2"
    result = found.experiment.answer(found.done).result
    assert isinstance(result, Interleaved)
    assert (result.runs, result.limits) == (interleaved(played=3).runs, LIMITS)


def test_the_secrets_of_all_plans_are_masked() -> None:
    begun = interleaved(played=0)
    (request, *others) = begun.plans[1].requests
    secret = dataclasses.replace(request, headers=("Authorization: Bearer hunter2",))
    plans = (begun.plans[0], dataclasses.replace(begun.plans[1], requests=(secret, *others)))
    header = http_compare_header()
    document = unfinished(header, dataclasses.replace(begun, plans=plans))
    assert "hunter2" not in json.dumps(document)


@pytest.mark.parametrize("played", [2, 3])
def test_turns_do_not_go_on_when_secrets_of_any_plan_are_masked(tmp_path: Path, played: int) -> None:
    """After two runs the plan with the secret is next (A B, B A), after three the one without."""
    begun = interleaved(played=played)
    (request, *others) = begun.plans[1].requests
    secret = dataclasses.replace(request, headers=("Authorization: Bearer hunter2",))
    plans = (begun.plans[0], dataclasses.replace(begun.plans[1], requests=(secret, *others)))
    document = unfinished(http_compare_header(), dataclasses.replace(begun, plans=plans))
    (tmp_path / "run.json").write_text(json.dumps(document))
    with pytest.raises(PlanError, match="cannot be continued"):
        resumable(tmp_path)


TWO = ("--plan", "{a}", "--plan", "{a}")


def plan_file(path: Path, *words: str) -> Path:
    path.write_text(plan_toml(*words))
    return path


def test_plan_files_are_read_as_their_commands_read_them(tmp_path: Path) -> None:
    a = plan_file(tmp_path / "a.toml", "http", "http://127.0.0.1:8081/", "-c", "4")
    b = plan_file(tmp_path / "b.toml", "http", "http://127.0.0.1:8082/", "-c", "4")
    plans, choice = read_plans((a, b))
    assert [plan.requests[0].url for plan in plans if isinstance(plan, HttpPlan)] == [
        "http://127.0.0.1:8081/",
        "http://127.0.0.1:8082/",
    ]
    assert choice.is_here
    spec = plan_file(tmp_path / "s.toml", "spec", "--vms", "2")
    (first, _), _ = read_plans((spec, spec))
    assert isinstance(first, SpecPlan)
    assert first.vms == 2
    with pytest.raises(PlanError, match="plans of different commands"):
        read_plans((a, spec))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--interleave", "--plan", "{a}"), "--interleave needs 2 to 26 plans, got 1"),
        (
            ("--interleave", "--plan", "{a}", "--plan", "{a}", "{a}"),
            "--interleave plays plans, and takes neither records",
        ),
        (("{a}", "{a}", "--repeats", "5"), "--repeats needs --interleave"),
        (("{a}", "{a}", "--plan", "p.toml", "--out", "o"), "--plan and --out need --interleave"),
        (("--interleave", "--plan", "{a}", "--plan", "{a}x"), "cannot be read"),
        (("--interleave", *TWO, "--fail-if-worse", "p98:5%"), "these runs have no number 'p98'"),
        (("--interleave", *TWO, "--fail-if-worse", "operations/s:5%"), "these runs have no number 'operations/s'"),
        (
            ("--interleave", *TWO, "--repeats", "2", "--fail-if-worse", "5%"),
            "--fail-if-worse needs intervals, and 2 rounds give none",
        ),
    ],
)
def test_what_turns_refuse(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    a = plan_file(tmp_path / "a.toml", "http", "http://127.0.0.1:8081/")
    done = CliRunner().invoke(app, ["compare", *(word.format(a=a) for word in words)])
    assert isinstance(done.exception, LoadgenError)
    assert message in done.exception.message
    assert int(done.exception.exit_code) == 2
