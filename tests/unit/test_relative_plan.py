"""The plan of `loadgen relative`, its recipes, the order of its rounds, and the numbers in outputs."""

from __future__ import annotations

from collections import Counter

import pytest

from coordinator.cli.relative import relative
from coordinator.kinds.relative import kind as kind_module
from coordinator.kinds.relative.kind import RoundKind, check_programs
from coordinator.kinds.relative.numbers import NoNumberError, last_lines, read_numbers
from coordinator.kinds.relative.order import order_of
from coordinator.kinds.relative.player import work_of
from coordinator.kinds.relative.recipes import RECIPES
from deploy.commands.here import Ns
from loadgen.model.errors import PlanError
from loadgen.model.limits import NO_LIMITS, VmLimits
from loadgen.model.relative import Better, Metric, RelativePlan

COMMAND = RelativePlan(command=("true",))


def test_a_plan_reads_back() -> None:
    plan = RelativePlan(
        environments=("ns", "bare"),
        command=("sh", "-c", "echo 1"),
        metrics=(Metric(pattern="(1)", better=Better.LOWER),),
        vm_limits=VmLimits(cpus=0.5, memory_bytes=1 << 26),
        vms=3,
    )
    assert RelativePlan.from_dict(plan.to_dict()) == plan
    assert RelativePlan.from_dict(COMMAND.to_dict()) == COMMAND


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "there is no command to run"),
        ({"command": ["a"], "recipe": "micro"}, "a command and a recipe are both given"),
        ({"recipe": "micro", "prepare": "true"}, "brings its own preparation"),
        ({"command": ["a"], "environments": []}, "there is no environment"),
        ({"command": ["a"], "environments": ["ns", "ns"]}, "an environment is given twice: ns, ns"),
        ({"command": ["a"], "trials": 0}, "trials must be 1 to 10000, got 0"),
        ({"command": ["a"], "vms": 0}, "vms must be 1 to 1024, got 0"),
        ({"command": ["a"], "warmups": -1}, "warmups must be 0 to 10000, got -1"),
        ({"command": ["a"], "timeout_ns": 0}, "the timeout must be more than 0s"),
        ({"recipe": "micro", "timeout_ns": 5, "duration_ns": 5}, "the timeout must be longer"),
        ({"command": ["a"], "metrics": [{"pattern": "a("}]}, "'a\\(' is not a regular expression"),
        ({"command": ["a"], "metrics": [{"pattern": "a"}]}, "must have one group"),
        ({"command": ["a"], "metrics": [{"pattern": "(a)(b)"}]}, "must have one group"),
    ],
)
def test_a_wrong_plan_is_one_clear_line(changes: dict[str, object], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        RelativePlan.from_dict(changes)


def test_each_round_has_each_environment_once_in_an_order_by_the_seed() -> None:
    plan = RelativePlan(environments=("a", "b", "c"), command=("true",), trials=60)
    orders = [order_of(plan, number) for number in range(1, 61)]
    assert orders == [order_of(plan, number) for number in range(1, 61)]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
    assert min(Counter(order[0] for order in orders).values()) >= 10
    other = RelativePlan(environments=("a", "b", "c"), command=("true",), trials=60, seed=2)
    assert orders != [order_of(other, number) for number in range(1, 61)]


def test_numbers_of_one_group_are_the_last_match() -> None:
    (found,) = read_numbers((Metric(pattern=r"tps = ([0-9.,]+)", unit="1/s"),), "tps = 1\ntps = 1,234.5 (more)\n")
    assert (found.name, found.value, found.unit) == ("metric", 1234.5, "1/s")


def test_named_groups_give_a_number_for_each_match() -> None:
    metric = Metric(pattern=r"^(?P<name>.+): (?P<value>\d+) us$", better=Better.LOWER)
    found = read_numbers((metric,), "fork: 12 us\nexec: 400 us\nnot: x us\n")
    assert [(one.name, one.value) for one in found] == [("fork", 12.0), ("exec", 400.0)]


@pytest.mark.parametrize(("pattern", "said"), [("x = (.*)", "no match"), ("y = (.*)", "'many', which is not a number")])
def test_an_output_without_the_number_says_so(pattern: str, said: str) -> None:
    with pytest.raises(NoNumberError, match=said):
        read_numbers((Metric(pattern=pattern),), "y = many\n")


def test_the_last_lines_leave_out_empty_ones() -> None:
    assert last_lines("a\n\nb \n\n", 5) == ["a", "b"]
    assert last_lines("a\nb\nc", 2) == ["b", "c"]


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = work_of(RelativePlan(recipe=name))
    assert work.command[:2] == ("/bin/sh", "-c")
    assert work.command[2].startswith("DURATION_S=5\n")
    assert RECIPES[name].about in " ".join(option.help or "" for option in relative.params if hasattr(option, "help"))
    monkeypatch.setattr(kind_module, "_is_there", lambda program: False)
    with pytest.raises(PlanError, match=f"the recipe {name} needs ") as caught:
        check_programs(RelativePlan(recipe=name))
    assert RECIPES[name].programs[0].package in caught.value.hint
    assert "\n" not in caught.value.message


def test_a_missing_program_or_recipe_is_found_before_the_first_trial() -> None:
    with pytest.raises(PlanError, match="there is no program 'no-such-program'"):
        check_programs(RelativePlan(command=("no-such-program",)))
    with pytest.raises(PlanError, match="there is no recipe 'nothing'"):
        check_programs(RelativePlan(recipe="nothing"))
    with pytest.raises(PlanError, match="there is no environment 'xen'"):
        RoundKind().settle(RelativePlan(environments=("xen",), command=("true",)), None)


def test_ns_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(PlanError, match="the environment ns needs root") as caught:
        Ns().check(NO_LIMITS)
    assert "--env bare" in caught.value.hint
