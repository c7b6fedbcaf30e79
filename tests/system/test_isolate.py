"""`loadgen isolate` with real hogs: they are contained, the machine outside of their VMs is unharmed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.limits.groups import remove_leftovers
from loadgen.host.room import read_meminfo
from tests.support.boxes import devices_with, groups_of, members, needs_root
from tests.support.cli import descendants, loadgen, start
from tests.support.vms import is_running, within

pytestmark = needs_root

_PREFIX = f"198.19.{os.getpid() % 256}"  # a network for benchmarks (RFC 2544); each worker of pytest has its own
_NETWORK, _GATEWAY = f"{_PREFIX}.64/26", f"{_PREFIX}.65"
_PIDS, _MEMORY = 24, 96 << 20
_FLOOR_BYTES = 512 << 20


def isolating(hogs: str, cache: Path, *words: str) -> list[str]:
    """The command line of a short run with two antisocial VMs, and the record in `cache`/run."""
    return [
        *("isolate", "--hog", hogs, "--antisocial", "2", "--duration", "1s", "--game", "builtin"),
        *("--server", "builtin", "--connections", "0", "--vm-address", _NETWORK, "--vm-pids", str(_PIDS)),
        *("--vm-memory", str(_MEMORY), "--out", str(cache / "run"), *words),
    ]


class Outside:
    """What was seen of the machine, and of all cgroups of VMs, while a command ran."""

    def __init__(self) -> None:
        self.free_bytes: list[int] = []
        self.pids: list[int] = []
        self.memory_bytes: list[int] = []
        self.spawned = 0

    def look(self, pid: int) -> None:
        self.free_bytes.append(read_meminfo()["MemAvailable"])
        for group in groups_of(pid):
            self.pids += _number(group / "pids.current")
            self.memory_bytes += _number(group / "memory.usage_in_bytes") + _number(group / "memory.current")
        subprocess.run(["/bin/true"], check=True)  # the machine can still start programs
        self.spawned += 1


def _number(path: Path) -> list[int]:
    try:
        return [int(path.read_text())]
    except OSError:
        return []


@contextmanager
def watching(pid: int) -> Iterator[Outside]:
    """Watch the machine until the context ends; an error of the watch is raised then."""
    outside, ended, errors = Outside(), threading.Event(), list[BaseException]()

    def watch() -> None:
        try:
            while not ended.wait(0.05):
                outside.look(pid)
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            errors.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield outside
    finally:
        ended.set()
        thread.join()
    for error in errors:
        raise error


def read_until(child: subprocess.Popen[str], said: str) -> None:
    """Read the lines of its stderr until one has these words."""
    assert child.stderr is not None
    for line in child.stderr:
        if said in line:
            return
    pytest.fail(f"it never said {said!r}")


def nothing_is_left(pid: int, started: list[int]) -> None:
    assert within(20, lambda: not any(map(is_running, started)))
    assert groups_of(pid) == []
    assert within(20, lambda: not devices_with(_GATEWAY))


def test_bombs_are_contained_and_the_machine_outside_is_unharmed(tmp_path: Path) -> None:
    child = start(*isolating("fork,memory", tmp_path, "--json"), cache=tmp_path, cwd=tmp_path)
    started: set[int] = set()
    with watching(child.pid) as outside:
        out, err = child.communicate(timeout=120)
        started |= set(descendants(child.pid))
    found = json.loads(out)
    assert child.returncode in (0, 1, 3), err  # INVALID where other programs use this machine, 1 where it stands still
    assert [row["hog"] for row in found["rows"]] == ["none", "fork", "memory"]
    assert all(row["failed"] == "" and row["deaths"] == [] for row in found["rows"]), found
    idle, fork, memory = found["rows"]
    assert idle["held"]["hogs"] == 0
    assert (fork["held"]["hogs"], fork["held"]["running"]) == (2, 2)
    assert fork["held"]["pids_refused"] > 0
    assert 1 < fork["held"]["pids"] <= _PIDS
    assert memory["held"]["oom_kills"] > 0
    assert max(outside.pids) <= _PIDS
    assert max(outside.memory_bytes) <= 1.05 * _MEMORY  # the kernel charges in batches
    assert min(outside.free_bytes) > _FLOOR_BYTES
    assert outside.spawned > 0
    for row in found["rows"]:
        for service in ("game", "echo"):
            assert row[service]["sent"] > 0
            assert sum(row[service]["bins"]) == pytest.approx(1)
    about = found["environment"]["server"]
    assert (about["driver"], about["game"], about["stamps"]) == ("ns", "builtin", "kernel")
    assert about["limits"]["pids"] == _PIDS
    shown = loadgen("show", tmp_path / "run", "--json", cache=tmp_path, cwd=tmp_path)
    assert json.loads(shown.out) == found
    nothing_is_left(child.pid, sorted(started))


def _interrupt(pid: int) -> None:
    os.kill(pid, signal.SIGINT)


def _kill_the_game(pid: int) -> None:
    for one in descendants(pid):
        if b"deploy.quiet.responder" in _command_line(one):
            os.kill(one, signal.SIGKILL)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("hog", "do", "code", "verdict"),
    [
        pytest.param("cpu", _interrupt, {130}, {"interrupted"}, id="Ctrl-C"),
        pytest.param("none", _kill_the_game, {1, 3}, {"not conforming", "INVALID"}, id="the game server is killed"),
    ],
)
def test_what_goes_wrong_is_said(
    hog: str, do: Callable[[int], None], code: set[int], verdict: set[str], tmp_path: Path
) -> None:
    words = isolating(hog, tmp_path, "--json")
    words[words.index("1s")] = "3s"
    child = start(*words, cache=tmp_path, cwd=tmp_path)
    read_until(child, f"hog={hog} measuring")
    started = descendants(child.pid)
    do(child.pid)
    out, err = child.communicate(timeout=60)
    found = json.loads(out)
    assert child.returncode in code, err
    assert found["verdict"] in verdict
    assert found["rows"][0]["hog"] == "none"
    if "interrupted" in verdict:
        assert found["reasons"][0] == "the run was stopped before these were measured: cpu"
    else:
        said = "idle: the quiet VM lost a server: game was killed by SIGKILL"
        assert any(reason.startswith(said) for reason in found["reasons"]), found["reasons"]
    nothing_is_left(child.pid, started)


def test_a_killed_run_leaves_no_hog(tmp_path: Path) -> None:
    child = start(*isolating("fork", tmp_path, "--duration", "2s"), cache=tmp_path, cwd=tmp_path)
    read_until(child, "hog=fork measuring")
    started = descendants(child.pid)
    assert started
    child.kill()
    child.communicate(timeout=60)
    assert within(20, lambda: not any(map(is_running, started)))
    assert within(20, lambda: not members(groups_of(child.pid)))
    assert within(20, lambda: not devices_with(_GATEWAY))
    deadline = time.monotonic() + 20
    while groups_of(child.pid) and time.monotonic() < deadline:
        remove_leftovers()  # as the next run does
    assert groups_of(child.pid) == []
    shown = loadgen("show", tmp_path / "run", "--json", cache=tmp_path, cwd=tmp_path)
    assert [row["hog"] for row in json.loads(shown.out)["rows"]] == []
    text = loadgen("show", tmp_path / "run", cache=tmp_path, cwd=tmp_path)
    assert "none" in text.out


def test_a_web_load_is_judged_and_has_a_record_of_its_own(tmp_path: Path) -> None:
    words = isolating("none", tmp_path, "--json")
    words[words.index("--connections") + 1] = "2"
    words[words.index(str(_MEMORY))] = "512M"
    done = loadgen(*words, cache=tmp_path, cwd=tmp_path)
    found = done.document
    assert done.code in (0, 1, 3), done.err
    web = found["rows"][0]["web"]
    assert web["requested"] == 2
    assert web["invalid"] or web["conforming"] is not None or found["verdict"] == "INVALID"
    shown = loadgen("show", tmp_path / "run" / "web-none", "--json", cache=tmp_path, cwd=tmp_path)
    assert json.loads(shown.out)["kind"] == "spec"
