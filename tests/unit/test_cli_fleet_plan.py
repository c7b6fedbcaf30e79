"""Load machines in plan files and records: restored, overridden, or refused with the reason."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.record.document import unfinished
from coordinator.record.fleet import FleetRecord
from tests.support import results
from tests.support.printed_plans import plan_data, refusal

URL = "http://192.0.2.7/"
HOSTS: list[dict[str, Any]] = [{"name": "a"}, {"name": "b", "user": "alice", "port": 2222, "cores": 3}]


def fleet_of(*arguments: str | Path) -> dict[str, Any] | None:
    """Return the table [fleet] of the printed plan."""
    found: dict[str, Any] | None = plan_data("http", URL, *arguments).get("fleet")
    return found


@pytest.mark.parametrize(
    ("arguments", "table"),
    [
        ([], None),
        (["--engines", "2"], None),  # the number of engines on this machine is part of the plan
        (["--hosts", "a,alice@b:2222"], {"hosts": [{"name": "a"}, {"name": "b", "user": "alice", "port": 2222}]}),
        (
            ["--hosts", "a", "--coordinator", "192.0.2.1", "--engines", "2"],
            {"hosts": [{"name": "a"}], "coordinator": "192.0.2.1", "engines": 2},
        ),
        (["--scheduler", "tcp://a:1", "--workers", "3"], {"scheduler": "tcp://a:1", "workers": 3}),
        (["--listen", "[::1]:0", "--certs", "c"], {"listen": "[::1]:0", "certs": "c"}),
    ],
    ids=str,
)
def test_a_printed_fleet_lists_only_settings_that_differ_from_the_default(
    arguments: list[str], table: dict[str, Any] | None
) -> None:
    assert fleet_of(*arguments) == table


def plan_with(directory: Path, table: str) -> Path:
    file = directory / "plan.toml"
    file.write_text(f"[fleet]\n{table}\n")
    return file


@pytest.mark.parametrize(
    ("table", "arguments", "expected"),
    [
        ('scheduler = "tcp://a:1"', ["--workers", "5"], {"scheduler": "tcp://a:1", "workers": 5}),
        ('scheduler = "tcp://a:1"\nworkers = 5', ["--hosts", "c"], {"hosts": [{"name": "c"}]}),
        ('hosts = [{name = "a"}]', ["--coordinator", "b"], {"hosts": [{"name": "a"}], "coordinator": "b"}),
        ('hosts = [{name = "a"}]\nengines = 4', ["--engines", "2"], {"hosts": [{"name": "a"}], "engines": 2}),
        ('listen = "a:1"\ncerts = "c"', ["--certs", "d"], {"listen": "a:1", "certs": "d"}),
    ],
)
def test_options_override_the_fleet_of_a_plan(
    tmp_path: Path, table: str, arguments: list[str], expected: dict[str, Any]
) -> None:
    assert fleet_of("--plan", plan_with(tmp_path, table), *arguments) == expected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('host = "a"', "unknown key fleet.host"),
        ('scheduler = "b"\nworkers = 0', "fleet.workers must be at least 1, got 0"),
        ("engines = true", "fleet.engines must be a whole number, got true"),
        ("scheduler = 1", "fleet.scheduler must be a text, got 1"),
        ('scheduler = {a-b = 1, "c\\n" = 2}', r"fleet.scheduler must be a text, got {a-b = 1, 'c\n' = 2}"),
        ('hosts = "a"', "fleet.hosts must be a list, got 'a'"),
        ("hosts = [1]", "fleet.hosts[0] must be a table, got 1"),
        ('hosts = [{name = "a", prot = 1}]', "unknown key fleet.hosts[0].prot"),
        ('hosts = [{name = "a b"}]', "'a b' is not a valid host name"),
        ('listen = "a"\ncerts = "c"', "'a' is not HOST:PORT"),
        ('listen = "a:1"', "fleet.listen and fleet.certs must be given together"),
        ('hosts = [{name = "a"}]\nscheduler = "b"', "fleet.hosts and fleet.scheduler cannot be combined"),
    ],
)
def test_mistakes_in_a_fleet_table_are_named_with_the_file(tmp_path: Path, table: str, message: str) -> None:
    file = plan_with(tmp_path, table)
    said = refusal("http", URL, "--plan", file)
    assert said.startswith(f"{file}: ")
    assert message in said


def recorded(directory: Path, way: str, hosts: list[dict[str, Any]], choice: dict[str, Any] | None = None) -> Path:
    """Return a record of loadgen spec with the parts that a replay reads."""
    header = results.header()
    plan = dataclasses.replace(header.plan, vm_address="192.0.2.1")
    fleet = FleetRecord(way=way, run_id="1", hosts=hosts, choice=choice or {})
    directory.mkdir()
    document = unfinished(dataclasses.replace(header, plan=plan, fleet=fleet))
    (directory / "run.json").write_text(json.dumps(document))
    return directory


def test_a_replay_restores_hosts(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", "ssh", HOSTS)
    assert plan_data("spec", "--replay", run)["fleet"] == {"hosts": HOSTS}
    assert plan_data("spec", "--replay", run, "--hosts", "c")["fleet"] == {"hosts": [{"name": "c"}]}


def test_a_replay_of_a_run_from_this_machine_has_no_fleet(tmp_path: Path) -> None:
    assert "fleet" not in plan_data("spec", "--replay", recorded(tmp_path / "run", "local", []))


@pytest.mark.parametrize(
    ("way", "reason", "instead"),
    [
        ("join", "the record does not say where its load machines joined", ("--listen", "127.0.0.1:0", "--certs", "c")),
        ("scheduler", "the record does not say where its Dask scheduler was", ("--scheduler", "tcp://a:1")),
    ],
)
def test_a_replay_reports_why_it_cannot_restore_the_fleet(
    tmp_path: Path, way: str, reason: str, instead: tuple[str, ...]
) -> None:
    run = recorded(tmp_path / "run", way, [])
    assert reason in refusal("spec", "--replay", run)
    assert plan_data("spec", "--replay", run, *instead)["fleet"]


@pytest.mark.parametrize("fleet", [[], {}, {"way": "balloon"}, {"way": "ssh", "hosts": 3}, {"way": "ssh", "hosts": []}])
def test_a_damaged_fleet_in_a_record_is_named_with_the_file(tmp_path: Path, fleet: object) -> None:
    run = recorded(tmp_path / "run", "ssh", HOSTS)
    document = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**document, "fleet": fleet}))
    said = refusal("spec", "--replay", run)
    assert said.startswith(f"{run / 'run.json'}")
    assert "fleet" in said


def test_a_replay_restores_the_users_choice(tmp_path: Path) -> None:
    choice = {"scheduler": "tcp://a:1", "workers": 3}
    run = recorded(tmp_path / "run", "scheduler", [], choice)
    assert plan_data("spec", "--replay", run)["fleet"] == choice
