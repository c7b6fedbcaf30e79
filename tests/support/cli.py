"""Runs the installed command as a user would, in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOADGEN = str(Path(sys.executable).parent / "loadgen")


@dataclass(frozen=True)
class Done:
    """A finished command: its exit code and its output."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def environment(cache: Path) -> dict[str, str]:
    """Return the test's environment, with a separate cache and without a terminal."""
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "FORCE_COLOR")}
    return {**kept, "XDG_CACHE_HOME": str(cache), "TERM": "dumb"}


def loadgen(*arguments: str | Path, cache: Path, cwd: Path, timeout_s: float = 90) -> Done:
    """Run the command to its end; fails when it takes too long."""
    done = subprocess.run(
        [LOADGEN, *map(str, arguments)],
        cwd=cwd,
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def start(*arguments: str | Path, cache: Path, cwd: Path) -> subprocess.Popen[str]:
    """Start the command in a session of its own, with pipes for stdout and stderr."""
    return subprocess.Popen(
        [LOADGEN, *map(str, arguments)],
        cwd=cwd,
        env=environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def descendants(pid: int) -> list[int]:
    """Return all processes below `pid`, from /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_of(pid: int) -> str:
    """Return the command line of a process as one text; "" when the process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
