"""Ctrl-C at any moment of a start is one line and exit code 130."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from coordinator.cli.commands import COMMANDS
from tests.support.recorded import RECORDS

_START = """
import os, sys
from coordinator.starting import end_at_once
end_at_once()
os.write(1, b"!")
from coordinator.start import main
sys.exit(main())
"""

DELAYS_S = (0.0, 0.01, 0.03, 0.06, 0.1, 0.16, 0.24, 0.35, 0.5, 0.8)

WORDS: dict[str, list[str]] = {
    "spec": ["--vms", "1", "--connections", "2", "--iterations", "1", "--duration", "9s", "--json"],
    "http": ["http://127.0.0.1:1/", "-d", "9s", "--json"],
    "iperf": ["--server", "-p", "0"],
    "forward": ["--duration", "9s"],
    "isolate": [
        *("--vm-driver", "local", "--hog", "none", "--game", "builtin", "--server", "builtin"),
        *("--connections", "0", "--antisocial", "1", "--duration", "9s", "--json"),
    ],
    "pack": ["--server", "builtin", "--count", "2", "--json"],
    "relative": ["--env", "bare", "--trials", "1", "--json", "--", "sleep", "9"],
    "compare": ["run", "run"],
    "paper": ["--steps", "tcp", "--json"],
    "proxy": ["--listen", ":0", "--connect", "127.0.0.1:9"],
    "resume": ["run"],
    "show": ["run"],
    "report": ["run", "-o", "report.html"],
    "plot": ["run", "-o", "figure.svg"],
    "web": [".", "--listen", "127.0.0.1:0"],
    "collect": ["run"],
    "fleet": ["check", "--hosts", "127.0.0.1:1"],
    "worker": ["--join", "127.0.0.1:9", "--cert", "nothing.pem"],
    "lab": ["clean"],
    "vms": ["list"],
    "serve": ["--port", "0", "--connections", "1"],
    "fileset": ["--dir", "files", "--connections", "1"],
    "doctor": [],
    "completion": ["bash"],
}


def test_every_command_is_interrupted() -> None:
    assert set(WORDS) == set(COMMANDS)


def interrupt(words: list[str], delay_s: float, cwd: Path) -> tuple[int, str, str]:
    """Start a command, wait until Python has started, send SIGINT to its process group after `delay_s`."""
    child = subprocess.Popen(
        [sys.executable, "-c", _START, *words],
        cwd=cwd,
        env={**os.environ, "TERM": "dumb", "XDG_CACHE_HOME": str(cwd / "cache")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdout.read(1) == "!"
    time.sleep(delay_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=60)
    return child.returncode, out, err


_PROGRESS = re.compile(r"·|\d+/\d+s |VMs=\d|phase=\d")


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_while_starting(command: str, tmp_path: Path) -> None:
    RECORDS["http good"](tmp_path / "run")
    interrupted = 0
    for delay_s in DELAYS_S:
        code, out, err = interrupt([command, *WORDS[command]], delay_s, tmp_path)
        assert "Traceback" not in err
        assert "ignored" not in err
        if "loadgen: interrupted" not in err:
            continue  # it was over, or served already
        interrupted += 1
        said = [line for line in err.splitlines() if not _PROGRESS.match(line)]
        if said[-1:] and said[-1].startswith("hint: play the runs: loadgen resume "):
            said.pop()
        assert (code, len(said)) == (130, 1), err
        if "--json" in WORDS[command]:
            assert json.loads(out)["exit_code"] == 130
    assert interrupted


@pytest.mark.parametrize(("before", "code"), [("trap '' INT; ", 0), ("", 130)])
def test_a_signal_that_is_ignored_stays_ignored(before: str, code: int) -> None:
    program = _START.replace('os.write(1, b"!")', "os.kill(os.getpid(), 2)")
    arguments = [sys.executable, "-c", program, "--version"]
    child = subprocess.run(
        ["sh", "-c", f'{before}exec "$@"', "sh", *arguments], capture_output=True, text=True, check=False
    )
    assert (child.returncode, child.stderr) == (code, "loadgen: interrupted\n" if code else "")


def test_the_command_starts_in_a_module_that_imports_little() -> None:
    scripts = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"loadgen": "coordinator.start:main"}
    code = "import sys; before = set(sys.modules); import coordinator.start; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"coordinator", "coordinator.start", "coordinator.starting", "__future__"}


_WATCHED = """
import signal, sys
from coordinator import start, starting

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "coordinator.cli":
            print(signal.getsignal(signal.SIGINT) is starting._end)
            raise SystemExit

sys.meta_path.insert(0, Watch())
start.main()
"""


def test_ctrl_c_is_heeded_before_the_command_line_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", _WATCHED], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
