"""CPU quotas of control groups: v1, v2, hybrid, containers, and what is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadgen.host.quota import Periods, parse_cpu_stat, read_periods, throttled_share

V1 = "nr_periods {all}\nnr_throttled {throttled}\nthrottled_time 12345\n"
V2 = "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods {all}\nnr_throttled {throttled}\nthrottled_usec 5\n"
NO_QUOTA = "usage_usec 7\nuser_usec 4\nsystem_usec 3\n"


def machine(tmp_path: Path, mounts: str, groups: str, stats: dict[str, str]) -> Path:
    """A /proc below `tmp_path`; `{at}` in mounts is the directory of the mount points."""
    home = tmp_path / "proc" / "self"
    home.mkdir(parents=True)
    (home / "mountinfo").write_text(mounts.format(at=tmp_path))
    (home / "cgroup").write_text(groups)
    for name, text in stats.items():
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "cpu.stat").write_text(text)
    return tmp_path / "proc"


def test_version_2_with_the_quota_of_a_parent(tmp_path: Path) -> None:
    proc = machine(
        tmp_path,
        "31 23 0:28 / {at}/cg rw - cgroup2 cgroup2 rw\n",
        "0::/box/run\n",
        {"cg": NO_QUOTA, "cg/box": V2.format(all=20, throttled=18), "cg/box/run": NO_QUOTA},
    )
    assert read_periods(proc) == {tmp_path / "cg/box": Periods(20, 18, 5000)}


def test_version_1_and_hybrid(tmp_path: Path) -> None:
    proc = machine(
        tmp_path,
        "31 23 0:28 / {at}/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
        "32 23 0:29 / {at}/set rw - cgroup cgroup rw,cpuset\n33 23 0:30 / {at}/unified rw - cgroup2 cgroup2 rw\n",
        "9:cpuset:/other\n3:cpu,cpuacct:/box\n0::/\n",
        {"cpu": V1.format(all=0, throttled=0), "cpu/box": V1.format(all=4, throttled=1), "unified": NO_QUOTA},
    )
    assert read_periods(proc) == {
        tmp_path / "cpu": Periods(0, 0, 12345),
        tmp_path / "cpu/box": Periods(4, 1, 12345),
    }


@pytest.mark.parametrize("group", ["/", "/../elsewhere", "/docker/abc"])
def test_in_a_container_the_mount_shows_the_own_group(tmp_path: Path, group: str) -> None:
    proc = machine(
        tmp_path,
        "31 23 0:28 /docker/abc {at}/cpu rw - cgroup cgroup rw,cpu\n",
        f"3:cpu:{group}\n",
        {"cpu": V1.format(all=4, throttled=1)},
    )
    assert read_periods(proc) == {tmp_path / "cpu": Periods(4, 1, 12345)}


def test_without_a_quota_nothing_is_throttled_and_without_cgroups_nothing_is_known(tmp_path: Path) -> None:
    mounts = "31 23 0:28 / {at}/cg rw - cgroup2 cgroup2 rw\n"
    assert read_periods(machine(tmp_path / "a", mounts, "0::/\n", {"cg": NO_QUOTA})) == {}
    assert read_periods(machine(tmp_path / "b", mounts, "0::/\n", {})) is None
    assert read_periods(tmp_path) is None


def test_the_share_is_of_the_periods_between_and_of_the_worst_group() -> None:
    one, other = Path("one"), Path("other")
    before = {one: Periods(100, 50)}
    after = {one: Periods(120, 68), other: Periods(10, 1)}
    assert throttled_share(before, after) == pytest.approx(0.9)
    assert throttled_share(after, after) == 0
    assert throttled_share({}, {}) == 0
    assert throttled_share(None, after) is None
    assert throttled_share(before, None) is None


def test_malformed_counters_are_refused() -> None:
    with pytest.raises(ValueError, match="dictionary"):
        parse_cpu_stat("nr_periods 1 2\n")
