"""Comparisons of groups of runs: by simulation with a known truth, and what they say."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from loadgen.model.errors import ExitCode
from loadgen.verdict.compare import Group, compare
from loadgen.verdict.compare_result import CompareRow, Comparison, Limit
from loadgen.verdict.figures import P99, REQUESTS
from loadgen.verdict.relative_result import Difference
from loadgen.verdict.repeats import OneOfMany
from loadgen.verdict.result import Verdict
from tests.support.repeats import run

PAIRS = 30
FIVE = (Limit(0.05),)


def group(name: str, per_s: Sequence[float], p99_ms: Sequence[float] = ()) -> Group:
    times = p99_ms or [20.0] * len(per_s)
    runs = (run(place, *of) for place, of in enumerate(zip(per_s, times, strict=True), 1))
    return Group(name=name, runs=tuple(runs))


def drawn(chance: random.Random, count: int, *, noise: float, true: float = 1.0, drift: float = 0.0) -> Group:
    """Runs whose rate and p99 vary, with one of ten runs disturbed; `drift` is the change of the rate over all."""
    runs = []
    for place in range(count):
        disturbed = 1.0 - 0.05 * (chance.random() < 0.1)
        slowly = 1.0 + drift * place / max(count - 1, 1)
        per_s = 10_000 * true * slowly * disturbed * chance.lognormvariate(0, noise)
        runs.append(run(place + 1, per_s, 200_000 / per_s * chance.lognormvariate(0, 3 * noise)))
    return Group(name=f"x{true}", runs=tuple(runs))


def differs(found: Comparison) -> bool:
    return any(row.difference in (Difference.BETTER, Difference.WORSE) for row in found.rows)


@pytest.mark.parametrize(("count", "noise"), [(6, 0.015), (10, 0.03), (10, 0.1), (20, 0.05)])
@pytest.mark.parametrize("in_rounds", [False, True])
def test_of_thirty_pairs_of_equal_runs_at_most_two_differ(count: int, noise: float, in_rounds: bool) -> None:
    chance = random.Random(count)
    called = 0
    for _ in range(PAIRS):
        pair = [drawn(chance, count, noise=noise) for _ in range(2)]
        called += differs(compare(pair, in_rounds=in_rounds))
    assert called <= 2


@pytest.mark.parametrize(("count", "noise"), [(6, 0.015), (10, 0.03), (20, 0.05)])
@pytest.mark.parametrize("in_rounds", [False, True])
@pytest.mark.parametrize("true", [0.9, 1.1])
def test_a_true_difference_of_ten_percent_is_found_in_27_of_30_pairs(
    count: int, noise: float, in_rounds: bool, true: float
) -> None:
    chance = random.Random(count)
    found = 0
    for _ in range(PAIRS):
        pair = [drawn(chance, count, noise=noise), drawn(chance, count, noise=noise, true=true)]
        rate = next(row for row in compare(pair, in_rounds=in_rounds).rows if row.ratio is not None)
        found += rate.difference is (Difference.BETTER if true > 1 else Difference.WORSE)
    assert found >= 27


@pytest.mark.parametrize("true", [1.0, 0.9])
def test_in_rounds_a_drift_of_the_machine_neither_makes_nor_hides_a_difference(true: float) -> None:
    chance = random.Random(5)
    found = 0
    for _ in range(PAIRS):
        pair = [drawn(chance, 10, noise=0.02, drift=0.3), drawn(chance, 10, noise=0.02, true=true, drift=0.3)]
        found += any(row.difference is Difference.WORSE for row in compare(pair, in_rounds=True).rows)
    assert found <= 2 if true == 1.0 else found >= 27


def rate_of(found: Comparison, side: str = "B") -> CompareRow:
    return next(row for row in found.rows if (row.name, row.side) == (REQUESTS, side))


STEADY = (100.0, 101.0, 99.0, 100.5, 99.5, 100.2)
SLOWER = tuple(value * 0.9 for value in STEADY)


def test_equal_groups_show_no_difference_and_say_so() -> None:
    found = compare([group("A", STEADY), group("B", STEADY)], limits=FIVE)
    assert (found.verdict, found.exit_code) == (Verdict.CONFORMING, ExitCode.CONFORMING)
    (said,) = found.reasons
    assert said.startswith("no difference between B and A is shown: requests/s is 0.9")
    assert rate_of(found).difference is Difference.NOT_SHOWN
    assert rate_of(found, "A").difference is Difference.FIRST


def test_a_worse_group_is_named_with_its_ratio_and_exceeds_the_limit() -> None:
    found = compare([group("A", STEADY), group("B", SLOWER)], limits=FIVE)
    row = rate_of(found)
    assert row.ratio == pytest.approx(0.9, abs=0.005)
    assert row.ratio_low is not None
    assert row.ratio_high is not None
    assert row.ratio_low < 0.9 < row.ratio_high < 0.95
    assert (row.difference, row.too_bad) == (Difference.WORSE, True)
    assert (found.verdict, found.exit_code) == (Verdict.NOT_CONFORMING, ExitCode.NOT_CONFORMING)
    assert found.reasons[0].startswith("B is worse than A: requests/s is 0.9")
    assert "worse by more than 5 %: B in requests/s" in found.reasons


def test_a_longer_time_is_worse_and_a_shorter_one_better() -> None:
    longer = compare([group("A", STEADY, STEADY), group("B", STEADY, [1.2 * one for one in STEADY])], limits=FIVE)
    row = next(row for row in longer.rows if (row.name, row.side) == (P99, "B"))
    assert (row.difference, row.too_bad) == (Difference.WORSE, True)
    shorter = compare([group("A", STEADY, STEADY), group("B", STEADY, [0.8 * one for one in STEADY])], limits=FIVE)
    assert any(row.difference is Difference.BETTER for row in shorter.rows)
    assert shorter.verdict is Verdict.CONFORMING


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (Limit(0.05, "requests/s"), Verdict.NOT_CONFORMING),
        (Limit(0.05, "p99"), Verdict.CONFORMING),
        (Limit(0.2), Verdict.CONFORMING),
    ],
)
def test_a_limit_is_of_one_number_or_of_all(limit: Limit, expected: Verdict) -> None:
    assert compare([group("A", STEADY), group("B", SLOWER)], limits=[limit]).verdict is expected


def test_a_difference_near_the_limit_is_left_open() -> None:
    noisy = [one * factor for one, factor in zip(SLOWER, (1.05, 0.95, 1.06, 0.94, 1.0, 1.0), strict=True)]
    found = compare([group("A", STEADY), group("B", noisy)], limits=[Limit(0.1)])
    assert found.verdict is Verdict.CONFORMING
    assert any(said.startswith("it is not known whether they are worse by more than 10 %") for said in found.reasons)


@pytest.mark.parametrize(("count", "in_rounds"), [(4, False), (2, True), (1, False), (1, True)])
def test_too_few_runs_have_ratios_and_no_interval(count: int, in_rounds: bool) -> None:
    found = compare([group("A", STEADY[:count]), group("B", SLOWER[:count])], limits=FIVE, in_rounds=in_rounds)
    row = rate_of(found)
    assert row.ratio is not None
    assert (row.ratio_low, row.difference) == (None, Difference.UNKNOWN)
    assert found.verdict is Verdict.CONFORMING
    assert any("give no interval, so nothing is shown" in said for said in found.reasons)
    assert any(said.startswith("--fail-if-worse does not judge") for said in found.reasons)


def test_three_groups_are_compared_with_the_first_one() -> None:
    found = compare([group("A", STEADY), group("B", STEADY), group("C", SLOWER)])
    assert rate_of(found, "C").difference is Difference.WORSE
    assert rate_of(found, "B").difference is Difference.NOT_SHOWN


def with_verdicts(name: str, values: Sequence[float], invalid: int, verdict: Verdict = Verdict.INVALID) -> Group:
    runs = [run(place, value) for place, value in enumerate(values, 1)]
    runs += [run(len(values) + place, 0.0, verdict=verdict) for place in range(1, invalid + 1)]
    return Group(name=name, runs=tuple(runs))


def test_runs_that_are_not_valid_do_not_count() -> None:
    found = compare([group("A", STEADY), with_verdicts("B", STEADY, 2)])
    assert [(side.runs, side.valid) for side in found.sides] == [(6, 6), (8, 6)]
    assert rate_of(found).values == STEADY
    assert any(said.startswith("B: 2 of 8 runs do not count (INVALID)") for said in found.reasons)


@pytest.mark.parametrize("verdict", [Verdict.INVALID, Verdict.DEGRADED])
def test_a_group_of_which_most_runs_do_not_count_is_not_compared(verdict: Verdict) -> None:
    found = compare([group("A", STEADY), with_verdicts("B", STEADY, 6, verdict)], limits=FIVE)
    assert (found.verdict, found.rows) == (verdict, ())
    assert found.reasons[0] == "too few runs count, so nothing is compared"


def test_a_limit_that_nothing_can_be_judged_by_is_no_pass() -> None:
    """Six runs were played on each side, which is enough, but only four of them count."""
    groups = [with_verdicts("A", STEADY[:4], 2), with_verdicts("B", STEADY[:4], 2)]
    found = compare(groups, limits=FIVE)
    assert found.verdict is Verdict.INVALID
    assert rate_of(found).ratio is not None
    assert any(said.startswith("4 runs of A and 4 runs of B give no interval") for said in found.reasons)
    assert compare(groups).verdict is Verdict.CONFORMING  # nothing was demanded

    groups = [with_verdicts("A", STEADY[:2], 1), with_verdicts("B", STEADY[:2], 1)]
    assert compare(groups, limits=FIVE, in_rounds=True).verdict is Verdict.INVALID
    groups = [group("A", [5.0] * 3), group("B", [5.0] * 3)]  # equal ratios have no interval, and all runs count
    assert compare(groups, limits=FIVE, in_rounds=True).verdict is Verdict.CONFORMING


def test_groups_that_do_not_conform_can_be_compared() -> None:
    groups = [Group(name=n, runs=tuple(run(p, 9.0, verdict=Verdict.NOT_CONFORMING) for p in range(1, 7))) for n in "AB"]
    assert compare(groups).verdict is Verdict.CONFORMING


def bounded(name: str, p99_ms: float, *, at_least: bool) -> Group:
    return Group(name=name, runs=tuple(run(place, 100.0, p99_ms, at_least=at_least) for place in range(1, 7)))


@pytest.mark.parametrize(
    ("first", "own", "expected"),
    [
        ((20.0, False), (90.0, True), Difference.WORSE),  # at least 4.5 times
        ((90.0, True), (20.0, False), Difference.BETTER),  # at most a quarter
        ((90.0, False), (20.0, True), Difference.NOT_SHOWN),  # 20 ms or any more
        ((20.0, True), (90.0, False), Difference.NOT_SHOWN),
    ],
)
def test_a_lower_bound_shows_only_what_a_longer_time_would_show(
    first: tuple[float, bool], own: tuple[float, bool], expected: Difference
) -> None:
    groups = [bounded(name, ms, at_least=bound) for name, (ms, bound) in (("A", first), ("B", own))]
    assert {row.difference for row in compare(groups).rows if (row.name, row.side) == (P99, "B")} == {expected}


def failing(name: str, shares: Sequence[float]) -> Group:
    return Group(name=name, runs=tuple(run(place, 100.0, failed=share) for place, share in enumerate(shares, 1)))


@pytest.mark.parametrize("in_rounds", [False, True])
def test_requests_that_begin_to_fail_are_worse(in_rounds: bool) -> None:
    found = compare([failing("A", [0.0] * 6), failing("B", [3.0] * 6)], in_rounds=in_rounds, limits=FIVE)
    row = next(row for row in found.rows if (row.name, row.side) == ("failed", "B"))
    assert (row.difference, row.too_bad) == (Difference.WORSE, True)
    once = compare([failing("A", [0.0] * 6), failing("B", [0.0] * 5 + [3.0])], in_rounds=in_rounds, limits=FIVE)
    assert once.verdict is Verdict.CONFORMING


def test_a_server_that_serves_nothing_any_more_is_worse() -> None:
    found = compare([group("A", STEADY), group("B", [0.0] * 6)], in_rounds=True, limits=FIVE)
    assert rate_of(found).ratio == 0.0
    assert found.verdict is Verdict.NOT_CONFORMING


def test_rounds_are_paired_by_their_place_also_when_a_run_does_not_count() -> None:
    def side(factor: float, missing: int) -> tuple[OneOfMany, ...]:
        verdicts = {missing: Verdict.INVALID}
        return tuple(
            run(place, factor ** (1 + place / 100) * 100 * 2**place, verdict=verdicts.get(place, Verdict.CONFORMING))
            for place in range(1, 7)
        )

    found = compare([Group(name="A", runs=side(1.0, 2)), Group(name="B", runs=side(0.9, 5))], in_rounds=True)
    assert rate_of(found).ratio == pytest.approx(0.9, rel=0.01)
    assert rate_of(found).difference is Difference.WORSE


def test_noise_and_drift_of_a_group_are_notes() -> None:
    found = compare([group("A", STEADY), group("B", [1000.0 - 50 * place for place in range(8)])])
    assert any(note.startswith("B: drift: requests/s falls") for note in found.notes)
