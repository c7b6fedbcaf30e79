"""The search for a capacity: simulated servers whose capacity is known."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.record.find_result import Find, Wanted
from loadgen.model.errors import PlanError
from loadgen.verdict.capacity import Capacity, Found, Search, Seen, Trial
from tests.support import finds

Server = Callable[[int], Seen]


def exactly(capacity: int) -> Server:
    return lambda value: Seen.HELD if value <= capacity else Seen.FAILED


def varying(capacity: float, spread: float, seed: int) -> Server:
    """Each run has its own capacity."""
    chance = random.Random(seed)
    return lambda value: Seen.HELD if value <= chance.gauss(capacity, spread * capacity) else Seen.FAILED


def play(search: Search, server: Server) -> tuple[list[Trial], Capacity]:
    trials: list[Trial] = []
    while (value := search.next(trials)) is not None:
        trials.append(Trial(value, server(value)))
    return trials, search.answer(trials)


def test_the_number_of_runs_that_are_left_ends_at_zero() -> None:
    search, server = Search(start=16), varying(100.5, 0.1, 1)
    trials, _ = play(search, server)
    left = [search.runs_left(trials[:count]) for count in range(len(trials) + 1)]
    assert left[-1] == 0
    assert min(left[:-1]) >= 1
    assert max(left) <= 30


@pytest.mark.parametrize("capacity", [137, 11, 800, 1, 16, 4096])
@pytest.mark.parametrize("start", [1, 16, 500])
def test_a_capacity_is_found_exactly(capacity: int, start: int) -> None:
    trials, answer = play(Search(start=start, step=1), exactly(capacity))
    assert (answer.found, answer.value, answer.low, answer.high) == (Found.EXACT, capacity, capacity, capacity)
    assert sum(trial.value == capacity for trial in trials) == sum(trial.value == capacity + 1 for trial in trials) == 4


@given(capacity=st.integers(1, 100_000), start=st.integers(1, 1000), step=st.integers(0, 50))
def test_the_interval_of_a_steady_capacity_holds_it(capacity: int, start: int, step: int) -> None:
    trials, answer = play(Search(start=start, step=step, runs=80), exactly(capacity))
    if answer.found is Found.NONE:
        assert capacity < 1
        return
    assert answer.found is Found.EXACT
    assert answer.low <= capacity <= answer.high
    assert answer.high - answer.low < answer.step
    assert len(trials) < 50


def test_a_server_that_never_holds_has_no_capacity() -> None:
    assert play(Search(start=16), exactly(0))[1].found is Found.NONE


def test_what_may_not_be_tried_is_a_lower_bound() -> None:
    trials, answer = play(Search(start=10, greatest=100), exactly(1000))
    assert (answer.found, answer.value, answer.high) == (Found.AT_LEAST, 100, 0)
    assert not answer.invalid_above
    assert max(trial.value for trial in trials) == 100


def test_a_server_that_was_slow_once_is_not_said_to_vary_around_what_may_not_be_tried() -> None:
    """It holds whatever is tried, except for two runs of many."""
    slow = {2, 12}
    trials: list[Trial] = []
    search = Search(start=20, greatest=160, repeats=2)
    while (value := search.next(trials)) is not None:
        trials.append(Trial(value, Seen.FAILED if len(trials) + 1 in slow else Seen.HELD))
    found = search.answer(trials)
    assert (found.found, found.value, found.high) == (Found.AT_LEAST, found.low, 0)
    assert 40 < found.value <= 160
    steps = tuple(finds.step(trial, Wanted.RATE) for trial in trials)
    said = Find(wanted=Wanted.RATE, search=search, steps=steps).reasons
    assert said[0].startswith("runs disagree, but most runs conform even at 160 requests/s")


def test_a_generator_that_is_too_weak_is_a_lower_bound() -> None:
    def server(value: int) -> Seen:
        return Seen.UNKNOWN if value > 300 else exactly(400)(value)

    _, answer = play(Search(start=20, step=1), server)
    assert (answer.found, answer.value, answer.invalid_above) == (Found.AT_LEAST, 300, True)


def test_invalid_runs_are_tried_again_and_never_counted() -> None:
    chance = random.Random(3)

    def server(value: int) -> Seen:
        return Seen.UNKNOWN if chance.random() < 0.15 else exactly(137)(value)

    for _ in range(20):
        _, answer = play(Search(start=20, step=1), server)
        assert answer.low <= 137
        assert not answer.high or answer.high >= 137


def test_a_search_without_a_valid_run_gives_up_soon() -> None:
    trials, answer = play(Search(start=1000), lambda value: Seen.UNKNOWN)
    assert answer.found is Found.UNKNOWN
    assert len(trials) <= 6


@pytest.mark.parametrize("capacity", [11.5, 137.5, 800.5])
@pytest.mark.parametrize("spread", [0.003, 0.01, 0.03, 0.1])
def test_the_interval_of_a_varying_capacity_holds_it(capacity: float, spread: float) -> None:
    found = [play(Search(start=10), varying(capacity, spread, seed))[1] for seed in range(20)]
    assert sum(one.low <= capacity < one.high + 1 for one in found) >= 19
    if spread * capacity > 2:  # more than the numbers next to each other differ
        assert sum(one.found is Found.VARYING for one in found) >= 15


def test_a_varying_capacity_widens_the_interval() -> None:
    def width(spread: float) -> float:
        found = [play(Search(start=16), varying(500.5, spread, seed))[1] for seed in range(10)]
        return sum(one.high - one.low for one in found) / len(found)

    assert width(0.0) < width(0.03) < width(0.1) < width(0.3)


def test_a_curve_that_is_not_monotonic_is_said() -> None:
    runs = iter(range(1000))

    def server(value: int) -> Seen:
        return exactly(100 if next(runs) % 3 == 1 else 260)(value)

    _, answer = play(Search(start=120), server)
    assert answer.found is Found.VARYING
    assert answer.contradiction is not None
    failed, held = answer.contradiction
    assert failed < held


@pytest.mark.parametrize("period", [2, 3, 4])
@pytest.mark.parametrize("phase", [0, 1])
@pytest.mark.parametrize("capacity", [11, 137, 800])
def test_a_capacity_that_changes_in_step_with_the_runs_is_said(capacity: int, phase: int, period: int) -> None:
    """Plain turns between two numbers would meet one of them in good runs only, and the other one in bad ones."""
    runs = iter(range(phase, 1000))

    def server(value: int) -> Seen:
        return exactly(capacity * 6 // 10 if next(runs) % period == 0 else capacity)(value)

    _, answer = play(Search(start=16), server)
    assert answer.found is Found.VARYING
    assert answer.low < capacity
    assert answer.high >= capacity * 6 // 10


def test_a_search_that_was_stopped_is_open() -> None:
    search = Search(start=16, step=1)
    answer = search.answer([Trial(16, Seen.HELD), Trial(32, Seen.FAILED)])
    assert (answer.found, answer.low, answer.high) == (Found.OPEN, 16, 31)
    assert search.answer([]).found is Found.OPEN


@pytest.mark.parametrize("rules", [{"start": 0}, {"start": 5, "greatest": 4}, {"start": 1, "repeats": 0}])
def test_rules_that_contradict_each_other_are_refused(rules: dict[str, int]) -> None:
    with pytest.raises(PlanError):
        Search(**rules)


def test_an_answer_lies_within_what_may_be_tried() -> None:
    """Also the threshold of runs that disagree at the edges of the search."""
    for least, greatest, capacity in ((1, 100, 1.0), (1, 12, 12.0), (5, 30, 5.0)):
        for seed in range(20):
            search = Search(start=least + 1, least=least, greatest=greatest)
            _, answer = play(search, varying(capacity, 0.4, seed))
            if answer.value:
                assert least <= answer.low <= answer.value <= answer.high <= greatest or not answer.high


def test_that_nothing_holds_is_confirmed_as_every_answer() -> None:
    trials, answer = play(Search(start=2), exactly(0))
    assert answer.found is Found.NONE
    assert [trial.value for trial in trials] == [2, 1, 1, 1, 1]


def test_failed_runs_above_runs_that_are_not_valid_are_an_upper_bound() -> None:
    _, answer = play(Search(start=4), lambda value: Seen.UNKNOWN if value < 2 else Seen.FAILED)
    assert (answer.found, answer.value, answer.high) == (Found.UNKNOWN, 0, 1)
