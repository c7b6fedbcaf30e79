"""`loadgen http --check-headroom` with real runs: its records, and nothing that is left behind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.cli import loadgen


def test_three_runs_and_their_answer(tmp_path: Path) -> None:
    """The answer itself depends on the machine, which is shared here."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"port (\d+)", server.stdout.readline())
            assert found
            words = (f"http://127.0.0.1:{found[1]}/", "-c", "4", "-d", "2s", "--engines", "1", "--check-headroom")
            done = loadgen("http", *words, "--json", "--out", "checked", cache=tmp_path, cwd=tmp_path)
        finally:
            server.kill()
    document = done.document
    assert document["kind"] == "http-headroom"
    assert done.code == document["exit_code"]
    assert document["headroom"]["times"] > 0
    assert [step["role"] for step in document["steps"]][::2] == ["run", "null-responder"]
    alone = loadgen("show", "checked/null-responder", "--json", cache=tmp_path, cwd=tmp_path).document
    assert alone["total"]["ok"] > 0
    assert alone["total"]["errors"] == 0
    (route,) = alone["plan"]["connect_to"]
    assert route.rpartition(":")[2] not in listening()  # the null responder has ended
    assert "How far was the load generator" in loadgen("show", "checked", cache=tmp_path, cwd=tmp_path).out


def listening() -> set[str]:
    """The local ports at which somebody listens."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {str(int(line.split()[1].rpartition(":")[2], 16)) for line in lines if line.split()[3] == "0A"}
