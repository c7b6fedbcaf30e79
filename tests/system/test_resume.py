"""`loadgen resume`: a killed sweep continues where it stopped, and reports which runs are used again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import LOADGEN, environment, loadgen

SWEEP = (
    *("spec", "--vms", "1,2", "--connections", "2", "--server", "builtin", "--out", "sweep", "--bound", "rate:100k"),
    *("--iterations", "1", "--ramp-up", "0s", "--warmup", "0s", "--duration", "2s", "--ramp-down", "0s"),
)


def document(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return found


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Return a sweep whose first point is done, and whose second point was killed during its preparation."""
    process = subprocess.Popen(
        [LOADGEN, *SWEEP],
        cwd=tmp_path,
        env=environment(tmp_path / "cache"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        for line in process.stderr:
            if "compiling the operations of 4 connections" in line:
                break
        process.kill()
    return tmp_path


def test_a_killed_sweep_continues_with_the_point_that_was_cut(killed: Path) -> None:
    sweep = killed / "sweep"
    assert document(sweep)["verdict"] == "unfinished"
    first = (sweep / "vms-1" / "run.json").read_bytes()

    done = loadgen("resume", "sweep", cache=killed / "cache", cwd=killed)

    assert "runs that are used again: vms-1" in done.err
    assert "— 2 VMs (2 of 2), about 2s left —" in done.err
    assert f"is kept as {Path('sweep') / 'vms-2.cut-1'}" in done.err
    assert (sweep / "vms-1" / "run.json").read_bytes() == first
    assert document(sweep / "vms-2.cut-1")["verdict"] == "unfinished"
    written = document(sweep)
    assert [point["vms"] for point in written["points"]] == [1, 2]
    assert written["verdict"] != "unfinished"
    assert done.code == written["exit_code"]
    assert "Conforming connections" in done.out

    again = loadgen("resume", "sweep", cache=killed / "cache", cwd=killed)
    assert (again.code, again.out) == (2, "")
    assert "nothing is left to play" in again.err
