"""`loadgen spec` killed at any time: no process and no file is left, and its record can be read."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.engine.choice import available
from tests.support.cli import LOADGEN, alive, command_of, descendants, environment, loadgen
from tests.support.disturbed import says_disturbed
from tests.support.vms import needs

SHORT = ("--iterations", "1", "--ramp-up", "500ms", "--warmup", "1s", "--ramp-down", "1s", "--bound", "rate:100k")


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a temporary directory with a short path, because a unix socket's path is limited."""
    with tempfile.TemporaryDirectory(prefix="lg") as path:
        yield Path(path)


@pytest.mark.parametrize("moment", ["file set:", "starting", "compiling", "ramp-up", "measuring 1/1 2/"])
@pytest.mark.parametrize("server", [needs("nginx"), "builtin"])
def test_nothing_survives_a_killed_coordinator(server: str, moment: str, tmp_path: Path, short: Path) -> None:
    """The kill happens at five points: file set, start of servers, compilation, start of load, measurement."""
    temporary = short
    process = subprocess.Popen(
        [LOADGEN, "spec", "--vms", "4", "--server", server, "--out", "run", *SHORT],
        cwd=tmp_path,
        env={**environment(tmp_path / "cache"), "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        while moment not in (line := process.stderr.readline()):
            assert line, "the command ended before this line"
        started = descendants(process.pid)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    deadline = time.monotonic() + 20
    while (left := [pid for pid in started if alive(pid)]) or any(temporary.iterdir()):
        assert time.monotonic() < deadline, ([command_of(pid) for pid in left], list(temporary.iterdir()))
        time.sleep(0.05)
    shown = loadgen("show", "run", cache=tmp_path / "cache", cwd=tmp_path)
    assert shown.code == 0, shown.err
    assert "run was cut" in shown.out
    if not moment.startswith("measuring"):
        # On a busy machine, the kill may follow the line about the ramp-up later.
        assert moment == "ramp-up" or "of 80 requested connections" not in shown.out
    else:
        assert "of 80 requested connections" in shown.out or says_disturbed(shown.out)
        playing = json.loads((tmp_path / "run/run.json").read_text())["fleet"]["engines"]
        assert {one["engine"] for one in playing} == {available()[0].value}
