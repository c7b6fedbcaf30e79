"""`loadgen resume`: a stopped sweep continues where it stopped, and reports which runs are used again."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import LOADGEN, environment, loadgen

SWEEP = (
    *("spec", "--vms", "1,2", "--connections", "2", "--server", "builtin", "--out", "sweep", "--bound", "rate:100k"),
    *("--iterations", "1", "--ramp-up", "0s", "--warmup", "0s", "--duration", "2s", "--ramp-down", "0s"),
)
POINT_1, POINT_2 = (f"compiling the operations of {count} connections" for count in (2, 4))


def document(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return found


@contextlib.contextmanager
def sweep_at(moment: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a sweep whose stderr has just shown `moment`; the sweep is killed at the end of the context."""
    process = subprocess.Popen(
        [LOADGEN, *SWEEP],
        cwd=directory,
        env=environment(directory / "cache"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        try:
            for line in process.stderr:
                if moment in line:
                    break
            yield process
        finally:
            process.kill()


def test_a_killed_sweep_continues_with_the_point_that_was_cut(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    with sweep_at(POINT_2, tmp_path):
        pass
    before = document(sweep)
    assert before["verdict"] == "unfinished"
    first = (sweep / "vms-1" / "run.json").read_bytes()

    done = loadgen("resume", "sweep", cache=tmp_path / "cache", cwd=tmp_path)

    assert "runs that are used again: vms-1" in done.err
    assert "— 2 VMs (2 of 2), about 2s left —" in done.err
    assert f"is kept as {Path('sweep') / 'vms-2.cut-1'}" in done.err
    assert (sweep / "vms-1" / "run.json").read_bytes() == first
    assert document(sweep / "vms-2.cut-1")["verdict"] == "unfinished"
    written = document(sweep)
    assert [point["vms"] for point in written["points"]] == [1, 2]
    assert written["verdict"] != "unfinished"
    assert written["started_at"] == before["started_at"]
    assert written["environment"]["command_line"] == before["environment"]["command_line"]
    assert done.code == written["exit_code"]
    assert "Conforming connections" in done.out

    again = loadgen("resume", "sweep", cache=tmp_path / "cache", cwd=tmp_path)
    assert (again.code, again.out) == (2, "")
    assert "nothing is left to play" in again.err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_was_stopped_in_its_first_point_is_played_from_there(number: int, tmp_path: Path) -> None:
    with sweep_at(POINT_1, tmp_path) as process:
        process.send_signal(number)
        process.wait(20)
    assert document(tmp_path / "sweep")["vms"] == [1, 2]
    done = loadgen("resume", "sweep", cache=tmp_path / "cache", cwd=tmp_path)
    assert "runs that are used again: none" in done.err
    assert [point["vms"] for point in document(tmp_path / "sweep")["points"]] == [1, 2]


def test_a_sweep_that_is_still_played_is_not_resumed(tmp_path: Path) -> None:
    with sweep_at(POINT_1, tmp_path):
        done = loadgen("resume", "sweep", cache=tmp_path / "cache", cwd=tmp_path)
        assert (done.code, done.out) == (2, "")
        assert "another loadgen is writing the record in sweep" in done.err
        assert not list((tmp_path / "sweep").glob("*.cut-*"))
