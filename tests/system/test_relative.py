"""`loadgen relative`: a command in this machine itself and in boxes, commands that fail or hang, and a stop."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.boxes import groups_of, needs_root
from tests.support.cli import Done, loadgen, start
from tests.support.containers import needs_engine
from tests.support.vms import within

COUNT = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo loops: $i"


def relative(home: Path, *arguments: str | Path) -> Done:
    return loadgen("relative", *arguments, cache=home / "cache", cwd=home)


@needs_root
def test_a_command_is_compared_in_two_environments(tmp_path: Path) -> None:
    done = relative(
        tmp_path,
        *("--env", "bare", "--env", "ns", "--trials", "3", "--vms", "2", "--vm-pids", "50", "--out", "out", "--json"),
        *("--metric", r"loops: (\d+)", "--unit", "loops", "--", "sh", "-c", COUNT),
    )
    assert done.code == 0, done.err
    bare, ns = done.document["rows"]
    assert (bare["environment"], ns["environment"]) == ("bare", "ns")
    assert bare["values"] == ns["values"] == [20000.0] * 3
    assert ns["relative"] == pytest.approx(1.0)
    assert (ns["difference"], ns["relative_low"]) == ("unknown", None)  # three equal ratios say nothing about chance
    assert [len(one["trials"]) for one in done.document["rounds"]] == [2, 2, 2]
    assert {copy["vm"] for trial in done.document["rounds"][0]["trials"] for copy in trial["copies"]} == {
        "vm01",
        "vm02",
    }
    assert done.document["environment"]["server"]["environments"]["ns"]["limits"]["pids"] == 50
    assert "bare runs without the limits of the VMs" in done.document["notes"]

    shown = loadgen("show", "out", cache=tmp_path / "cache", cwd=tmp_path)
    assert "loops (higher is better)" in shown.out
    assert "Verdict: VALID (exit code 0)" in shown.out
    rows = loadgen("show", "out", "--format", "csv", cache=tmp_path / "cache", cwd=tmp_path)
    assert len(list(csv.DictReader(io.StringIO(rows.out)))) == 3 * 2 * 2
    one = loadgen("show", "out/round-2", cache=tmp_path / "cache", cwd=tmp_path)
    assert "round 2 of 3" in one.out
    again = relative(tmp_path, "--replay", "out", "--print-plan")
    assert 'pattern = "loops: (\\\\d+)"' in again.out


@needs_root
@needs_engine
@pytest.mark.skipif(shutil.which("dbench") is None and os.environ.get("CI") != "true", reason="dbench is not installed")
def test_dbench_is_compared_in_three_environments(tmp_path: Path) -> None:
    names = ("bare", "ns", "oci")
    where = [word for name in names for word in ("--env", name)]
    short = ("--trials", "1", "--warmups", "0", "--duration", "1s", "--out", "out")
    done = relative(tmp_path, "--recipe", "dbench", *where, *short, "--json")
    assert done.code == 0, done.err
    rows = done.document["rows"]
    assert [(row["environment"], row["metric"], row["unit"]) for row in rows] == [
        (name, "throughput", "MB/s") for name in names
    ]
    assert [len(row["values"]) for row in rows] == [1, 1, 1]
    shown = loadgen("show", "out", cache=tmp_path / "cache", cwd=tmp_path)
    assert "oci      fresh containers of podman " in shown.out


def test_a_command_that_fails_is_told_with_its_output(tmp_path: Path) -> None:
    done = relative(tmp_path, "--env", "bare", "--", "sh", "-c", "echo some output; echo the cause >&2; exit 7")
    assert done.code == 1
    assert "output: some output\n" in done.err
    assert done.err.splitlines()[-2:] == [
        "loadgen: the command failed with exit status 7 in bare, round 1",
        "hint: its last output: the cause",
    ]
    assert not list((tmp_path / "runs").iterdir())


def test_a_command_that_fails_later_leaves_what_was_measured(tmp_path: Path) -> None:
    count = f"echo >> {tmp_path}/lines; [ $(wc -l < {tmp_path}/lines) -lt 3 ]"
    done = relative(
        tmp_path, "--env", "bare", "--warmups", "0", "--trials", "4", "--out", "out", "--", "sh", "-c", count
    )
    assert done.code == 1
    assert "2 of 4 runs were measured" in done.out
    assert "the command failed with exit status 1 in bare, round 3" in done.err
    (tmp_path / "lines").unlink()
    resumed = loadgen("resume", "out", "--json", cache=tmp_path / "cache", cwd=tmp_path)
    assert resumed.code == 0, resumed.err
    assert "runs that are used again: round-1, round-2" in resumed.err
    assert [len(row["values"]) for row in resumed.document["rows"]] == [4]


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    done = relative(tmp_path, "--env", "bare", "--timeout", "3s", "--", "sh", "-c", "echo begun; sleep 1000")
    assert done.code == 1
    assert "the command did not end within 3s and was killed in bare, round 1" in done.err
    assert "hint: its last output: begun; --timeout sets the limit" in done.err


def test_a_preparation_that_fails_and_an_output_without_the_number_are_told(tmp_path: Path) -> None:
    done = relative(tmp_path, "--env", "bare", "--prepare", "echo no disk; exit 2", "--", "true")
    assert "the preparation failed with exit status 2 in bare, round 1" in done.err
    assert "hint: its last output: no disk" in done.err
    done = relative(tmp_path, "--env", "bare", "--metric", "x = (.*)", "--", "echo", "y = 1")
    assert done.code == 1
    assert "bare, round 1: the output has no match for 'x = (.*)'" in done.err


def test_ctrl_c_keeps_the_trials_and_the_rest_is_resumed(tmp_path: Path) -> None:
    arguments = ("--env", "bare", "--warmups", "0", "--trials", "3", "--out", "out", "--", "sh", "-c")
    slow = f"[ ! -e {tmp_path}/lines ] || [ -e {tmp_path}/go ] || sleep 1000; echo >> {tmp_path}/lines"
    process = start("relative", *arguments, slow, cache=tmp_path / "cache", cwd=tmp_path)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "— round 2 " in line:
                break
        assert within(30, lambda: (tmp_path / "out/round-2/run.json").exists())
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Verdict: INTERRUPTED (exit code 130)" in out or "interrupted before there was any traffic" in err
    assert groups_of(process.pid) == []
    (tmp_path / "go").touch()
    resumed = loadgen("resume", "out", "--json", cache=tmp_path / "cache", cwd=tmp_path)
    assert resumed.code == 0, resumed.err
    assert len(resumed.document["rows"][0]["values"]) == 3
    assert json.loads((tmp_path / "out/run.json").read_text())["verdict"] == "conforming"


@pytest.mark.skipif(shutil.which("gcc") is None and os.environ.get("CI") != "true", reason="the recipe micro needs gcc")
def test_the_recipe_micro_has_the_rows_of_the_tables(tmp_path: Path) -> None:
    done = relative(
        tmp_path, "--recipe", "micro", "--env", "bare", "--trials", "1", "--warmups", "0", "--json", "--out", "out"
    )
    assert done.code == 0, done.err
    rows = {row["metric"]: row for row in done.document["rows"]}
    assert {"fork and exit", "fork and exec", "mmap of 8 MB", "select on 100 sockets", "switch 2p/0K", "pipe"} <= set(
        rows
    )
    assert {(row["unit"], row["better"]) for row in rows.values()} == {("us", "lower"), ("MB/s", "higher")}
    assert all(row["mean"] > 0 for row in rows.values())
