"""Stages of an open loop: what people write, and exactly what is due when."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.engine.api import Arrivals
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.stages import Ramp, Stage, mean_per_s, parse_stages, ramps_of
from loadgen.model.units import NS_PER_S
from tests.support.arrivals import offsets_ns, ramped_ns
from tests.support.printed_plans import plan_data, refusal

S = NS_PER_S


def evenly(ramps: tuple[Ramp, ...], part: int = 0, parts: int = 1) -> list[int]:
    length_ns = sum(length for length, _, _ in ramps)
    return ramped_ns(ramps, poisson=False, seed=1, part=part, parts=parts, length_ns=length_ns).tolist()  # type: ignore[no-any-return]


def integral(ramps: tuple[Ramp, ...], at_ns: int) -> Fraction:
    """The operations that are due until `at_ns`, exactly."""
    total, begin_ns = Fraction(0), 0
    for length, low, high in ramps:
        t = Fraction(min(max(at_ns - begin_ns, 0), length), S)
        total += Fraction(low) * t + (Fraction(high) - Fraction(low)) * t * t / (2 * Fraction(length, S))
        begin_ns += length
    return total


@pytest.mark.parametrize(
    ("text", "ramps"),
    [
        ("10s:100/s", [(10 * S, 0.0, 100.0)]),
        ("10s:100/s,30s:1000/s,10s:0/s", [(10 * S, 0.0, 100.0), (30 * S, 100.0, 1000.0), (10 * S, 1000.0, 0.0)]),
        ("1s@5/s, 2s@1k/s", [(S, 5.0, 5.0), (2 * S, 1000.0, 1000.0)]),
        ("0s:50/s,1s:100/s", [(S, 50.0, 100.0)]),
        ("1s@0,1s:10/s", [(S, 0.0, 0.0), (S, 0.0, 10.0)]),
        ("500ms@10/s,500ms:0/s", [(S // 2, 10.0, 10.0), (S // 2, 10.0, 0.0)]),
    ],
)
def test_stages_are_ramps_and_steps(text: str, ramps: list[Ramp]) -> None:
    assert list(ramps_of(parse_stages(text))) == ramps


@pytest.mark.parametrize(
    "text", ["", "10s", "10s:", ":5/s", "10s:5/s,", "x:5/s", "10s:x", "10s-5/s", "-1s:5/s", "10s:-5/s"]
)
def test_a_wrong_stage_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(PlanError) as refused:
        parse_stages(text)
    assert refused.value.hint


def test_a_ramp_is_due_as_its_integral_says() -> None:
    # The integral of 0 to 8/s in 1 s is 4 t²: operation k is due at sqrt(k / 4).
    assert evenly(((S, 0.0, 8.0),)) == [math.floor(math.sqrt(k / 4) * S) for k in range(4)]


_rates = st.sampled_from((0.0, 0.5, 1.0, 3.0, 7.25, 100.0))
_ramps = st.lists(st.tuples(st.integers(1, 3 * S), _rates, _rates), min_size=1, max_size=5).map(tuple)


@given(_ramps)
def test_each_operation_is_due_when_the_integral_reaches_its_number(ramps: tuple[Ramp, ...]) -> None:
    due = evenly(ramps)
    total = integral(ramps, sum(length for length, _, _ in ramps))
    assert abs(len(due) - total) <= 1
    assert len(due) in (math.ceil(total), math.ceil(total - Fraction(2, 10**6)))
    for k, at in enumerate(due):
        # Within a nanosecond, or where the integral is as good as k: near a rate of 0 it hardly rises.
        assert integral(ramps, at - 1) <= k + Fraction(1, 10**6)
        assert integral(ramps, at + 1) >= k - Fraction(1, 10**6)
    assert due == sorted(due)


@given(_ramps, st.integers(1, 5), st.booleans())
def test_all_engines_together_play_one_schedule(ramps: tuple[Ramp, ...], parts: int, poisson: bool) -> None:
    def of(part: int, parts: int) -> list[int]:
        found = ramped_ns(ramps, poisson=poisson, seed=3, part=part, parts=parts, length_ns=1 << 60)
        return found.tolist()  # type: ignore[no-any-return]

    whole = of(0, 1)
    assert sorted(at for part in range(parts) for at in of(part, parts)) == whole


@given(st.floats(0.1, 2000), st.integers(1, 4))
def test_a_single_step_is_a_constant_rate(rate: float, parts: int) -> None:
    def of(ramps: tuple[Ramp, ...]) -> NDArray[np.int64]:
        return offsets_ns(
            rate_per_s=rate, poisson=False, seed=1, part=parts - 1, parts=parts, length_ns=2 * S, ramps=ramps
        )

    constant, ramped = of(()), of(((2 * S, rate, rate),))
    assert abs(len(constant) - len(ramped)) <= 1
    both = min(len(constant), len(ramped))
    assert np.abs(constant[:both] - ramped[:both]).max(initial=0) <= 1


def test_a_rate_of_zero_is_a_pause() -> None:
    due = evenly(((S, 10.0, 10.0), (S, 0.0, 0.0), (S, 10.0, 10.0)))
    assert [at for at in due if S <= at < 2 * S] == []
    assert due[:2] == [0, S // 10]
    assert due[10] == 2 * S  # operation 10 would be due when the first second ends: it comes after the pause
    assert len(due) == 20
    assert evenly(((S, 0.0, 0.0), (S, 2.0, 2.0))) == [S, S + S // 2]


def test_a_poisson_process_follows_the_rate() -> None:
    ramps = ((10 * S, 0.0, 2000.0), (10 * S, 500.0, 500.0))
    due = ramped_ns(ramps, poisson=True, seed=7, part=0, parts=1, length_ns=20 * S)
    first, second = int((due < 10 * S).sum()), int((due >= 10 * S).sum())
    assert abs(first - 10_000) < 5 * 100
    assert abs(second - 5_000) < 5 * 71
    early = int((due < 5 * S).sum())  # a quarter of the ramp's operations
    assert abs(early - 2_500) < 5 * 50
    assert np.array_equal(due, ramped_ns(ramps, poisson=True, seed=7, part=0, parts=1, length_ns=20 * S))
    gaps = np.diff(due[due >= 10 * S])
    assert 0.9 < gaps.std() / gaps.mean() < 1.1  # exponential: deviation and mean are equal


def test_the_plan_has_length_and_mean_rate_of_its_stages() -> None:
    stages = parse_stages("10s:100/s,10s@300/s")
    plan = HttpPlan(requests=(HttpRequest(url="http://h/"),), stages=stages, poisson=True)
    assert (plan.duration_ns, plan.rate_per_s) == (20 * S, 175.0)
    assert mean_per_s(stages) == 175.0
    assert HttpPlan.from_dict(plan.to_dict()) == plan
    assert "stages" not in HttpPlan(requests=plan.requests).to_dict()


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((Stage(duration_ns=S, rate_per_s=0.0),), "no request is due in any stage"),
        ((Stage(duration_ns=S // 2, rate_per_s=5.0),), "at least 1s together"),
        ((Stage(duration_ns=S, rate_per_s=2e7),), "the rate of a stage must be 0 to 10,000,000/s"),
        ((Stage(duration_ns=-S, rate_per_s=1.0),), "must not be negative"),
        ((Stage(duration_ns=S, rate_per_s=math.nan),), "the rate of a stage"),
        ((Stage(duration_ns=S, rate_per_s=1.0),) * 1001, "at most 1000"),
    ],
)
def test_stages_that_cannot_be_played_are_refused(stages: tuple[Stage, ...], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        HttpPlan(requests=(HttpRequest(url="http://h/"),), stages=stages)


def test_the_command_line_prints_and_reads_stages(tmp_path: Path) -> None:
    plan = plan_data("http", "http://h/", "--stages", "1s:10/s,2s@20/s", "--poisson")
    assert plan["stages"] == [
        {"duration_ns": S, "rate_per_s": 10.0, "step": False},
        {"duration_ns": 2 * S, "rate_per_s": 20.0, "step": True},
    ]
    assert (plan["duration_ns"], plan["poisson"]) == (3 * S, True)
    (file := tmp_path / "plan.toml").write_text(
        '[[requests]]\nurl = "http://h/"\n\n[[stages]]\nduration_ns = 1000000000\nrate_per_s = 4\n'
    )
    assert plan_data("http", "--plan", file)["rate_per_s"] == 2.0
    changed = plan_data("http", "--plan", file, "--rate", "7/s", "-d", "5s")
    assert ("stages" in changed, changed["rate_per_s"], changed["duration_ns"]) == (False, 7.0, 5 * S)


@pytest.mark.parametrize("more", [["--rate", "5/s"], ["-d", "5s"], ["--warmup", "1s"]])
def test_stages_exclude_what_they_say_themselves(more: list[str]) -> None:
    assert "stages" in refusal("http", "http://h/", "--stages", "1s:10/s", *more)


def test_arrivals_keep_their_ramps_on_the_wire() -> None:
    ramps = ramps_of(parse_stages("1s:10/s,2s@20/s"))
    kept = Arrivals(rate_per_s=1.0, poisson=False, seed=1, part=0, parts=1, max_backlog=1, ramps=ramps)
    assert kept.ramps == ((S, 0.0, 10.0), (2 * S, 20.0, 20.0))
