from __future__ import annotations

import dataclasses

import pytest

from loadgen.measure.ledger import Totals
from loadgen.model.errors import ExitCode
from loadgen.model.units import NS_PER_S
from loadgen.verdict.iteration import judge_iteration
from loadgen.verdict.result import Check, IterationResult, RunResult, Trust, Verdict
from loadgen.verdict.run import LostWorker, judge_run, median_iteration
from tests.support.evidence import asked, rows

GOOD = Check(name="send lateness", value=2, limit=100, ok=True, unit="ms")
LATE = Check(name="send lateness", value=431, limit=100, ok=False, unit="ms", detail="engine 1: percentile 99")
SLOW = Check(name="conforming connections", value=90, limit=95, ok=False, unit="%", relation=">=", detail="18 of 20")
TRUSTED, DISTRUSTED = Trust(checks=(GOOD,)), Trust(checks=(GOOD, LATE))
LOST = LostWorker(who="Worker w2", connections=5, lost_s=12.0)

EMPTY = judge_iteration(0, Totals({}, rows(), {}), asked(2, 10), measured_ns=20 * NS_PER_S)


def iteration(
    index: int, conforming: int = 20, ops: float = 60, *, checks: tuple[Check, ...] = (GOOD,), complete: bool = True
) -> IterationResult:
    targets = tuple(dataclasses.replace(t, ops_per_s=ops / 2) for t in EMPTY.targets)
    return dataclasses.replace(
        EMPTY, index=index, conforming=conforming, ops_per_s=ops, checks=checks, complete=complete, targets=targets
    )


THREE = (iteration(0), iteration(1), iteration(2))
FAILED = (iteration(0), iteration(1, 18, checks=(GOOD, SLOW)), iteration(2))


def run(
    iterations: tuple[IterationResult, ...] = THREE,
    trust: Trust = TRUSTED,
    *,
    interrupted: bool = False,
    lost: tuple[LostWorker, ...] = (),
    early: str = "",
) -> RunResult:
    return judge_run(
        iterations,
        trust,
        requested_connections=20,
        planned_iterations=3,
        interrupted=interrupted,
        lost=lost,
        early=early,
    )


def test_a_run_that_was_stopped_because_it_was_clear_does_not_conform() -> None:
    cut = (dataclasses.replace(iteration(0, 12, complete=False), measured_s=6.02),)
    found = run(cut, early="at best, 12 of 20 conform")
    assert found.verdict is Verdict.NOT_CONFORMING
    assert found.reasons == (
        "Stopped after 6.02 s of the window, because the rest could not change the verdict: at best, 12 of 20 conform.",
    )
    assert found.stopped_early == "at best, 12 of 20 conform"
    assert found.conforming_connections == 12
    assert run(cut).verdict is Verdict.INVALID
    assert run(cut, DISTRUSTED, early="clear").verdict is Verdict.INVALID
    assert run(cut, DISTRUSTED, early="clear").conforming_connections is None
    assert run(cut, early="clear", lost=(LOST,)).verdict is Verdict.DEGRADED
    assert run(cut, early="clear", interrupted=True).verdict is Verdict.INTERRUPTED


def test_the_first_applicable_verdict_is_used() -> None:
    every = [
        (run(FAILED, DISTRUSTED, interrupted=True, lost=(LOST,)), Verdict.INTERRUPTED, ExitCode.INTERRUPTED),
        (run(FAILED, DISTRUSTED, lost=(LOST,)), Verdict.INVALID, ExitCode.INVALID),
        (run(FAILED, DISTRUSTED), Verdict.INVALID, ExitCode.INVALID),
        (run(FAILED, lost=(LOST,)), Verdict.DEGRADED, ExitCode.DEGRADED),
        (run(THREE[:2], lost=(LOST,)), Verdict.DEGRADED, ExitCode.DEGRADED),
        (run(FAILED), Verdict.NOT_CONFORMING, ExitCode.NOT_CONFORMING),
        (run(), Verdict.CONFORMING, ExitCode.CONFORMING),
    ]
    assert [(r.verdict, r.exit_code) for r, _, _ in every] == [(verdict, code) for _, verdict, code in every]


