"""The same run several times: the verdict, the sentences, and the numbers that are taken from a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.repeat_options import repeated
from coordinator.experiment.api import Answer, Next
from coordinator.experiment.repeat import Repeat, length_ns
from coordinator.experiment.resume import resumable
from coordinator.fleet.choice import FleetChoice
from coordinator.record.document import finished, unfinished
from loadgen.model.errors import ExitCode, PlanError
from loadgen.model.plan import QUICK, SpecPlan
from loadgen.verdict.figures import CONFORM, FAILED, P99, REQUESTS, figures_of
from loadgen.verdict.network import judge_forward, judge_iperf
from loadgen.verdict.repeats import Repeats
from loadgen.verdict.result import Verdict
from loadgen.verdict.span import Span
from tests.support import https, results
from tests.support.judged import END, judged
from tests.support.networks import FORWARD, IPERF, forward_passages, iperf_results
from tests.support.printed_plans import refusal
from tests.support.repeats import STEADY, http_header, interrupted, repeats, run

OTHERS = (0.0, "")


def test_the_numbers_of_a_spec_run_are_those_of_its_median_iteration() -> None:
    result = results.run_result()
    found = {figure.name: figure.values for figure in figures_of(result)}
    assert found[CONFORM] == (result.conforming_connections,)
    assert found["operations/s"] == (result.iterations[result.median].ops_per_s,)


def test_the_numbers_of_an_http_run_are_those_of_all_targets() -> None:
    result = https.result()
    figures = {figure.name: figure for figure in figures_of(result)}
    assert figures[REQUESTS].values == (result.total.per_s,)
    assert result.total.response_ms.p99 is not None
    assert figures[P99].values == (result.total.response_ms.p99.low,)
    assert figures[FAILED].values == (0.0,)


def test_a_time_that_is_known_by_its_lower_bound_says_so() -> None:
    result = https.result()
    spans = dataclasses.replace(result.total.response_ms, p99=Span(50.0, None))
    total = dataclasses.replace(result.total, response_ms=spans, errors={"TIMEOUT": 10})
    figures = {figure.name: figure for figure in figures_of(dataclasses.replace(result, total=total))}
    assert (figures[P99].at_least, figures[REQUESTS].at_least) == (True, False)
    assert figures[FAILED].values[0] > 0


@pytest.mark.parametrize(
    "result", [results.invalid_result(), results.interrupted_result(), https.result(interrupted=True)]
)
def test_a_run_that_does_not_count_has_no_numbers(result: Any) -> None:
    assert figures_of(result) == ()


def test_each_test_of_a_network_run_is_a_value() -> None:
    iperf = judge_iperf(IPERF, iperf_results(), others=OTHERS)
    assert [figure.values for figure in figures_of(iperf)] == [row.runs_mbit_per_s for row in iperf.rows]
    forward = judge_forward(FORWARD, forward_passages(), others=OTHERS)
    names = [figure.name for figure in figures_of(forward)]
    assert names == [row.name for row in forward.rows]
    assert len(set(names)) == len(names)


def test_steady_runs_have_a_median_with_an_interval() -> None:
    found = repeats(STEADY)
    assert found.verdict is Verdict.CONFORMING
    assert found.reasons == ("the median of requests/s is 12,015; with 95 % confidence it is 11,950 to 12,100",)
    assert [row.name for row in found.rows] == [REQUESTS, P99]  # nothing failed in any run


def test_below_six_runs_there_is_no_interval_and_the_reason_is_said() -> None:
    assert repeats(STEADY[:5]).reasons[1].startswith("there is no interval: of 5 runs, not even the lowest")


def test_runs_that_are_not_valid_do_not_count_and_are_said() -> None:
    found = repeats(STEADY, invalid=2)
    assert found.verdict is Verdict.CONFORMING
    assert found.rows[0].sample.values == STEADY
    assert any(said.startswith("2 of 10 runs do not count (INVALID); run-10: ") for said in found.reasons)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ("CCCN", Verdict.CONFORMING),
        ("CCNN", Verdict.NOT_CONFORMING),
        ("CCII", Verdict.INVALID),
        ("CDD", Verdict.DEGRADED),
        ("CID", Verdict.INVALID),
        ("CCX", Verdict.INTERRUPTED),
        ("", Verdict.INVALID),
    ],
)
def test_the_verdict_is_that_of_most_runs(verdicts: str, expected: Verdict) -> None:
    of = {
        "C": Verdict.CONFORMING,
        "N": Verdict.NOT_CONFORMING,
        "I": Verdict.INVALID,
        "D": Verdict.DEGRADED,
        "X": Verdict.INTERRUPTED,
    }
    runs = tuple(run(place, 100.0, verdict=of[letter]) for place, letter in enumerate(verdicts, 1))
    found = Repeats(asked=9, runs=runs)
    assert (found.verdict, found.exit_code) == (expected, ExitCode[expected.name])


def test_noise_drift_and_outliers_are_named() -> None:
    falling = repeats([1000.0 - 20 * place for place in range(8)])
    assert any(said.startswith("drift: requests/s falls over the repeats, by about 15.1 %") for said in falling.reasons)
    assert any(said.startswith("noisy: from run to run, requests/s by ") for said in falling.reasons)
    lonely = repeats([*STEADY, 3000.0])
    assert "run-9 (3,000) stands out in requests/s, and counts like all others" in lonely.reasons


def test_lower_bounds_are_named() -> None:
    runs = tuple(run(place, 100.0, at_least=place < 3) for place in range(1, 7))
    assert "response p99 is only a lower bound in 2 runs" in Repeats(asked=6, runs=runs).reasons


def test_the_planner_plays_as_many_runs_as_were_asked_for() -> None:
    experiment = Repeat(https.PLAN, 3)
    done: list[Any] = []
    while isinstance(step := experiment.plan(done), Next):
        assert (step.plan, step.record) == (https.PLAN, f"run-{len(done) + 1}")
        assert experiment.progress(done).left_ns == (3 - len(done)) * length_ns(https.PLAN)
        done.append(judged(https.header(), https.result(), path=Path("runs") / step.record))
    assert isinstance(step, Answer)
    assert isinstance(step.result, Repeats)
    assert step.result.rows[0].sample.values == (https.result().total.per_s,) * 3
    assert length_ns(SpecPlan(phases=QUICK)) == QUICK.total_ns


@pytest.mark.parametrize("ended", [False, True])
def test_repeats_that_were_stopped_go_on(tmp_path: Path, ended: bool) -> None:
    begun = interrupted() if ended else repeats(STEADY[:3], asked=8)
    document = finished(http_header(), begun, finished_at=END) if ended else unfinished(http_header(), begun)
    (tmp_path / "run.json").write_text(json.dumps(document))
    found = resumable(tmp_path)
    step = found.experiment.plan(found.done)
    assert isinstance(step, Next)
    assert step.record == "run-4"
    assert found.experiment.answer(found.done).result == repeats(STEADY[:3], asked=8)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("spec", "--repeats", "6", "--vms", "1,2"), "--repeats cannot be combined with a list of --vms"),
        (("spec", "--repeats", "6", "--find", "vms"), "--repeats cannot be combined with --find"),
        (("http", "http://127.0.0.1/", "--repeats", "6", "--hdr", "a.hgrm"), "--repeats cannot be combined with --hdr"),
    ],
)
def test_what_repeats_cannot_be_combined_with(words: tuple[str, ...], message: str) -> None:
    assert refusal(*words) == message


def test_workers_that_join_serve_one_run() -> None:
    with pytest.raises(PlanError, match="workers that join serve one run"):
        repeated({"repeats": 2}, SpecPlan(), FleetChoice(listen=("0.0.0.0", 8786)), others={})


def test_one_repeat_is_a_single_run() -> None:
    assert repeated({"repeats": 1}, SpecPlan(), FleetChoice(), others={}).kind == "spec"
