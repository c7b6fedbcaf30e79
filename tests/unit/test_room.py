"""What the machine has room for, from /proc and the control groups of cgroups v1 and v2."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from loadgen.host.room import group_memory_bytes, guarantees_memory, read_meminfo, read_room
from loadgen.measure.packing import UNKNOWN, Limit

MIB = 1 << 20


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc of a machine with 8 GiB available and no control groups."""
    root = tmp_path / "proc"
    for directory in ("self/fd", "sys/kernel", "sys/fs"):
        (root / directory).mkdir(parents=True)
    for number in range(5):
        (root / "self" / "fd" / str(number)).touch()
    (root / "meminfo").write_text("MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\nHugePages_Total: 3\n")
    (root / "loadavg").write_text("0.10 0.20 0.30 2/345 6789\n")
    (root / "sys/kernel/pid_max").write_text("32768\n")
    (root / "sys/kernel/threads-max").write_text("190000\n")
    (root / "sys/fs/file-nr").write_text("1000\t0\t50000\n")
    return root


def grouped(proc: Path, mount: Path, kind: str, group: str, **files: str) -> None:
    """Put this process into the group `group` of a hierarchy that is mounted at `mount`, with these files."""
    mount.joinpath(group).mkdir(parents=True)
    for name, text in files.items():
        mount.joinpath(group, name.replace("__", ".")).write_text(text)
    v2 = kind == "cgroup2"
    line = f"30 20 0:26 / {mount} rw - {'cgroup2' if v2 else 'cgroup'} none rw{'' if v2 else f',{kind}'}\n"
    with (proc / "self/mountinfo").open("a") as file:
        file.write(line)
    with (proc / "self/cgroup").open("a") as file:
        file.write(f"{0 if v2 else 5}:{'' if v2 else kind}:/{group}\n")


def limits(proc: Path, tmp_path: Path) -> dict[str, Limit]:
    return {limit.name: limit for limit in read_room(tmp_path, proc).limits}


def test_meminfo_is_in_bytes(proc: Path) -> None:
    assert read_meminfo(proc) == {"MemTotal": 16 << 30, "MemAvailable": 8 << 30, "HugePages_Total": 3}


def test_without_control_groups_the_machine_is_the_limit(proc: Path, tmp_path: Path) -> None:
    found = limits(proc, tmp_path)
    assert read_room(tmp_path, proc).memory_bytes == 8 << 30
    assert (found["kernel.pid_max"].used, found["kernel.pid_max"].limit) == (345, 32768)
    assert (found["fs.file-max"].used, found["fs.file-max"].limit) == (1000, 50000)
    own = found["RLIMIT_NOFILE (ulimit -Hn)"]
    assert (own.used, own.limit, own.needed) == (5, resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1)
    assert group_memory_bytes(proc) == UNKNOWN
    assert not guarantees_memory(proc)


def test_disk_is_that_of_the_directory(proc: Path, tmp_path: Path) -> None:
    assert read_room(tmp_path, proc).disk_bytes > 0


def test_v2_limits_of_memory_and_tasks(proc: Path, tmp_path: Path) -> None:
    grouped(
        proc, tmp_path / "cg", "cgroup2", "box",
        memory__max=f"{100 * MIB}\n", memory__current=f"{70 * MIB}\n", memory__min="0\n",
        memory__stat=f"anon 5\ninactive_file {20 * MIB}\n",
        pids__max="64\n", pids__current="9\n", pids__events="max 3\n",
    )  # fmt: skip
    assert read_room(tmp_path, proc).memory_bytes == 50 * MIB
    assert group_memory_bytes(proc) == 70 * MIB
    assert guarantees_memory(proc)
    own = limits(proc, tmp_path)[f"{tmp_path}/cg/box/pids.max"]
    assert (own.used, own.limit, own.hits) == (9, 64, 3)


def test_v1_limits_of_memory_and_tasks(proc: Path, tmp_path: Path) -> None:
    grouped(
        proc, tmp_path / "m", "memory", "box",
        memory__limit_in_bytes=f"{100 * MIB}\n", memory__usage_in_bytes=f"{70 * MIB}\n",
        memory__stat=f"inactive_file 1\ntotal_inactive_file {10 * MIB}\n",
    )  # fmt: skip
    grouped(proc, tmp_path / "p", "pids", "box", pids__max="64\n", pids__current="9\n")
    assert read_room(tmp_path, proc).memory_bytes == 40 * MIB
    assert group_memory_bytes(proc) == 70 * MIB
    assert not guarantees_memory(proc)
    assert limits(proc, tmp_path)[f"{tmp_path}/p/box/pids.max"].hits == UNKNOWN


def test_groups_without_limits_limit_nothing(proc: Path, tmp_path: Path) -> None:
    grouped(proc, tmp_path / "cg", "cgroup2", "box", memory__max="max\n", memory__current="9\n", pids__max="max\n")
    grouped(
        proc,
        tmp_path / "m",
        "memory",
        "b",
        memory__limit_in_bytes="9223372036854771712\n",
        memory__usage_in_bytes="7\n",
    )
    assert read_room(tmp_path, proc).memory_bytes == 8 << 30
    assert not any("pids.max" in name for name in limits(proc, tmp_path))
