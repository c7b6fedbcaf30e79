"""`loadgen pack` with real servers: how many fit, what a low limit is called, and what is left after any end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.host.groups import group_directories
from tests.support.boxes import needs_root
from tests.support.cli import LOADGEN, descendants, environment, loadgen, start
from tests.support.vms import is_running, needs, within


def packing(*words: str, cache: Path) -> list[str]:
    """The command line of a packing with the record in `cache`/run."""
    return ["pack", *words, "--out", str(cache / "run")]


@pytest.mark.parametrize("server", [needs("apache"), needs("nginx"), needs("builtin")])
def test_all_vms_answer_at_once(server: str, tmp_path: Path) -> None:
    done = loadgen(*packing("--count", "3", "--server", server, "--json", cache=tmp_path), cache=tmp_path, cwd=tmp_path)
    found = done.document
    assert (done.code, found["packed"], found["stopped_by"]["cause"]) == (0, 3, "asked"), done.err
    assert (found["sweep"]["at_once"], found["sweep"]["silent"]) == (3, [])
    assert [point["vms"] for point in found["curve"]] == [1, 2, 3]
    assert all(point["pss_bytes"] > 100_000 and point["tasks"] >= 1 for point in found["curve"])
    assert found["environment"]["server"]["kind"] == server
    assert "ending VMs: 0 left" in done.err
    shown = loadgen("show", tmp_path / "run", "--json", cache=tmp_path, cwd=tmp_path)
    assert json.loads(shown.out) == found


def test_a_low_limit_of_descriptors_is_reported_as_that_limit(tmp_path: Path) -> None:
    words = packing("--count", "99", "--server", "builtin", "--connections", "1", "--json", cache=tmp_path)
    with contextlib.ExitStack() as ends:  # most of the 96 are taken from the start, so that few VMs are needed
        taken = [ends.enter_context(Path(os.devnull).open("rb")).fileno() for _ in range(54)]
        done = subprocess.run(
            ["prlimit", "--nofile=96:96", LOADGEN, *words],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            pass_fds=taken,
        )
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["stopped_by"]["cause"] == "limit"
    assert found["stopped_by"]["why"].startswith("open files: RLIMIT_NOFILE (ulimit -Hn) allows 96")
    assert 1 <= found["packed"] == found["started"] < 42
    assert found["sweep"]["silent"] == []


def group_that_limits_tasks() -> Path | None:
    """A new control group of this test; None where none can be made that limits tasks."""
    for parent in reversed(group_directories("pids")):
        group = parent / f"loadgen-test-{os.getpid()}"
        with contextlib.suppress(OSError):
            group.mkdir()
            if (group / "pids.max").exists():
                return group
            group.rmdir()
    return None


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group that may have 60 tasks."""
    group = group_that_limits_tasks()
    if group is None:
        pytest.skip("no control group that limits tasks can be made (needs root)")
    (group / "pids.max").write_text("60")
    yield group
    assert within(10, lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


def test_a_low_limit_of_tasks_is_reported_as_that_limit(small_group: Path, tmp_path: Path) -> None:
    words = packing("--server", "builtin", "--json", cache=tmp_path)
    done = subprocess.run(
        ["sh", "-c", f'echo $$ > {small_group}/cgroup.procs && exec "$@"', "sh", LOADGEN, *words],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["stopped_by"]["cause"] == "limit"
    assert found["stopped_by"]["why"].startswith(f"tasks: {small_group}/pids.max allows 60, and ")
    assert found["packed"] == found["started"] >= 1


@needs_root
def test_a_low_limit_of_each_vm_is_named(tmp_path: Path) -> None:
    """With the driver ns, limits hold for each VM of a packing: 1 MiB of memory is too little for any server."""
    words = packing("--count", "2", "--server", "builtin", "--vm-driver", "ns", "--vm-memory", "1M", cache=tmp_path)
    done = loadgen(*words, cache=tmp_path, cwd=tmp_path)
    assert (done.code, done.out) == (1, ""), done.err
    assert "did not start: " in done.err
    assert "its memory limit of 1M was reached" in done.err


@needs_root
def test_limits_and_reservations_are_given_to_each_vm(tmp_path: Path) -> None:
    limits = ("--vm-memory", "96M", "--vm-pids", "30", "--reserve", "64M")
    words = packing("--count", "2", "--server", "builtin", "--vm-driver", "ns", *limits, "--json", cache=tmp_path)
    done = loadgen(*words, cache=tmp_path, cwd=tmp_path)
    assert (done.code, done.document["packed"]) == (0, 2), done.err
    assert done.document["plan"]["vm_limits"] == {"memory_bytes": 96 << 20, "pids": 30}
    assert done.document["guarantee"].startswith("reservations are kept by admission")


def test_reservations_admit_no_more_than_fit(tmp_path: Path) -> None:
    free = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    third_mib = int(free.split()[1]) // 1024 // 3
    words = packing("--server", "builtin", "--reserve", f"{third_mib}M", "--json", cache=tmp_path)
    done = loadgen(*words, cache=tmp_path, cwd=tmp_path)
    assert (done.code, done.document["stopped_by"]["cause"]) == (0, "reserved"), done.err
    assert done.document["packed"] <= 2
    assert done.document["guarantee"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    run = start(
        *packing("--server", "builtin", "--count", "60", "--json", cache=tmp_path), cache=tmp_path, cwd=tmp_path
    )
    assert run.stderr is not None
    while not (line := run.stderr.readline()).startswith("VMs=4/60"):
        assert line, "it ended before"
    started = descendants(run.pid)
    assert len(started) >= 4
    os.killpg(run.pid, number)
    out, _ = run.communicate(timeout=60)
    assert within(10, lambda: not any(is_running(pid) for pid in started))
    if number is signal.SIGINT:
        assert run.returncode == 130
        assert json.loads(out)["verdict"] == "interrupted"
        return
    shown = loadgen("show", tmp_path / "run", cache=tmp_path, cwd=tmp_path)
    assert "CUT" in shown.out
    assert "Footprint per VM" in shown.out


def test_what_cannot_be_packed_is_one_line(tmp_path: Path) -> None:
    for words, said in (
        (["--vm-driver", "inventory"], "the VM driver inventory starts no VMs"),
        (["--reserve", "100M", "--overbook"], "--reserve and --overbook are both given"),
        (["--vm-memory", "64M"], "the VM driver local cannot limit VMs (memory_bytes)"),
        (["--vm-memory", "48M", "--reserve", "64M"], "each VM may use 48M of memory, which is less than the 64M"),
        (["--count", "-1"], "count must not be negative, got -1"),
        (["--keep-memory", "1M"], "keep_memory_bytes must be at least 64M, got 1M"),
        (["--base-port", "65000", "--count", "1000"], "1000 VMs from port 65000 on need ports beyond 65535"),
    ):
        done = loadgen("pack", *words, cache=tmp_path, cwd=tmp_path)
        assert (done.code, done.out) == (2, "")
        assert said in done.err
        assert "Traceback" not in done.err
