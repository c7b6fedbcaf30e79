"""Comparisons of groups of runs: by simulation with a known truth, and what they say."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from loadgen.model.errors import ExitCode
from loadgen.verdict.compare import Group, compare
from loadgen.verdict.compare_result import Comparison, Limit
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
