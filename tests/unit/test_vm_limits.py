"""Limits of VMs by cgroups of version 1, version 2 and both, on files that stand for the kernel's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.limits.groups import Group, Groups, granted, limits_met, remove_leftovers, usage
from deploy.limits.hierarchy import Controller, find_controllers
from deploy.vms.catalog import choose_for
from deploy.vms.ns_network import RoutedNetwork, check_unused
from loadgen.host.scheduler import scheduler
from loadgen.model.addresses import vm_addresses
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.limits import NO_LIMITS, VmLimits
from loadgen.model.plan import SpecPlan

V1 = """\
25 20 0:22 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct
32 25 0:28 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
33 25 0:29 / /sys/fs/cgroup/pids rw,nosuid - cgroup cgroup rw,pids
34 25 0:30 / /sys/fs/cgroup/blkio rw,nosuid - cgroup cgroup rw,blkio
35 25 0:31 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,name=systemd
"""
V2 = "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = V1 + "36 25 0:32 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n"


def test_controllers_are_found_in_version_1_version_2_and_both() -> None:
    v1 = find_controllers(V1)
    assert v1["cpu"] == v1["cpuacct"] == Controller(1, Path("/sys/fs/cgroup/cpu,cpuacct"))
    assert v1["io"] == Controller(1, Path("/sys/fs/cgroup/blkio"))
    assert find_controllers(HYBRID, "hugetlb\n") == v1
    v2 = find_controllers(V2, "cpuset cpu io memory hugetlb pids\n")
    assert v2 == dict.fromkeys(("cpu", "memory", "pids", "io"), Controller(2, Path("/sys/fs/cgroup")))
    assert find_controllers(HYBRID.replace("rw,pids", "rw,perf_event"), "pids")["pids"].version == 2
    assert find_controllers("") == {}


def test_a_mount_point_may_have_blanks() -> None:
    line = V2.replace("/sys/fs/cgroup", "/mnt/a\\040b")
    assert find_controllers(line, "cpu")["cpu"].root == Path("/mnt/a b")


ALL = VmLimits(cpus=0.25, cpu_shares=2048, memory_bytes=48 << 20, pids=64, disk_bytes_per_s=20 << 20)


def controllers(root: Path, version: int) -> Mapping[str, Controller]:
    names = ("cpu", "cpuacct", "memory", "pids", "io") if version == 1 else ("cpu", "memory", "pids", "io")
    places = {name: root / name if version == 1 else root for name in names}
    for place in places.values():
        place.mkdir(exist_ok=True)
    return {name: Controller(version, place) for name, place in places.items()}


def made(root: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Groups, Group]:
    monkeypatch.setattr("deploy.limits.groups.block_device", lambda disk: "254:0")
    groups = Groups(ALL, disk=root, controllers=controllers(root, version))
    return groups, groups.make("vm01")


def files(group: Group) -> dict[str, str]:
    return {path.name: path.read_text() for place in group.paths for path in Path(place).iterdir()}


def protected(root: Path, version: int) -> tuple[Group, list[str]]:
    """Return a group with a reservation, where each directory around it has a memory.min, and those files' texts."""
    groups = Groups(NO_LIMITS, disk=root, reserve_memory_bytes=48 << 20, controllers=controllers(root, version))
    place = groups.make("vm01").places["memory"]
    places = [place, place.parent, place.parent.parent] if version == 2 else []
    for directory in places:
        (directory / "memory.min").write_text("0")
    return groups.make("vm01"), [(directory / "memory.min").read_text() for directory in places]


def test_a_reservation_is_protected_by_version_2_through_all_groups_around(tmp_path: Path) -> None:
    group, texts = protected(tmp_path, 2)
    assert texts == [str(48 << 20), "max", "max"]
    assert granted(group)["protected_memory_bytes"] == 48 << 20


def test_version_1_protects_no_memory(tmp_path: Path) -> None:
    group, _ = protected(tmp_path, 1)
    assert not list(tmp_path.rglob("memory.min"))
    assert "protected_memory_bytes" not in granted(group)


def test_version_1_gets_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, group = made(tmp_path, 1, monkeypatch)
    assert files(group) == {
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "25000",
        "cpu.shares": "2048",
        "memory.limit_in_bytes": str(48 << 20),
        "pids.max": "64",
        "blkio.throttle.read_bps_device": f"254:0 {20 << 20}",
        "blkio.throttle.write_bps_device": f"254:0 {20 << 20}",
    }
    assert granted(group) == {
        "cgroup": "v1",
        "cpus": 0.25,
        "cpu_shares": 2048,
        "memory_bytes": 48 << 20,
        "pids": 64,
        "disk_bytes_per_s": 20 << 20,
        "disk_rate_applies_to": "reads, direct and synchronous writes",
    }


