"""The canary of whole runs: it is in the record, can be left out, and leaves nothing behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.cli import alive, command_of, descendants, loadgen, start

SPEC = ("spec", "--vms", "2", "--connections", "2", "--server", "builtin", "--engines", "1", "--duration", "3s")
SHORT = ("--warmup", "0s", "--iterations", "2")


@pytest.mark.parametrize("engine", ["python", "compiled"])
def test_a_run_has_a_canary_for_each_window_and_engine(tmp_path: Path, engine: str) -> None:
    done = loadgen(*SPEC, *SHORT, "--engine", engine, "--json", "--out", "run", cache=tmp_path, cwd=tmp_path)
    rows = done.document["canary"]
    assert [(row["window"], row["engine"]) for row in rows] == [(0, "local/0"), (1, "local/0")]
    for row in rows:
        assert row["requests"] > 40, row  # of 72
        assert row["failed"] == 0
        assert row["truth_ms"]["p50"] >= 5
        assert row["response_ms"]["p50"] >= row["truth_ms"]["p50"]
    (check,) = (check for check in done.document["trust"]["checks"] if check["name"] == "canary")
    assert check["unit"] == "ms"
    shown = loadgen("show", "run", cache=tmp_path, cwd=tmp_path)
    assert "Canary: the client adds" in shown.out


def test_without_a_canary_there_is_neither_a_responder_nor_a_word_of_it(tmp_path: Path) -> None:
    done = loadgen(*SPEC, *SHORT, "--no-canary", "--json", "--out", "run", cache=tmp_path, cwd=tmp_path)
    assert "canary" not in done.document
    assert not [check for check in done.document["trust"]["checks"] if check["name"] == "canary"]
    shown = loadgen("show", "run", cache=tmp_path, cwd=tmp_path)
    assert "anary" not in shown.out


def test_a_killed_run_leaves_no_responder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        process = start("http", url, "-c", "2", "-d", "60s", cache=tmp_path, cwd=tmp_path)
        responder = _responder_of(process)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
    deadline = time.monotonic() + 20
    while alive(responder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(responder)


def _responder_of(process: subprocess.Popen[str]) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for pid in descendants(process.pid):
            if "loadgen.agent.responder" in command_of(pid):
                return pid
        time.sleep(0.02)
    raise AssertionError("no responder was started")
