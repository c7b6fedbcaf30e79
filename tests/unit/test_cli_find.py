"""The options of --find: what they accept, and how a search is repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.cli.find_options import _REPEATS, find_experiment
from coordinator.experiment.find import FindCapacity
from loadgen.model.errors import PlanError
from loadgen.model.plan import SpecPlan
from loadgen.model.units import NS_PER_S
from loadgen.verdict.capacity import Search
from tests.support.printed_plans import plan_data, plan_toml, refusal

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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rate", "9/s"), "--find needs objectives (--slo)"),
        (("--slo", "p99<1s"), "--find needs a rate to begin at (--rate)"),
        ((), "--find needs a rate to begin at (--rate) and objectives (--slo)"),
        (
            ("--rate", "9/s", "--slo", "p99<1s", "-n", "500"),
            "--find chooses the rate itself, and cannot be combined with -n",
        ),
        (
            ("--stages", "9s:9/s", "--slo", "p99<1s"),
            "--find chooses the rate itself, and cannot be combined with --stages",
        ),
    ],
)
def test_a_search_for_a_rate_needs_a_rate_and_objectives(words: tuple[str, ...], message: str) -> None:
    assert refusal("http", "http://127.0.0.1/", "--find", "rate", *words) == message


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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), (10, 1)),
        (("--profile", "quick"), (10, 1)),
        (("--duration", "5s"), (5, 1)),
        (("--iterations", "2"), (10, 2)),
        (("--profile", "full"), (1200, 1)),
    ],
)
def test_runs_of_a_search_are_short(words: tuple[str, ...], expected: tuple[int, int]) -> None:
    phases = plan_data("spec", "--find", "vms", *words)["phases"]
    assert (phases["measure_ns"] // NS_PER_S, phases["iterations"]) == expected


def test_a_search_keeps_the_windows_of_a_plan_file(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(plan_toml("spec", "--duration", "7s"))
    assert plan_data("spec", "--find", "vms", "--plan", file)["phases"]["measure_ns"] == 7 * NS_PER_S