def test_version_2_gets_its_files_and_hands_on_its_controllers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, group = made(tmp_path, 2, monkeypatch)
    assert len(group.paths) == 1
    assert files(group) == {
        "cpu.max": "25000 100000",
        "cpu.weight": "200",
        "memory.max": str(48 << 20),
        "pids.max": "64",
        "io.max": f"254:0 rbps={20 << 20} wbps={20 << 20}",
    }
    for directory in (tmp_path, tmp_path / "loadgen", Path(group.paths[0]).parent):
        assert (directory / "cgroup.subtree_control").read_text() == "+cpu +memory +pids +io"
    found = granted(group)
    assert found == {
        "cgroup": "v2",
        "cpus": 0.25,
        "cpu_weight": 200,
        "memory_bytes": 48 << 20,
        "pids": 64,
        "disk_bytes_per_s": 20 << 20,
    }


def test_what_the_kernel_does_not_limit_is_left_out(tmp_path: Path) -> None:
    group = Groups(VmLimits(), disk=tmp_path, controllers=controllers(tmp_path, 1)).make("vm01")
    group.places["memory"].joinpath("memory.limit_in_bytes").write_text("9223372036854771712\n")
    group.places["pids"].joinpath("pids.max").write_text("max\n")
    group.places["cpu"].joinpath("cpu.cfs_quota_us").write_text("-1\n")
    group.places["cpu"].joinpath("cpu.cfs_period_us").write_text("100000\n")
    assert granted(group) == {"cgroup": "v1"}


