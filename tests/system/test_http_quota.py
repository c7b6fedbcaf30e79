"""`loadgen http` in a control group with a CPU quota, together with its server: the quota is found."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import loadgen
from tests.system.test_http_neighbours import SERVER, running

V1 = Path("/sys/fs/cgroup/cpu")


def own_group() -> Path:
    """The control group that this process is in."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    paths = [path for _, controllers, path in lines if "cpu" in controllers.split(",")]
    return V1 / paths[0].lstrip("/") if paths else V1


@pytest.fixture
def quota() -> Iterator[Path]:
    """A control group with 15 % of a core (cgroups v1), which this process and all that it starts are in."""
    own = own_group()
    group = own / f"loadgen-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "cpu.cfs_quota_us").write_text("15000")
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip("this user may not make a control group of version 1 with a quota")
    try:
        yield group
    finally:
        (own / "cgroup.procs").write_text(str(os.getpid()))
        with contextlib.suppress(OSError):  # a process may still end
            group.rmdir()


@pytest.mark.usefixtures("quota")
def test_a_quota_that_is_used_up_makes_the_run_invalid(tmp_path: Path) -> None:
    with running(SERVER) as (server,):
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/"
        done = loadgen("http", url, "-c", "8", "-d", "2s", "--json", cache=tmp_path, cwd=tmp_path)
    assert done.code == 3, done.err
    (check,) = [one for one in done.document["trust"]["checks"] if one["name"] == "CPU quota"]
    assert not check["ok"]
