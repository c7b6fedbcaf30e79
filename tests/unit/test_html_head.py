"""The top of a report: no good verdict for what is no result, and the words across the page."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from coordinator.kinds.catalog import judges
from coordinator.output.catalog import write
from coordinator.output.html.blocks import Folded, Words
from coordinator.output.html.head import head_of
from coordinator.output.html.report import report_text
from coordinator.output.judged import RUNNING, Judged, read_judged
from coordinator.output.marks import marks_of
from coordinator.output.stated import stated
from loadgen.model.stages import parse_stages
from loadgen.verdict.result import Verdict
from tests.support import https
from tests.support.pages import read_page
from tests.support.recorded import RECORDS, write_record


def recorded(name: str, directory: Path) -> Judged[Any, Any]:
    RECORDS[name](directory)
    return read_judged(directory, judges())


def marks(*runs: Judged[Any, Any]) -> list[str | None]:
    page = read_page(report_text(runs))
    return [one["data-word"] for one in page.of("div") if str(one.get("class")).startswith("watermark")]


@pytest.mark.parametrize("kind", ["spec-sweep", "http-repeats", "spec-compare", "http-compare"])
def test_an_experiment_that_was_cut_has_no_verdict(kind: str, tmp_path: Path) -> None:
    run = recorded(f"{kind} cut", tmp_path / "run")
    assert run.result.verdict is Verdict.CONFORMING
    head = head_of(run)
    assert (head.verdict, head.tone) == ("NO VERDICT", "warn")
    assert head.means == "The runs were cut off before there was a result."
    going_on = head_of(dataclasses.replace(run, cut=RUNNING))
    assert (going_on.verdict, going_on.tone) == ("NO VERDICT", "warn")
    assert going_on.means == "The runs are still going on, so there is no result yet."


def test_a_search_that_was_cut_says_its_answer_so_far_and_is_not_green(tmp_path: Path) -> None:
    head = head_of(recorded("spec-find cut", tmp_path / "run"))
    assert (head.verdict, head.tone) == ("NO VERDICT", "warn")
    assert head.reasons[0].startswith("the search is not over: the capacity is at least 6 VMs")


def test_nobody_stopped_a_run_that_was_killed(tmp_path: Path) -> None:
    run = recorded("http cut", tmp_path / "run")
    assert "by the user" not in head_of(run).means
    assert marks(run) == ["CUT"]
    going_on = dataclasses.replace(run, cut=RUNNING)
    assert head_of(going_on).means.startswith("It is still going on")
    assert marks(going_on) == ["RUNNING"]
    assert head_of(recorded("http interrupted", tmp_path / "stopped")).means.startswith("Stopped by the user")


def test_the_words_across_the_page_are_those_of_all_runs_the_gravest_first(tmp_path: Path) -> None:
    good, cut = recorded("http good", tmp_path / "good"), recorded("http cut", tmp_path / "cut")
    bad, stopped = recorded("http INVALID", tmp_path / "bad"), recorded("http interrupted", tmp_path / "stopped")
    assert marks(good, good) == []
    assert marks(good, cut, bad) == ["INVALID · CUT"]
    assert marks(stopped) == ["INTERRUPTED"]
    assert marks(stopped, cut) == ["INTERRUPTED · CUT"]


def test_the_run_whose_headroom_is_checked_has_its_own_word(tmp_path: Path) -> None:
    run = recorded("http-headroom interrupted", tmp_path / "run")
    first = dataclasses.replace(run.result.steps[0], verdict=Verdict.DEGRADED)
    result = dataclasses.replace(run.result, steps=(first, *run.result.steps[1:]))
    assert marks_of([dataclasses.replace(run, result=result)]) == ("DEGRADED", "INTERRUPTED")


def test_a_run_on_emulated_vms_below_an_experiment_marks_the_page(tmp_path: Path) -> None:
    run = recorded("http-repeats good", tmp_path / "run")
    file = tmp_path / "run" / "run-2" / "run.json"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"server": {', '"server": {"emulated": true, ', 1), encoding="utf-8")
    assert marks(run) == ["EMULATED"]
    assert "The VMs are emulated" in read_page(report_text([run])).text


def test_a_record_that_cannot_be_read_hides_no_other_one(tmp_path: Path) -> None:
    run = recorded("http-repeats good", tmp_path / "run")
    (tmp_path / "run" / "run-2" / "run.json").write_text("{", encoding="utf-8")
    text = read_page(report_text([run])).text
    assert "run-1: conforming" in text
    assert f"run-2: {tmp_path / 'run' / 'run-2' / 'run.json'} is not a record" in text
    assert "run-3: conforming" in text


STAGED = dataclasses.replace(
    https.OPEN, stages=parse_stages("0s:10/s,1s:30/s,500ms@40/s,500ms:0/s"), slos=("p50<50ms", "errors<50%")
)


@pytest.fixture
def staged(tmp_path: Path) -> Judged[Any, Any]:
    """A run that conforms, although one stage misses an objective."""
    given = https.staged(STAGED, service_s=dict.fromkeys(range(20, 40), 0.2))
    write_record(tmp_path / "run", https.header(STAGED), https.result(STAGED, given=given), given)
    run = read_judged(tmp_path / "run", judges())
    assert run.result.verdict is Verdict.CONFORMING, run.result.reasons
    assert not all(check.ok for row in run.result.stages for check in row.slos)
    return run


def test_objectives_of_stages_have_a_group_of_their_own(staged: Judged[Any, Any]) -> None:
    groups = {one.group: one.decides for one in stated(staged) if one.group != "trust"}
    assert groups == {"objectives": True, "stage 2": False, "stage 3": False, "stage 4": False}


def test_an_objective_of_a_stage_that_is_missed_is_no_failure(staged: Judged[Any, Any]) -> None:
    stream = io.StringIO()
    write(staged, "junit", stream)
    [suite] = JUnitXml.fromstring(stream.getvalue().encode())
    assert (suite.failures, suite.errors) == (0, 0)
    missed = [case for case in suite if case.classname == "loadgen.http.stage 3" and case.name.startswith("p50")]
    [words] = [str(case.system_out) for case in missed]
    assert words.startswith("does not hold, which has no part in the verdict: ")
    head = head_of(staged)
    said = [block for block in head.blocks if isinstance(block, Words)]
    assert not [block for block in said if block.tone == "bad"]
    [folded] = [block for block in head.blocks if isinstance(block, Folded) and block.title.startswith("Objectives in")]
    assert folded.title == "Objectives in single stages, which have no part in the verdict: 5 of 6 hold"
    stream = io.StringIO()
    write(staged, "markdown", stream)
    assert "checks hold." in stream.getvalue()
    assert "In single stages, which have no part in the verdict, 5 of 6 objectives hold." in stream.getvalue()