def test_what_was_granted_is_read_and_not_assumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel rounds memory to pages, for example."""
    _, group = made(tmp_path, 2, monkeypatch)
    group.places["memory"].joinpath("memory.max").write_text("4096\n")
    group.places["cpu"].joinpath("cpu.max").write_text("max 100000\n")
    assert granted(group)["memory_bytes"] == 4096
    assert "cpus" not in granted(group)


@pytest.mark.parametrize("version", [1, 2])
def test_counters_are_read_from_both_versions(version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, group = made(tmp_path, version, monkeypatch)
    written = {
        1: {
            "cpu": {"cpu.stat": "nr_periods 10\nnr_throttled 4\nthrottled_time 5000\n"},
            "cpuacct": {"cpuacct.usage": "7000\n"},
            "memory": {"memory.usage_in_bytes": "100\n", "memory.oom_control": "under_oom 0\noom_kill 2\n"},
            "pids": {"pids.current": "3\n", "pids.events": "max 6\n"},
        },
        2: {
            "cpu": {"cpu.stat": "usage_usec 7\nnr_periods 10\nnr_throttled 4\nthrottled_usec 5\n"},
            "memory": {"memory.current": "100\n", "memory.events": "low 0\nmax 9\noom 1\noom_kill 2\n"},
            "pids": {"pids.current": "3\n", "pids.events": "max 6\n"},
        },
    }
    for controller, texts in written[version].items():
        for name, text in texts.items():
            group.places[controller].joinpath(name).write_text(text)
    found = usage(group)
    assert (found.cpu_ns, found.periods, found.throttled, found.throttled_ns) == (7000, 10, 4, 5000)
    assert (found.memory_bytes, found.oom_kills, found.pids, found.pids_refused) == (100, 2, 3, 6)
    assert limits_met(group) == [
        "its memory limit of 48M was reached (2 kills)",
        "its limit of processes (64) was reached (6 forks refused)",
    ]


def test_groups_are_removed_with_the_directories_around_them(tmp_path: Path) -> None:
    groups = Groups(VmLimits(), disk=tmp_path, controllers=controllers(tmp_path, 1))
    groups.make("vm01")
    groups.make("vm02")
    groups.remove()
    assert not list(tmp_path.glob("*/*"))
    groups.remove()


def test_a_run_removes_only_the_groups_of_runs_whose_process_has_ended(tmp_path: Path) -> None:
    found = controllers(tmp_path, 1)
    Groups(VmLimits(), disk=tmp_path, controllers=found).make("vm01")
    old = tmp_path / "cpu/loadgen/4194305-77-abcd/vm01"  # a pid that no Linux gives
    (old / "made/by the VM").mkdir(parents=True)
    (tmp_path / "cpu/loadgen/of somebody else/vm01").mkdir(parents=True)
    assert remove_leftovers(found) == [str(old)]
    assert sorted(path.name for path in tmp_path.glob("cpu/loadgen/*")) != []
    assert not old.parent.exists()
    assert len(list(tmp_path.glob("*/loadgen/*/vm01"))) == 5 + 1


def test_a_refusal_of_the_kernel_is_one_line(tmp_path: Path) -> None:
    found = controllers(tmp_path, 1)
    found["pids"].root.rmdir()
    found["pids"].root.write_text("")
    with pytest.raises(TargetError, match=r"vm01: the kernel refuses a limit or a cgroup: .*pids"):
        Groups(VmLimits(pids=5), disk=tmp_path, controllers=found).make("vm01")


def test_without_limits_vms_need_no_cgroups(tmp_path: Path) -> None:
    """In a container, for example, the file system of the cgroups may be read-only."""
    found = controllers(tmp_path, 1)
    found["pids"].root.rmdir()
    found["pids"].root.write_text("")
    for controllers_found in (found, {}):
        groups = Groups(VmLimits(), disk=tmp_path, controllers=controllers_found)
        group = groups.make("vm01")
        assert group.paths == ()
        assert granted(group) == {"cgroup": "none"}
        assert limits_met(group) == []
        groups.remove()
    assert not list(tmp_path.glob("*/*"))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"cpus": 0.001}, "a VM may have 0.01 to 4096 CPUs, got 0.001"),
        ({"cpus": float("nan")}, "got nan"),
        ({"cpu_shares": 1}, "the CPU shares of a VM must be 2 to 262144, got 1"),
        ({"memory_bytes": 1000}, "at least 1M, got 1000 bytes"),
        ({"pids": 0}, "at least 1, got 0"),
        ({"disk_bytes_per_s": 100}, "at least 1K, got 100 bytes/s"),
    ],
)
def test_impossible_limits_are_refused(limits: dict[str, float], said: str) -> None:
    with pytest.raises(PlanError) as caught:
        VmLimits(**limits)  # type: ignore[arg-type]
    assert said in caught.value.message


def test_only_drivers_that_can_are_asked_for_limits_and_networks() -> None:
    with pytest.raises(PlanError, match=r"the VM driver local cannot limit VMs \(cpus, pids\)"):
        choose_for("", (), VmLimits(cpus=1.0, pids=5))
    with pytest.raises(PlanError, match=r"the VM driver local cannot give each VM an address of the network 10\.0"):
        choose_for("local", (), VmLimits(), "10.0.0.0/8")
    choose_for("ns", (), VmLimits(cpus=1.0, pids=5), "10.0.0.0/8")


def test_a_plan_with_limits_and_a_network_is_read_back() -> None:
    plan = SpecPlan(vms=3, vm_driver="ns", vm_limits=VmLimits(pids=5), vm_address="198.18.0.0/29", base_port=65535)
    assert SpecPlan.from_dict(plan.to_dict()) == plan
    assert plan.to_dict()["vm_limits"] == {"pids": 5}
    assert plan.vm_hosts == ("198.18.0.2", "198.18.0.3", "198.18.0.4")
    assert "vm_limits" not in SpecPlan().to_dict()
    assert SpecPlan.from_dict({"vm_limits": {"cpus": 1}}).vm_limits.cpus == 1.0


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nowhere", "'nowhere' is not an IP address"),
        ("198.18.0.1/15", "has host bits set"),
        ("198.18.0.0/30", "has 4 addresses, but 2 VMs need 5"),
        ("198.18.0.0/40", "is not a network"),
    ],
)
def test_an_address_for_vms_that_cannot_be_used_is_refused(address: str, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        vm_addresses(address, 2)
    assert said in caught.value.message


def test_the_scheduler_is_named(tmp_path: Path) -> None:
    assert scheduler(tmp_path, "6.18.44") == "EEVDF"
    assert scheduler(tmp_path, "5.10.0") == "CFS"
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/sched_autogroup_enabled").write_text("1\n")
    assert scheduler(tmp_path, "6.6") == "EEVDF, autogroup on"
    (tmp_path / "sys/kernel/sched_ext/root").mkdir(parents=True)
    (tmp_path / "sys/kernel/sched_ext/root/ops").write_text("rusty\n")
    assert scheduler(tmp_path, "6.18") == "sched_ext rusty, autogroup on"


def test_a_network_that_a_route_uses_is_refused() -> None:
    routes = (
        "default via 192.0.2.1 dev eth0\n192.0.2.0/24 dev eth0 scope link\nunreachable 10.1.0.0/16\n10.9.0.7 dev a\n"
    )
    check_unused("198.18.0.0/15", routes)
    check_unused("fd00::/64", routes)
    for network in ("192.0.2.128/25", "10.0.0.0/14", "10.9.0.0/24"):
        with pytest.raises(PlanError, match=f"the network {network} is in use on this machine: "):
            check_unused(network, routes)


def test_each_of_many_vms_has_a_device_and_an_address_of_its_own() -> None:
    many = RoutedNetwork.of("198.18.0.0/15", 1024)
    assert len({link.device for link in many.links()}) == len({link.address for link in many.links()}) == 1024
    assert max(len(link.device) for link in many.links()) <= 15  # IFNAMSIZ of linux/if.h, with its final zero
    assert many.links()[0].gateway == "198.18.0.1"
