"""Commands of VMs for a user who is not root: each says in one line what it needs, and what works without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import LOADGEN, Done, environment

_USER = "65534"  # nobody
_READ_ALL = "+dac_read_search"  # the Python of these tests may be in a directory of root
_SETPRIV = shutil.which("setpriv")

pytestmark = pytest.mark.skipif(
    os.geteuid() == 0 and _SETPRIV is None and os.environ.get("CI") != "true", reason="setpriv is not installed"
)

NEEDS_ROOT = (
    "loadgen: the VM driver ns needs root, to create namespaces\n"
    "hint: run loadgen as root, or use --vm-driver local: the same servers, without isolation and limits\n"
)


@pytest.fixture
def home() -> Iterator[Path]:
    """Return a directory of the user, with a short path, because it gets unix sockets."""
    with tempfile.TemporaryDirectory(prefix="lg") as path:
        if os.geteuid() == 0:
            os.chown(path, int(_USER), int(_USER))
        yield Path(path)


def as_user(home: Path, *arguments: str) -> Done:
    """Run the command as a user who is not root."""
    user = ["--reuid", _USER, "--regid", _USER, "--clear-groups", "--inh-caps", _READ_ALL, "--ambient-caps", _READ_ALL]
    prefix = [_SETPRIV or "setpriv", *user] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*prefix, LOADGEN, *arguments],
        cwd=home,
        env={**environment(home / "cache"), "HOME": str(home), "TMPDIR": str(home), "XDG_RUNTIME_DIR": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "command",
    [
        "spec --vm-driver ns --vms 2",
        "vms up --vm-driver ns",
        "pack --vm-driver ns --count 2 --server builtin",
        "pack --vm-driver ns --vm-address 198.18.0.0/20 --vm-memory 64M",
    ],
)
def test_what_needs_root_is_one_line(command: str, home: Path) -> None:
    assert as_user(home, *command.split()) == Done(2, "", NEEDS_ROOT)


@pytest.mark.parametrize("command", ["spec --vms 2", "vms up", "pack"])
def test_a_limit_needs_a_driver_that_can_set_it(command: str, home: Path) -> None:
    done = as_user(home, *command.split(), "--vm-memory", "64M")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(
        "loadgen: the VM driver local cannot limit VMs (memory_bytes)\nhint: choose one that can ("
    )


def test_vms_start_and_end_without_root(home: Path) -> None:
    assert as_user(home, "vms", "list") == Done(0, "no VMs run\n", "")
    assert as_user(home, "vms", "down").code == 2
    up = as_user(home, "vms", "up", "--server", "builtin", "--connections", "1")
    assert (up.code, up.out.count("vm01")) == (0, 1), up.err
    assert as_user(home, "vms", "down").code == 0


def test_vms_are_packed_without_root(home: Path) -> None:
    done = as_user(home, "pack", "--count", "2", "--server", "builtin", "--json")
    assert (done.code, done.document["packed"]) == (0, 2), done.err


def test_the_doctor_says_which_drivers_work_without_root(home: Path) -> None:
    said = " ".join(as_user(home, "doctor").out.split())
    assert "the VM driver ns needs root, to create namespaces" in said
    assert "one VM was started and answered" in said


def test_the_paper_without_root_names_what_it_cannot_play_and_plays_the_rest(home: Path) -> None:
    done = as_user(home, "paper", "--steps", "pack,tcp", "--server", "builtin", "--out", "rec", "--json")
    found = {step["experiment"]: step for step in done.document["steps"]}
    assert (found["tcp"]["state"], found["pack"]["state"]) == ("not here", "played"), done.err
    assert "needs root" in found["tcp"]["reasons"][0]
    assert (done.code, found["pack"]["exit_code"]) == (0, 0)
    assert found["pack"]["numbers"][0]["value"] == 64
    assert "· 2 experiments, about 2 min in all: tcp, pack" in done.err
    again = as_user(home, "resume", "rec", "--json")  # it tries again what could not be played, and nothing else
    assert again.document["steps"][1] == found["pack"]
    assert "runs that are used again: pack" in again.err
    assert sorted(path.name for path in (home / "rec").iterdir()) == ["pack", "run.json"]
