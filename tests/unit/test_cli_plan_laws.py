"""Every plan of every command can be printed as TOML and read back, with its load machines."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.cli.fleet_plan import choice_from_table, choice_to_table
from coordinator.cli.plan_options import plan_text, start_from
from coordinator.fleet.choice import FleetChoice
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.plan import SpecPlan
from loadgen.model.probe import ForwardPlan, IperfPlan
from tests.support import plan_values
from tests.support.printed_plans import plan_toml

Plan = SpecPlan | HttpPlan | IperfPlan | ForwardPlan

KINDS: dict[str, tuple[type[Plan], st.SearchStrategy[Any]]] = {
    "spec": (SpecPlan, plan_values.spec_plans()),
    "http": (HttpPlan, plan_values.http_plans()),
    "iperf": (IperfPlan, plan_values.iperf_plans()),
    "forward": (ForwardPlan, plan_values.forward_plans()),
}
TAKE_A_FLEET = ("spec", "http")

kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans") / "plan.toml"


@kinds
@given(data=st.data())
def test_a_plan_file_reads_back_to_the_plan_and_the_load_machines(kind: str, file: Path, data: st.DataObject) -> None:
    of, plans = KINDS[kind]
    plan = data.draw(plans)
    choice = data.draw(plan_values.choices) if kind in TAKE_A_FLEET else None
    file.write_text(plan_text(plan, choice, comment="A line."), encoding="utf-8")
    start = start_from(kind, file, None, fleet=kind in TAKE_A_FLEET)
    assert start.read(of.from_dict) == plan
    if choice:
        assert (start.choice() or FleetChoice()) == (choice if choice_to_table(choice) else FleetChoice())


@kinds
@given(data=st.data())
def test_a_command_prints_the_plan_that_it_read(kind: str, file: Path, data: st.DataObject) -> None:
    """A command neither adds anything to a complete plan, nor leaves anything out."""
    _, plans = KINDS[kind]
    plan = data.draw(plans)
    choice = data.draw(plan_values.choices) if kind in TAKE_A_FLEET else None
    if isinstance(plan, SpecPlan):
        plan = dataclasses.replace(plan, vm_address="192.0.2.7")  # load machines can reach it
    text = plan_text(plan, choice)
    file.write_text(text, encoding="utf-8")
    assert plan_toml(kind, "--plan", file) == text


@kinds
@given(data=st.data())
def test_a_plan_survives_json(kind: str, data: st.DataObject) -> None:
    of, plans = KINDS[kind]
    plan = data.draw(plans)
    assert of.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@given(plan_values.choices)
def test_a_fleet_survives_conversion_to_a_table(choice: FleetChoice) -> None:
    table = choice_to_table(choice)
    assert choice_from_table(table) == (choice if table else FleetChoice())


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


def tables_in(plain: Any) -> list[dict[str, Any]]:
    """Return all tables in plain data, including the outermost one."""
    if isinstance(plain, dict):
        return [plain, *(table for value in plain.values() for table in tables_in(value))]
    return [table for value in plain for table in tables_in(value)] if isinstance(plain, list) else []


def spoil(plain: dict[str, Any], data: st.DataObject) -> None:
    """Replace one value at any depth by another value of any type."""
    table = data.draw(st.sampled_from(tables_in(plain)))
    key = data.draw(st.one_of(st.sampled_from(sorted(table)), st.text(max_size=5)) if table else st.text(max_size=5))
    table[key] = data.draw(JSON)


def read(from_dict: Callable[[dict[str, Any]], Any], plain: dict[str, Any]) -> Any:
    """Return the plan that is read, or the message of the error."""
    try:
        return from_dict(plain)
    except PlanError as error:
        return error.message


@kinds
@given(data=st.data())
def test_any_plan_file_is_a_plan_or_a_one_line_error(kind: str, data: st.DataObject) -> None:
    of, plans = KINDS[kind]
    plain = data.draw(plans).to_dict()
    spoil(plain, data)
    found = read(of.from_dict, plain)
    if isinstance(found, str):
        assert "\n" not in found
    else:
        assert of.from_dict(found.to_dict()) == found


@given(choice=plan_values.choices, data=st.data())
def test_any_fleet_table_is_a_choice_or_a_one_line_error(choice: FleetChoice, data: st.DataObject) -> None:
    table = choice_to_table(choice)
    spoil(table, data)
    found = read(choice_from_table, table)
    assert isinstance(found, FleetChoice) or "\n" not in found
