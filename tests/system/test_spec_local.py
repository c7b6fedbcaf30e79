"""`loadgen spec` with its own servers: complete runs with each kind, mistakes, and disturbances."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import coordinator.record
from loadgen.engine.choice import available
from tests.support.cli import LOADGEN, command_of, descendants, environment, loadgen, start
from tests.support.disturbed import disturbed, ending, headline, score
from tests.support.vms import needs

SHORT = ("--iterations", "1", "--ramp-up", "500ms", "--warmup", "1s", "--ramp-down", "1s", "--bound", "rate:100k")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache directory whose file set is shared by the tests of this module."""
    return tmp_path_factory.mktemp("cache")


def run_json(directory: Path) -> dict[str, Any]:
    found = json.loads((directory / "run.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("server", [needs("nginx"), needs("apache"), "builtin"])
def test_every_operation_on_every_kind_of_server(server: str, cache: Path, tmp_path: Path) -> None:
    done = loadgen(
        *("spec", "--vms", "8", "--server", server, "--duration", "6s", "--json", "--out", "run", *SHORT),
        cache=cache,
        cwd=tmp_path,
    )
    document = done.document
    assert (done.code, document["verdict"]) == ending(document, 0, "conforming"), (document["reasons"], done.err)
    assert document["environment"]["server"]["kind"] == server
    (iteration,) = document["iterations"]
    assert {name: counts["bad"] for name, counts in iteration["by_group"].items()} == dict.fromkeys(
        ("static", "get", "cad", "post", "cgi"), 0
    )
    assert all(counts["ok"] > 0 for counts in iteration["by_group"].values()), iteration["by_group"]
    assert iteration["errors"] == 0
    if not disturbed(document):
        log = next(check for check in iteration["checks"] if check["name"] == "POST log")
        assert log["ok"], log
        assert "all logged, all in order" in log["detail"]
    assert len(document["targets"]) == 8
    assert (document["requested_connections"], document["conforming_connections"]) == (160, score(document, 160))
    schema = json.loads((Path(coordinator.record.__file__).parent / "run.schema.json").read_text())
    jsonschema.validate(document, schema)
    assert run_json(tmp_path / "run")["verdict"] == document["verdict"]
    shown = loadgen("show", "run", cache=cache, cwd=tmp_path)
    assert shown.code == 0
    assert headline(document, "160 of 160 requested connections conform") in shown.out
    assert f"engine   {available()[0].value}, replies stamped" in shown.out


def test_a_sweep_ends_with_its_table_and_a_record_of_each_point(cache: Path, tmp_path: Path) -> None:
    done = loadgen(
        *("spec", "--vms", "1,2", "--server", "builtin", "--duration", "2s", "--out", "run", *SHORT),
        cache=cache,
        cwd=tmp_path,
    )
    document = run_json(tmp_path / "run")
    codes = [ending(point, 0, "conforming")[0] for point in document["points"]]
    assert done.code == max(codes), done.out
    assert "sweep over the number of VMs" in done.out
    assert [point["vms"] for point in document["points"]] == [1, 2]
    scores = [score(point, conforming) for point, conforming in zip(document["points"], (20, 40), strict=True)]
    assert [point["conforming_connections"] for point in document["points"]] == scores
    assert run_json(tmp_path / "run" / "vms-2")["verdict"] == document["points"][1]["verdict"]
    shown = loadgen("show", "run", cache=cache, cwd=tmp_path)
    assert shown.out == done.out


def test_a_record_replays_its_plan(cache: Path, tmp_path: Path) -> None:
    loadgen(
        *("spec", "--vms", "2", "--server", "builtin", "--duration", "1s", "--seed", "7", "--out", "one", *SHORT),
        cache=cache,
        cwd=tmp_path,
    )
    done = loadgen("spec", "--replay", "one", "--out", "two", cache=cache, cwd=tmp_path)
    assert done.code in (0, 1, 3), done.err  # 3: other processes used this machine's cores
    assert run_json(tmp_path / "two")["plan"] == run_json(tmp_path / "one")["plan"]
    printed = loadgen("spec", "--replay", "one", "--print-plan", cache=cache, cwd=tmp_path)
    (tmp_path / "plan.toml").write_text(printed.out)
    again = loadgen("spec", "--plan", "plan.toml", "--print-plan", cache=cache, cwd=tmp_path)
    assert again.out == printed.out
    assert "seed = 7" in again.out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["spec", "--vsm", "3"], "No such option"),
        (["spec", "--vms", "0"], "the numbers must be positive and ascending"),
        (["spec", "--vms", "three"], "is not a number"),
        (["spec", "--duration", "10 parsecs"], "is not a duration"),
        (["spec", "--bound", "tomorrow"], "is not a bound"),
        (["spec", "--targets", "missing.toml"], "missing.toml"),
        (["spec", "--plan", "missing.toml"], "missing.toml"),
        (["spec", "--replay", "missing"], "missing"),
        (["spec", "--connections", "0"], "connections must be at least 1"),
        (["show", "missing"], "there is no record"),
        (["serve"], "Missing option '--port'"),
        (["nonsense"], "No such command"),
    ],
)
def test_a_mistake_is_reported_in_one_line_with_exit_code_2(arguments: list[str], line: str, tmp_path: Path) -> None:
    done = loadgen(*arguments, cache=tmp_path, cwd=tmp_path)
    assert done.code == 2
    assert done.out == ""
    said = [text for text in done.err.splitlines() if not text.startswith("hint:")]
    assert len(said) == 1
    assert said[0].startswith("loadgen: ")
    assert line in said[0]
    assert not (tmp_path / "runs").exists()


