"""The plan of `loadgen isolate`, and what it may not ask for."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from coordinator.kinds.isolate import settle
from coordinator.kinds.isolate.settle import check_confined, check_room
from deploy.hogs.bounds import did_in, why_unconfined
from deploy.hogs.catalog import command
from deploy.quiet.games import find_game
from loadgen.measure.packing import Room
from loadgen.model.errors import PlanError
from loadgen.model.isolate import HOGS, Game, Hog, IsolatePlan, parse_hogs
from loadgen.model.limits import VmLimits
from loadgen.model.units import NS_PER_S

GIB = 1 << 30


def test_a_plan_reads_back() -> None:
    plan = IsolatePlan(hogs=(Hog.FORK, Hog.NET), antisocial=3, vm_limits=VmLimits(pids=64), game=Game.BUILTIN)
    assert IsolatePlan.from_dict(plan.to_dict()) == plan
    assert IsolatePlan.from_dict({}) == IsolatePlan()


def test_the_idle_case_is_always_measured_first() -> None:
    assert IsolatePlan().phases == (Hog.NONE, *HOGS)
    assert IsolatePlan(hogs=(Hog.CPU, Hog.NONE)).phases == (Hog.NONE, Hog.CPU)
    assert IsolatePlan(hogs=(Hog.NONE,)).phases == (Hog.NONE,)
    assert IsolatePlan(antisocial=9).vms == 10


def test_hogs_are_read_from_a_list() -> None:
    assert parse_hogs("cpu, fork") == (Hog.CPU, Hog.FORK)
    assert parse_hogs("all") == HOGS
    with pytest.raises(PlanError, match="'swap' is not a hog"):
        parse_hogs("cpu,swap")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hogs": (Hog.CPU, Hog.CPU)}, "the hog cpu is given twice"),
        ({"antisocial": 0}, "antisocial VMs must be 1 to 999, got 0"),
        ({"measure_ns": NS_PER_S // 2}, "must be 1s to 10m, got 0.5s"),
        ({"measure_ns": 601 * NS_PER_S}, "must be 1s to 10m, got 601s"),
        ({"connections": -1}, "connections must not be negative"),
        ({"keep_memory_bytes": 1 << 20}, "keep_memory_bytes must be at least 64M"),
        ({"vm_limits": VmLimits(memory_bytes=64 << 20)}, "the hog fork never runs without the limit pids"),
        ({"vm_limits": VmLimits(pids=64)}, "the hog memory never runs without the limit memory_bytes"),
        ({"vm_address": "example.org"}, "vm_address must be an IP address or a network"),
    ],
)
def test_what_is_not_allowed_is_named(changes: dict[str, object], said: str) -> None:
    with pytest.raises(PlanError, match=re.escape(said)):
        dataclasses.replace(IsolatePlan(), **changes)  # type: ignore[arg-type]


def test_hogs_run_only_where_vms_are_confined() -> None:
    check_confined(IsolatePlan())
    check_confined(IsolatePlan(vm_driver="local", hogs=(Hog.NONE,)))
    gentle = IsolatePlan(vm_driver="local", hogs=(Hog.CPU, Hog.DISK, Hog.NET))
    with pytest.raises(PlanError, match="confines no VM") as refused:
        check_confined(gentle)
    assert "--force" in refused.value.hint
    check_confined(dataclasses.replace(gentle, force=True))


@pytest.mark.parametrize("hog", [Hog.FORK, Hog.MEMORY])
def test_the_dangerous_hogs_never_run_without_their_limit(hog: Hog) -> None:
    plan = IsolatePlan(vm_driver="local", hogs=(Hog.CPU, hog), force=True)
    with pytest.raises(PlanError, match=f"without them these hogs never run: {hog.value}"):
        check_confined(plan)


def test_hogs_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(memory_bytes=2 * GIB, disk_bytes=GIB)
    monkeypatch.setattr(settle, "read_room", lambda directory: room)
    with pytest.raises(PlanError, match=r"10 VMs of 256M and 512M to keep free need more than the 2.0 GiB"):
        check_room(IsolatePlan(hogs=(Hog.MEMORY,)))
    with pytest.raises(PlanError, match=r"9 disk hogs of 64M do not fit into the 1.0 GiB"):
        check_room(IsolatePlan(hogs=(Hog.DISK,)))
    check_room(IsolatePlan(hogs=(Hog.MEMORY,), antisocial=2))
    check_room(IsolatePlan(hogs=(Hog.CPU, Hog.FORK, Hog.NET)))


V1 = "4:memory:/loadgen/7-1-ab/vm02\n8:pids:/loadgen/7-1-ab/vm02\n1:cpu,cpuacct:/loadgen/7-1-ab/vm02\n0::/\n"
V2 = "0::/loadgen/7-1-ab/vm02\n"
OUTSIDE = "8:pids:/user.slice\n4:memory:/\n0::/loadgenuine\n"


@pytest.mark.parametrize(
    ("cgroups", "needs", "forced", "runs"),
    [
        (V1, "", False, True),
        (V1, "pids", False, True),
        (V1, "memory", False, True),
        (V1, "io", False, False),
        (V2, "pids", False, True),
        (OUTSIDE, "", False, False),
        (OUTSIDE, "", True, True),
        (OUTSIDE, "pids", True, False),  # forced or not
        ("", "memory", True, False),
        ("8:pids:/user.slice\n4:memory:/loadgen/7-1-ab/vm02\n", "pids", True, False),
    ],
)
def test_a_hog_looks_at_its_cgroups_before_it_runs(cgroups: str, needs: str, forced: bool, runs: bool) -> None:
    assert (why_unconfined(cgroups, needs, forced=forced) == "") == runs


def test_a_hogs_log_says_what_it_did() -> None:
    assert did_in("") == -1
    assert did_in("did 3\ndid 17\n") == 17
    assert did_in("did 3\ndid 17\nTraceback: did not") == 17
    assert did_in("did nothing\n") == -1


def test_the_command_of_a_hog_bounds_it() -> None:
    limits = {"memory_bytes": 64 << 20, "pids": 32}
    words = command(Hog.MEMORY, seconds=130, limits=limits, to="", forced=False)
    assert words[0] == "hog"
    assert words[words.index("--seconds") + 1] == "130"
    assert int(words[words.index("--amount") + 1]) == 80 << 20
    flood = command(Hog.NET, seconds=1.5, limits={}, to="198.18.0.1:9", forced=True)
    assert flood[-3:] == ("--to", "198.18.0.1:9", "--forced")


def test_openarena_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("deploy.quiet.games.is_installed", lambda: False)
    assert find_game(Game.AUTO, "10.0.0.2", 27960, confined=True).name == "builtin"
    with pytest.raises(PlanError, match="openarena is not installed"):
        find_game(Game.OPENARENA, "10.0.0.2", 27960, confined=True)


def test_openarena_runs_only_in_a_vm_with_files_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.quiet.games.is_installed", lambda: True)
    found = find_game(Game.AUTO, "10.0.0.2", 27960, confined=True)
    assert found.name == "openarena"
    assert found.program[-2:] == ("+map", "oa_dm1")
    assert " ".join(found.program).find("+set net_ip 10.0.0.2 +set net_port 27960") > 0
    assert find_game(Game.AUTO, "127.0.0.1", 27960, confined=False).name == "builtin"
    with pytest.raises(PlanError, match="files of its own"):
        find_game(Game.OPENARENA, "127.0.0.1", 27960, confined=False)
