"""`loadgen vms`: VMs that are started, listed and ended by hand; and `loadgen doctor`, which starts one of each."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.targets import load
from tests.support.boxes import groups_of, needs_root
from tests.support.cli import Done
from tests.support.cli import loadgen as run_loadgen
from tests.support.vms import descendants, is_running, make_file_set, within

DRIVERS = ["local", pytest.param("ns", marks=needs_root)]


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_file_set(tmp_path_factory.mktemp("set"))


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a temporary directory with a short path, because a unix socket's path is limited."""
    with tempfile.TemporaryDirectory(prefix="lg") as path:
        yield Path(path)


@pytest.fixture
def home(short: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(short))
    return short


def loadgen(home: Path, *arguments: str) -> Done:
    return run_loadgen(*arguments, cache=home.with_name(f"{home.name}-cache"), cwd=home)


def up(home: Path, docroot: Path, *arguments: str, exit_code: int = 0) -> str:
    done = loadgen(home, "vms", "up", "--server", "builtin", "--connections", "1", "--dir", str(docroot), *arguments)
    assert done.code == exit_code, done.err
    return done.out if exit_code == 0 else done.err


def holder(home: Path, name: str) -> int:
    pid: int = json.loads((home / f"loadgen-held-{os.getuid()}" / f"{name}.json").read_text())["pid"]
    return pid


@pytest.mark.parametrize("driver", DRIVERS)
def test_vms_run_until_they_are_ended(driver: str, home: Path, docroot: Path, tmp_path: Path) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(up(home, docroot, "--vms", "2", "--vm-driver", driver))
    targets = load(file)
    for target in targets:
        with urllib.request.urlopen(f"http://{target.authority}/file_set/dir00000/class0_0", timeout=20) as reply:
            assert reply.status == 200
    pid = holder(home, "1")
    started = descendants(pid)
    assert len(started) >= 3
    listed = loadgen(home, "vms", "list").out
    assert f"1     {driver}" in listed
    assert targets[0].authority in listed
    assert loadgen(home, "vms", "down").code == 0
    assert not any(is_running(one) for one in started)
    assert not groups_of(pid)
    assert sorted(path.name for path in home.iterdir()) == [f"loadgen-held-{os.getuid()}"]
    assert loadgen(home, "vms", "list").out == "no VMs run\n"


def test_a_killed_holder_takes_its_vms_with_it(home: Path, docroot: Path) -> None:
    up(home, docroot)
    pid = holder(home, "1")
    started = descendants(pid)
    os.kill(pid, signal.SIGKILL)
    assert within(10, lambda: not any(is_running(one) for one in started))
    assert loadgen(home, "vms", "list").out == "no VMs run\n"
    done = loadgen(home, "vms", "down")
    assert (done.code, done.err) == (2, "loadgen: no VMs run\nhint: start some with loadgen vms up\n")


def test_a_dead_vm_is_listed_with_its_reason(home: Path, docroot: Path) -> None:
    up(home, docroot, "--vms", "2")
    os.kill(descendants(holder(home, "1"))[-1], signal.SIGKILL)
    assert within(10, lambda: "vm02: app was killed by SIGKILL" in loadgen(home, "vms", "list").out)
    assert loadgen(home, "vms", "down", "1").code == 0


def test_what_cannot_start_is_one_line(home: Path, docroot: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = int(other.getsockname()[1])
        assert f"port {port} on 127.0.0.1 is taken" in up(home, docroot, "--base-port", str(port), exit_code=2)
    assert "the VM driver local cannot limit VMs (pids)" in up(home, docroot, "--vm-pids", "5", exit_code=2)
    assert loadgen(home, "vms", "list").out == "no VMs run\n"


def test_several_deployments_must_be_named(home: Path, docroot: Path) -> None:
    up(home, docroot)
    up(home, docroot)
    done = loadgen(home, "vms", "down")
    assert done.code == 2
    assert "several deployments run: 1, 2" in done.err
    assert "no VMs run as '3'; running: 1, 2" in loadgen(home, "vms", "down", "3").err
    assert loadgen(home, "vms", "down", "--all").code == 0
    assert loadgen(home, "vms", "list").out == "no VMs run\n"


def test_the_doctor_starts_a_vm_of_each_driver(home: Path) -> None:
    said = loadgen(home, "doctor").out
    assert "VMs: local" in said
    assert "one VM was started and answered" in said
    assert ("needs root" in said) == (os.geteuid() != 0)
    assert not list(home.iterdir())