def test_a_taken_port_is_named(cache: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = loadgen("spec", "--vms", "2", "--base-port", str(port), cache=cache, cwd=tmp_path)
    assert done.code == 2
    assert str(port) in done.err
    assert "Traceback" not in done.err


def test_an_unwritable_directory_is_named_before_anything_starts(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = loadgen("spec", "--out", "file/run", cache=cache, cwd=tmp_path)
    assert done.code == 2
    assert "file/run" in done.err
    assert "starting" not in done.err


def test_a_disk_that_becomes_full_during_a_run_loses_the_record_but_not_the_result(cache: Path, tmp_path: Path) -> None:
    """A limit on file sizes replaces a full disk: the write fails in the same place."""
    loadgen("fileset", cache=cache, cwd=tmp_path)

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    done = subprocess.run(
        [LOADGEN, "spec", "--vms", "4", "--server", "builtin", "--duration", "5s", "--out", "run", *SHORT],
        cwd=tmp_path,
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=limit,
        check=False,
    )
    assert done.returncode in (0, 1, 3), done.stderr  # 3: other processes used this machine's cores
    assert ("INVALID" if done.returncode == 3 else "80 of 80 requested connections conform") in done.stdout
    assert "the record ends early" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_starved_engine_is_invalid_and_says_nothing_about_the_servers(cache: Path, tmp_path: Path) -> None:
    """Busy loops use the engine's core; the servers have the other cores."""
    arguments = ("--vms", "4", "--server", "builtin", "--engines", "1", "--duration", "5s", "--json", "--out", "run")
    process = start("spec", *arguments, *SHORT, cache=cache, cwd=tmp_path)
    hogs: list[subprocess.Popen[bytes]] = []
    try:
        engine = _wait_for(process.pid, "loadgen.engine")
        core = min(os.sched_getaffinity(0))
        os.sched_setaffinity(engine, {core})
        for _ in range(2):
            hog = subprocess.Popen(["python3", "-c", "while True: pass"])
            os.sched_setaffinity(hog.pid, {core})
            hogs.append(hog)
        out, err = process.communicate(timeout=60)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
        process.kill()
        process.wait()
    document = json.loads(out)
    assert process.returncode == 3, (document["reasons"], err)
    assert document["verdict"] == "INVALID"
    assert not document["trust"]["valid"]
    failed = [check for check in document["trust"]["checks"] if not check["ok"]]
    assert all(check["detail"] for check in failed)
    shown = loadgen("show", "run", cache=cache, cwd=tmp_path)
    assert "the run says nothing about the servers" in shown.out


def _wait_for(pid: int, command: str) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for child in descendants(pid):
            if command in command_of(child):
                return child
        time.sleep(0.02)
    raise AssertionError(f"no {command} below {pid}")
