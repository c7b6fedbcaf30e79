"""Commands whose output nobody reads, and views that fail: neither costs the run anything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.record.writer import INTERVALS
from tests.support.cli import LOADGEN, environment, loadgen
from tests.support.recorded import RECORDS
from tests.support.scripted import ScriptedServer, good
from tests.support.unread import Ends, a_full_terminal, a_pipe, waits_to_write
from tests.support.vms import within

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ("-c", "2", "--engines", "1", "--json", "--out", "run")
LONGEST_S = 60


def play(
    *command: str,
    cwd: Path,
    stderr: int,
    stdout: int = subprocess.PIPE,
    duration: str = "4s",
    meanwhile: Callable[[subprocess.Popen[str]], object] = lambda _: None,
) -> tuple[int, str, str]:
    """Play `command` with the URL of a good server; returns the exit code, stdout, and stderr if it is a pipe to us."""

    def played(url: str) -> tuple[int, str, str]:
        process = subprocess.Popen(
            [*command, "http", url, "-d", duration, *OPTIONS],
            cwd=cwd,
            env={**environment(cwd), "TERM": "xterm", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        try:
            meanwhile(process)
            out, err = process.communicate(timeout=LONGEST_S)
        finally:
            process.kill()
            process.wait()
        return process.returncode, out or "", err or ""

    async def scenario() -> tuple[int, str, str]:
        async with ScriptedServer(good) as server:
            return await asyncio.to_thread(played, f"http://127.0.0.1:{server.port}/?size=500")

    return asyncio.run(scenario())


def is_whole(code: int, out: str, record: Path) -> bool:
    """Whether the run was played to its planned end without an error, and its record says what was printed."""
    printed, recorded = json.loads(out), json.loads((record / "run.json").read_text())
    assert code in (0, 3), out  # a machine with other work makes a run INVALID
    for document in (printed, recorded):
        assert (document["exit_code"], document["measured_s"]) == (code, pytest.approx(4.0, abs=0.1))
        assert document["total"]["ok"] > 0
        assert document["total"]["errors"] == 0
    return bool(printed == recorded)


UNREAD: dict[str, Callable[[], contextlib.AbstractContextManager[Ends]]] = {
    "a full pipe": lambda: a_pipe(room=0),
    "a pipe that is full soon": lambda: a_pipe(room=150),
    "a full terminal": lambda: a_full_terminal(room=0),
    "a terminal that is full soon": lambda: a_full_terminal(room=2000),
}


@pytest.mark.parametrize("where", UNREAD)
def test_a_run_ends_in_time_although_nobody_reads_stderr(where: str, tmp_path: Path) -> None:
    with UNREAD[where]() as unread:
        code, out, _ = play(LOADGEN, cwd=tmp_path, stderr=unread.inner)
        assert is_whole(code, out, tmp_path / "run")


def test_ctrl_c_is_heeded_although_nobody_reads_stderr(tmp_path: Path) -> None:
    def interrupt(process: subprocess.Popen[str]) -> None:
        measured = tmp_path / "run" / INTERVALS
        assert within(LONGEST_S, lambda: measured.exists() and measured.stat().st_size > 0)
        process.send_signal(signal.SIGINT)

    with a_full_terminal() as unread:
        code, out, _ = play(LOADGEN, cwd=tmp_path, stderr=unread.inner, duration="50s", meanwhile=interrupt)
    assert (code, json.loads(out)["verdict"]) == (130, "interrupted")
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == json.loads(out)


UNREAD_RESULTS: dict[str, tuple[str, bool]] = {
    "a pipe that nobody reads": ("a full pipe", False),
    "a stopped terminal": ("a full terminal", False),
    "a stopped terminal that shows stderr, too": ("a full terminal", True),
}


@pytest.mark.parametrize("where", UNREAD_RESULTS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_a_command_whose_result_nobody_reads(where: str, number: signal.Signals, tmp_path: Path) -> None:
    kind, is_shared = UNREAD_RESULTS[where]

    def interrupt(process: subprocess.Popen[str]) -> None:
        recorded = tmp_path / "run" / "run.json"
        assert within(LONGEST_S, lambda: recorded.exists() and waits_to_write(process.pid, 1))
        process.send_signal(number)

    with UNREAD[kind]() as unread:
        err = unread.inner if is_shared else subprocess.PIPE
        code, _, said = play(LOADGEN, cwd=tmp_path, stdout=unread.inner, stderr=err, duration="1s", meanwhile=interrupt)
    assert code == 130
    if not is_shared:
        assert "loadgen: interrupted before stdout took the whole result; the record is whole\n" in said
        assert said.endswith("hint: to see the result: loadgen show run\n")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["verdict"] in ("conforming", "INVALID")  # of the run, which was over
    shown = loadgen("show", "run", "--json", cache=tmp_path, cwd=tmp_path)
    assert (shown.code, shown.document) == (0, record)


@pytest.mark.parametrize("where", ["a full pipe", "a full terminal"])
def test_ctrl_c_ends_a_command_that_prints_to_nobody(where: str, tmp_path: Path) -> None:
    RECORDS["http good"](tmp_path / "run")
    with UNREAD[where]() as unread:
        process = subprocess.Popen(
            [LOADGEN, "show", "run", "--json"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=unread.inner,
            stderr=unread.inner,
            start_new_session=True,
        )
        try:
            assert within(LONGEST_S, lambda: waits_to_write(process.pid, 1))
            process.send_signal(signal.SIGINT)
            assert process.wait(LONGEST_S) == 130
        finally:
            process.kill()
            process.wait()


BREAK = """
import sys
from coordinator.output.terminal import http_live, http_view

def broken(*_, **__):
    raise ZeroDivisionError("not to be seen")

{name} = broken
from coordinator.start import main
sys.exit(main())
"""


@pytest.mark.parametrize("name", ["http_view.HttpViewBuilder.build", "http_live.http_news"])
def test_a_view_that_fails_is_told_once_and_the_run_goes_on(name: str, tmp_path: Path) -> None:
    code, out, err = play(sys.executable, "-c", BREAK.format(name=name), cwd=tmp_path, stderr=subprocess.PIPE)
    assert is_whole(code, out, tmp_path / "run")
    assert err.count("Traceback") == err.count("ZeroDivisionError: not to be seen") == 1
    assert err.count("the live view stopped, the run goes on") == 1