def test_reasons_are_sentences_with_the_numbers_and_the_weightier_come_first() -> None:
    late = "Load generator: send lateness 431 ms, but at most 100 ms is allowed (engine 1: percentile 99)."
    gone = "Worker w2 was lost 12 s into the run, and with it 5 of 20 connections (25.0 %)."
    assert run(FAILED, DISTRUSTED, interrupted=True, lost=(LOST,)).reasons == (
        "The run was interrupted after 3 of 3 iterations.",
        late,
        gone,
    )
    assert run(FAILED, lost=(LOST,)).reasons == (
        gone,
        "Iteration 2: conforming connections 90 %, but at least 95 % is needed (18 of 20).",
    )
    assert run().reasons == ("All 3 complete iterations conformed; in the median 20 of 20 connections (100.0 %).",)


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_run_without_trust_has_nothing_that_looks_like_a_score(interrupted: bool) -> None:
    result = run(FAILED, DISTRUSTED, interrupted=interrupted, lost=(LOST,))
    assert not result.has_score
    assert (result.conforming_connections, result.fairness, result.margin) == (None, None, None)
    for one in result.iterations:
        assert (one.conforming, one.requests_conforming) == (None, None)
    for target in (*result.targets, *(target for one in result.iterations for target in one.targets)):
        assert (target.conforming, target.requests_conforming) == (None, None)
    assert [(one.conforms, one.checks) for one in result.iterations] == [(None, ())] * 3
    assert not any("conform" in reason for reason in result.reasons)


def test_every_iteration_must_conform_not_the_median_only() -> None:
    result = run(FAILED)
    assert result.verdict is Verdict.NOT_CONFORMING
    assert result.iterations[result.median].conforms


def test_an_interrupted_run_shows_its_measurements() -> None:
    cut = iteration(1, 7, checks=(SLOW,), complete=False)
    result = run((THREE[0], cut), interrupted=True)
    assert (result.verdict, result.median, result.conforming_connections) == (Verdict.INTERRUPTED, 0, 20)
    assert result.iterations == (THREE[0], cut)
    assert result.reasons == (
        "The run was interrupted after 1 of 3 iterations.",
        "The iteration conformed: 20 of 20 connections (100.0 %).",
    )


def test_a_run_interrupted_in_its_first_window_shows_that_part_but_is_not_judged() -> None:
    result = run((iteration(0, 7, checks=(SLOW,), complete=False),), interrupted=True)
    assert (result.median, result.conforming_connections, len(result.targets)) == (0, 7, 2)
    assert result.reasons == ("The run was interrupted before the first of 3 iterations was complete.",)


def test_interrupted_before_any_measurement() -> None:
    result = run((), Trust(checks=()), interrupted=True)
    assert (result.verdict, result.median, result.targets, result.fairness) == (Verdict.INTERRUPTED, -1, (), None)


@pytest.mark.parametrize("iterations", [(), THREE[:2], (*THREE[:2], iteration(2, complete=False))])
def test_a_run_with_a_missing_window_is_not_judged(iterations: tuple[IterationResult, ...]) -> None:
    result = run(iterations)
    assert result.verdict is Verdict.INVALID
    assert result.reasons == (f"Only {min(2, len(iterations))} of 3 iterations were complete.",)


@pytest.mark.parametrize(
    ("conforming", "ops", "median"),
    [
        ((18, 20, 19), (1, 1, 1), 2),
        ((20, 20, 20), (30.0, 10.0, 20.0), 2),
        ((20, 18, 20), (5.0, 9.0, 7.0), 0),
        ((20, 18), (1, 1), 1),
        ((7,), (1,), 0),
        ((), (), -1),
    ],
)
def test_the_median_is_by_conforming_then_by_throughput(
    conforming: tuple[int, ...], ops: tuple[float, ...], median: int
) -> None:
    given = [iteration(i, c, o) for i, (c, o) in enumerate(zip(conforming, ops, strict=True))]
    assert median_iteration(given) == median
