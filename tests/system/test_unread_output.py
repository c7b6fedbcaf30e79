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
from tests.support.cli import LOADGEN, environment
from tests.support.scripted import ScriptedServer, good
from tests.support.unread import Ends, a_full_terminal, a_pipe
from tests.support.vms import within

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ("-c", "2", "--engines", "1", "--json", "--out", "run")
LONGEST_S = 60


def play(
    *command: str,
    cwd: Path,
    stderr: int,
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
            stdout=subprocess.PIPE,
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
        return process.returncode, out, err or ""

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
