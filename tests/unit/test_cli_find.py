"""The options of --find: what they accept, and how a search is repeated."""

from __future__ import annotations

import pytest

from coordinator.cli.find_options import _REPEATS, find_experiment
from coordinator.experiment.find import FindCapacity
from loadgen.model.errors import PlanError
from loadgen.model.plan import SpecPlan
from loadgen.verdict.capacity import Search
from tests.support.printed_plans import refusal

GIVEN = {"find": "vms", "find_max": None, "find_step": None, "find_repeats": None}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--find-step", "2"), "--find-step needs --find"),
        (("--find", "vms", "--vms", "1,2"), "--find chooses the numbers itself, but --vms is a list"),
        (("--find", "vms", "--vms", "4", "--find-max", "2"), "--find-max is 2, but the search begins at 4"),
        (
            ("--find", "vms", "--vms", "4", "--base-port", "65500", "--find-max", "100"),
            "--find-max is 100, but targets, addresses or ports are left for 36 VMs only",
        ),
    ],
)
def test_what_a_search_refuses(words: tuple[str, ...], message: str) -> None:
    assert refusal("spec", *words) == message


def test_a_search_for_a_rate_needs_a_rate_and_objectives() -> None:
    for words in (("--rate", "9/s"), ("--slo", "p99<1s"), ("--rate", "9/s", "--slo", "p99<1s", "-n", "5")):
        assert refusal("http", "http://127.0.0.1/", "--find", "rate", *words).startswith("--find needs --rate")


def test_the_help_states_the_default_number_of_repeats() -> None:
    assert Search.repeats == _REPEATS


@pytest.mark.parametrize("most", [0, 36])
def test_a_search_does_not_leave_the_room_that_there_is(most: int) -> None:
    experiment = find_experiment(GIVEN, SpecPlan(vms=4), 4, most=most)
    assert isinstance(experiment, FindCapacity)
    assert experiment.search.greatest == (most or 1 << 20)


def test_a_search_that_begins_beyond_the_room_is_refused() -> None:
    with pytest.raises(PlanError, match="begins at 64"):
        find_experiment(GIVEN, SpecPlan(vms=64), 64, most=36)
