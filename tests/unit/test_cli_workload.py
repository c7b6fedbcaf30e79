"""--workload of `loadgen spec`, and of the commands that make what its servers need."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadgen.model.bound import Bound
from loadgen.model.plan import SpecPlan
from loadgen.model.units import NS_PER_S
from tests.support.printed_plans import plan_data, plan_toml, refusal

SUPPORT = Bound.time(3 * NS_PER_S, 5 * NS_PER_S)


def printed(*arguments: str | Path) -> SpecPlan:
    data = plan_data("spec", *arguments)
    data.pop("fleet", None)
    return SpecPlan.from_dict(data)


def test_a_workload_has_defaults_of_its_own() -> None:
    plan = printed("--workload", "support")
    assert (plan.workload, plan.bound, plan.line_bps, plan.paced_reads) == ("support", SUPPORT, 800_000, True)
    assert plan.vms == 16


def test_options_override_the_defaults_of_a_workload() -> None:
    plan = printed("--workload", "support", "--bound", "time:2s/4s", "--line-speed", "8M", "--no-paced-reads")
    assert plan.bound == Bound.time(2 * NS_PER_S, 4 * NS_PER_S)
    assert (plan.line_bps, plan.paced_reads) == (8_000_000, False)


def test_the_default_workload_is_not_written_down() -> None:
    assert printed("--workload", "specweb99") == printed()
    assert "workload" not in plan_data("spec")


def test_a_plan_file_may_name_the_workload_only(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('workload = "support"\nvms = 3\n')
    plan = printed("--plan", path)
    assert (plan.workload, plan.vms, plan.bound, plan.line_bps) == ("support", 3, SUPPORT, 800_000)


def test_a_printed_plan_of_a_workload_reads_back(tmp_path: Path) -> None:
    path, given = tmp_path / "plan.toml", ("--workload", "support", "--vms", "2", "--bound", "time:1s/2s")
    path.write_text(plan_toml("spec", *given))
    assert printed("--plan", path) == printed(*given)
    assert printed("--plan", path, "--workload", "support") == printed(*given)


def test_settings_of_another_workload_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text("line_bps = 400000\n")
    said = refusal("spec", "--plan", path, "--workload", "support")
    assert "sets line_bps for another workload than support" in said
    path.write_text('workload = "support"\npaced_reads = true\n')
    said = refusal("spec", "--plan", path, "--workload", "specweb99")
    assert "sets paced_reads for another workload than specweb99" in said


@pytest.mark.parametrize("text", ['workload = "gopher"', "workload = 7"])
def test_an_unknown_workload_in_a_plan_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text + "\n")
    said = refusal("spec", "--plan", path)
    assert "workload" in said
    assert "Traceback" not in said
