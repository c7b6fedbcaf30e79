"""A signal while a command starts: it ends in one line, and the engines that have started already end with it."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest

from tests.support.cli import alive, command_of, descendants, start

_LONGEST_S = 30.0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_signal_while_a_run_starts_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts nothing, so that no request is answered
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        process = start("http", url, "-c", "2", "--engines", "2", "-d", "30s", cache=tmp_path, cwd=tmp_path)
        deadline_s = time.monotonic() + _LONGEST_S
        while len(engines := _engines(process.pid)) < 2 and time.monotonic() < deadline_s:
            time.sleep(0.002)
        process.send_signal(number)
        out, err = process.communicate(timeout=_LONGEST_S)
    assert len(engines) == 2
    assert process.returncode in (code, 130)  # 130 for SIGTERM, too, once the run handles it
    assert not out
    assert "Traceback" not in err
    if process.returncode == 130:
        assert err.strip().splitlines()[-1].startswith("loadgen: interrupted")
    while any(map(alive, engines)) and time.monotonic() < deadline_s:  # a killed parent cannot wait for them
        time.sleep(0.01)
    assert not any(map(alive, engines))


def _engines(pid: int) -> list[int]:
    return [one for one in descendants(pid) if "loadgen.engine" in command_of(one)]
