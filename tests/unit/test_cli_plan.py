"""The plan that is made from options, plan files and records."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from coordinator.cli import app
from coordinator.cli.spec import spec
from coordinator.record.document import unfinished
from coordinator.record.kinds import KIND_SWEEP
from deploy.vms.catalog import DRIVERS
from loadgen.model.bound import Bound
from loadgen.model.entry import Entry
from loadgen.model.plan import FULL, QUICK, LastAd, Phases, Server, SpecPlan
from loadgen.model.sending import EngineKind, Timestamps
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support import results
from tests.support.printed_plans import plan_data, refusal

CORES = len(os.sched_getaffinity(0))
DEFAULT = SpecPlan(engines=min(CORES, 320))

TARGETS = '[[target]]\nname = "a"\nhost = "192.0.2.1"\nport = 80\n[[target]]\nname = "b"\nhost = "::1"\nport = 81\n'
TWO = (Target(name="a", host="192.0.2.1", port=80), Target(name="b", host="::1", port=81))


def printed(*arguments: str | Path) -> SpecPlan:
    """Return the plan that these options make."""
    data = plan_data("spec", *arguments)
    data.pop("fleet", None)
    return SpecPlan.from_dict(data)


def refused(*arguments: str | Path) -> str:
    """Return the message with which these options are refused."""
    return refusal("spec", *arguments)


def at(phases: Phases = QUICK, **changes: Any) -> dict[str, Any]:
    return {"phases": dataclasses.replace(phases, **changes)}


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        ([], {}),
        (["--vms", "4"], {"vms": 4}),
        (["--vms", "1,4,8"], {"vms": 8}),
        (["--connections", "7"], {"connections": 7}),
        (["--server", "nginx"], {"server": Server.NGINX}),
        (["--server", "auto"], {}),
        (["--profile", "quick"], {}),
        (["--profile", "full"], {"phases": FULL}),
        (["--ramp-up", "0"], at(ramp_up_ns=0)),
        (["--warmup", "250ms"], at(warmup_ns=250 * NS_PER_MS)),
        (["--duration", "3m"], at(measure_ns=180 * NS_PER_S)),
        (["--ramp-down", "7"], at(ramp_down_ns=7 * NS_PER_S)),
        (["--iterations", "1"], at(iterations=1)),
        (["--profile", "full", "--duration", "60s"], at(FULL, measure_ns=60 * NS_PER_S)),
        (["--duration", "60s", "--profile", "full"], at(FULL, measure_ns=60 * NS_PER_S)),
        (["--bound", "rate:100k"], {"bound": Bound.rate(100_000)}),
        (["--bound", "time:2s/4s"], {"bound": Bound.time(2 * NS_PER_S, 4 * NS_PER_S)}),
        (["--line-speed", "1.5M"], {"line_bps": 1_500_000}),
        (["--paced-reads"], {"paced_reads": True}),
        (["--no-paced-reads"], {}),
        (["--timeout", "3s"], {"timeout_ns": 3 * NS_PER_S}),
        (["--last-ad", "random"], {"last_ad": LastAd.RANDOM}),
        (["--fileset-per-vm"], {"fileset_per_vm": True}),
        (["--shared-fileset"], {}),
        (["--base-port", "8000"], {"base_port": 8000}),
        (["--engines", "3"], {"engines": 3}),
        (["--engine", "compiled"], {"engine": EngineKind.COMPILED}),
        (["--timestamps", "kernel"], {"timestamps": Timestamps.KERNEL}),
        (["--paced-reads", "--timestamps", "loop"], {"paced_reads": True, "timestamps": Timestamps.LOOP}),
        (["--source", "127.0.0.2,::1"], {"sources": ("127.0.0.2", "::1")}),
        (["--seed", "0"], {"seed": 0}),
        (["--vms", "1", "--connections", "1"], {"vms": 1, "connections": 1, "engines": 1}),
        (["--vms", "1,2", "--connections", "1"], {"vms": 2, "connections": 1, "engines": 1}),
    ],
    ids=" ".join,
)
def test_an_option_changes_only_its_own_field(arguments: list[str], changes: dict[str, Any]) -> None:
    assert printed(*arguments) == dataclasses.replace(DEFAULT, **changes)


def test_the_full_profile_has_the_durations_of_specweb99() -> None:
    phases = printed("--profile", "full").phases
    assert (phases.warmup_ns, phases.measure_ns) == (1200 * NS_PER_S, 1200 * NS_PER_S)
    assert (phases.ramp_up_ns, phases.ramp_down_ns) == (300 * NS_PER_S, 300 * NS_PER_S)
    assert phases.iterations == 3


def test_the_quick_profile_takes_less_than_90_seconds() -> None:
    phases = printed().phases
    assert sum(phases.length_ns(number) for number in range(phases.iterations)) < 80 * NS_PER_S


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    path = tmp_path / "targets.toml"
    path.write_text(TARGETS)
    return path


def test_the_number_of_vms_follows_from_the_targets(targets: Path) -> None:
    plan = printed("--targets", targets)
    assert (plan.vms, plan.targets) == (2, TWO)


def test_vms_selects_the_first_targets(targets: Path) -> None:
    assert [one.name for one in printed("--targets", targets, "--vms", "1").targets] == ["a"]
    assert "--vms asks for 3 VMs, but" in refused("--targets", targets, "--vms", "3")


def test_a_vm_driver_takes_targets_or_starts_servers(tmp_path: Path, targets: Path) -> None:
    assert printed("--vm-driver", "local") == DEFAULT
    assert printed("--vm-driver", "inventory", "--targets", targets) == printed("--targets", targets)
    assert refused("--vm-driver", "inventory") == "the VM driver inventory needs targets"
    assert refused("--vm-driver", "local", "--targets", targets).startswith("the VM driver local starts servers itself")
    unknown = refused("--vm-driver", "xen")
    assert "'xen' is not one of" in unknown
    assert all(repr(name) in unknown for name in DRIVERS)
    path = tmp_path / "plan.toml"
    path.write_text(TARGETS.replace("[[target]]", "[[targets]]"))
    assert printed("--plan", path, "--vm-driver", "inventory").targets == TWO
    local = printed("--plan", path, "--vm-driver", "local")
    assert (local.vms, local.targets) == (2, ())


class _Listed:
    """A driver of servers that run already, other than `inventory`."""

    starts_servers = False


def test_any_driver_of_servers_that_run_already_takes_targets(
    tmp_path: Path, targets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DRIVERS, "listed", Entry(f"{__name__}:_Listed", "listed servers"))
    plan = dataclasses.replace(DEFAULT, vm_driver="listed", targets=TWO, vms=2, engines=min(CORES, 40))
    path = tmp_path / "plan.toml"
    path.write_text('vm_driver = "listed"\n' + TARGETS.replace("[[target]]", "[[targets]]"))
    (option,) = [option for option in spec.params if option.name == "vm_driver"]
    assert isinstance(option.type, click.Choice)
    monkeypatch.setattr(option.type, "choices", tuple(DRIVERS))
    assert printed("--vm-driver", "listed", "--targets", targets) == plan
    assert printed("--plan", path) == plan
    assert printed("--plan", path, "--targets", targets) == plan
    assert refused("--vm-driver", "listed") == "the VM driver listed needs targets"
    assert printed("--plan", path, "--vms", "1").vm_driver == ""
    assert printed("--plan", path, "--vm-driver", "local").targets == ()
    path.write_text('vm_driver = "local"\n' + TARGETS.replace("[[target]]", "[[targets]]"))
    assert "cannot be combined with targets" in refused("--plan", path)
    assert printed("--plan", path, "--targets", targets).vm_driver == ""


def test_load_machines_must_be_able_to_reach_the_servers() -> None:
    assert "the VMs listen at 127.0.0.1, where load machines cannot reach them" in refused("--hosts", "a,b")
    assert printed("--hosts", "a,b", "--vm-address", "192.0.2.7").vm_address == "192.0.2.7"
    assert "'here' is not an IP address" in refused("--vm-address", "here")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--hosts a --scheduler tcp://b:1", "--hosts and --scheduler are given together"),
        ("--listen 127.0.0.1:0", "--listen needs --certs"),
        ("--certs x", "--certs is given without --listen"),
        ("--workers 2", "--workers is given without --listen or --scheduler"),
        ("--coordinator 192.0.2.1", "--coordinator is given without --hosts"),
        ("--listen 127.0.0.1:0 --certs x --vms 1,2 --vm-address 192.0.2.1", "workers that join serve one run"),
        ("--on-loss cry", "'cry' is not one of"),
    ],
)
def test_contradictory_options_for_load_machines_are_refused(arguments: str, message: str) -> None:
    assert message in refused(*arguments.split())


def test_options_override_the_plan_file_and_the_file_overrides_defaults(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('vms = 3\nconnections = 9\nserver = "apache"\n')
    mine = dataclasses.replace(DEFAULT, vms=3, connections=9, server=Server.APACHE, engines=min(CORES, 27))
    assert printed("--plan", path) == mine
    assert printed("--plan", path, "--connections", "8") == dataclasses.replace(mine, connections=8)
    assert printed("--plan", path, "--server", "auto").server is Server.AUTO
    assert printed("--plan", path, "--vms", "1", "--connections", "1").engines == 1


def test_a_plan_file_may_set_the_engines(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text("engines = 17\n")
    assert printed("--plan", path).engines == 17


def test_a_plan_file_with_targets_needs_no_number_of_vms(tmp_path: Path, targets: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(TARGETS.replace("[[target]]", "[[targets]]"))
    assert printed("--plan", path).targets == TWO
    assert printed("--plan", path).vms == 2
    other = printed("--plan", path, "--vms", "5")
    assert (other.vms, other.targets) == (5, ())
    targets.write_text(TARGETS.replace('"a"', '"c"'))
    assert [target.name for target in printed("--plan", path, "--targets", targets).targets] == ["c", "b"]


def record(directory: Path, plan: SpecPlan, kind: str = "spec") -> Path:
    """Return a record with the parts that a replay reads."""
    header = dataclasses.replace(results.header(), plan=plan)
    directory.mkdir()
    document = unfinished(header if kind == "spec" else dataclasses.replace(header, kind=KIND_SWEEP))
    (directory / "run.json").write_text(json.dumps(document))
    return directory


def test_a_replay_uses_the_plan_of_the_record_and_options_override_it(tmp_path: Path) -> None:
    plan = dataclasses.replace(DEFAULT, vms=2, connections=3, engines=5, seed=77)
    run = record(tmp_path / "run", plan)
    assert printed("--replay", run) == plan
    assert printed("--replay", run, "--seed", "1") == dataclasses.replace(plan, seed=1)


def test_a_sweep_is_replayed_by_its_points(tmp_path: Path) -> None:
    run = record(tmp_path / "run", DEFAULT, kind="sweep")
    assert "is a record of several runs" in refused("--replay", run)


def test_a_plan_and_a_replay_exclude_each_other(tmp_path: Path) -> None:
    run = record(tmp_path / "run", DEFAULT)
    (tmp_path / "plan.toml").write_text("")
    assert refused("--replay", run, "--plan", tmp_path / "plan.toml") == "--plan and --replay are both given"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vms", "0"], "the numbers must be positive and ascending"),
        (["--vms", "4,2"], "the numbers must be positive and ascending"),
        (["--vms", ""], "is not a number or a list of numbers"),
        (["--connections", "many"], "is not a valid integer"),
        (["--connections", "-1"], "connections must be at least 1, got -1"),
        (["--iterations", "0"], "iterations must be at least 1, got 0"),
        (["--duration", "999ms"], "the measured duration must be at least 1s, got 999ms"),
        (["--duration", "-1s"], "'-1s' is not a duration"),
        (["--server", "iis"], "'iis' is not one of"),
        (["--profile", "slow"], "'slow' is not one of"),
        (["--line-speed", "0"], "the line speed must be at least 8 bit/s, got 0"),
        (["--timeout", "0"], "the timeout must be more than 0s, got 0s"),
        (["--base-port", "65530"], "ports 65530..65545 are not all in 1..65535"),
        (["--engines", "0"], "engines must be between 1 and 320, the number of connections, got 0"),
        (["--engines", "321"], "engines must be between 1 and 320, the number of connections, got 321"),
        (["--engine", "steam"], "'steam' is not one of"),
        (["--timestamps", "tape"], "'tape' is not one of"),
        (["--source", "127.0.0.2,here"], "the source 'here' is not an IP address"),
        (["--timestamps", "kernel", "--paced-reads"], "with paced reads, the kernel's time stamps do not tell"),
        (["--timestamps", "kernel", "--engine", "python"], "only the compiled engine reads the kernel's time stamps"),
    ],
)
def test_invalid_values_are_named(arguments: list[str], message: str) -> None:
    assert message in refused(*arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conections = 3", "unknown key conections"),
        ('connections = "many"', "connections must be a whole number, got 'many'"),
        ("connections = 2.5", "connections must be a whole number, got 2.5"),
        ("vms = true", "vms must be a whole number, got true"),
        ("paced_reads = 1", "paced_reads must be true or false, got 1"),
        ('engine = "steam"', "engine must be auto, python or compiled, got 'steam'"),
        ("sources = [1]", "sources[0] must be a text, got 1"),
        ("phases = 3", "phases must be a table, got 3"),
        ("[phases]\niterations = 1", "phases.ramp_up_ns is missing"),
        ("[phases]\nlength = 1", "unknown key phases.length"),
        ('bound.kind = "x"', "bound.kind must be rate or time, got 'x'"),
        ("bound.kind = 1", "bound.kind must be rate or time, got 1"),
        ("bound.floor_bps = 1", "bound.kind is missing"),
        ('bound = "rate"', "bound must be a table, got 'rate'"),
        ('bound.kind = "rate"\nbound.floor_bps = 1\nbound.good_share = "all"', "bound.good_share must be a number"),
        ("server = 1979-05-27", "server must be auto, nginx, apache or builtin, got 1979-05-27"),
        ("targets = 1", "targets must be a list, got 1"),
        ("targets = [1]", "targets[0] must be a table, got 1"),
        ('[[targets]]\nname = "a"\nhost = "h"', "targets[0].port is missing"),
        ('[[targets]]\nname = "a"\nhost = "h"\nport = "80"', "targets[0].port must be a whole number, got '80'"),
        (TARGETS.replace("[[target]]", "[[targets]]").replace('"b"', '"a"'), "two targets have the same name, 'a'"),
        ("line_bps = 100_000", "no connection can reach 320000 bit/s on a line of 100000 bit/s"),
        (
            '[[targets]]\nname = "a"\nhost = "h"\nport = 1\n[[targets]]\nname = "b"\nhost = "h"\nport = 1',
            "two targets are the same server, ",
        ),
        ("vms = 0", "vms must be at least 1, got 0"),
        ("vms = ", "is not TOML"),
    ],
)
def test_mistakes_in_a_plan_file_are_named_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    said = refused("--plan", path)
    assert said.startswith(str(path))
    assert message in said


def test_an_unreadable_plan_file_is_named(tmp_path: Path) -> None:
    assert refused("--plan", tmp_path / "none.toml").endswith("none.toml cannot be read: No such file or directory")
    (tmp_path / "plan.toml").write_bytes(b"\xff")
    assert "is not TOML" in refused("--plan", tmp_path / "plan.toml")


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(kind: str) -> None:
    done = CliRunner().invoke(app, ["completion", kind])
    assert done.exit_code == 0
    assert "_LOADGEN_COMPLETE" in done.stdout
