"""The machine and the software of a run, in enough detail to explain why two runs differ."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import resource
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import loadgen
from loadgen.host.sysctls import read_sysctls

LIBRARIES = ("aiohttp", "msgpack", "numpy", "rich", "uvloop")
"""The libraries on which the measurement or its output depends."""

_GIT_TIMEOUT_S = 5
_GIT_COMMIT = "# branch.oid "  # the first line of `git status --porcelain=v2 --branch`


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The machine, the software and the command of a run.

    `cores_usable` is the number of cores on which this process may run (taskset, cpusets).  `load_average` was measured
    before the run.  `open_files_limit` is the soft limit; -1 means no limit.  `git_commit` is empty when loadgen does
    not run from a checkout, and ends in "+changes" when the checkout has uncommitted changes.  `server` is what the
    deployment says of the web server: kind, version, configuration and more.
    """

    host: str
    kernel: str
    architecture: str
    distribution: str
    cpu: str
    cores: int
    cores_usable: int
    memory_bytes: int
    load_average: tuple[float, float, float]
    open_files_limit: int
    sysctls: Mapping[str, str]
    python: str
    libraries: Mapping[str, str]
    loadgen: str
    git_commit: str
    command_line: tuple[str, ...]
    server: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that :meth:`from_dict` reads back."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in ("sysctls", "libraries", "server"):
            data[name] = dict(data[name])
        data["load_average"] = list(self.load_average)
        data["command_line"] = list(self.command_line)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Environment:
        """The inverse of :meth:`to_dict`; KeyError, TypeError or ValueError on anything else."""
        one, five, fifteen = data["load_average"]
        return cls(**{**data, "load_average": (one, five, fifteen), "command_line": tuple(data["command_line"])})


def collect(
    *, command_line: Sequence[str], server: Mapping[str, Any] | None = None, proc: Path = Path("/proc")
) -> Environment:
    """The environment on this machine.  Values that cannot be read are "" or 0, because they must not fail a run."""
    return Environment(
        host=platform.node(),
        kernel=platform.release(),
        architecture=platform.machine(),
        distribution=_distribution(),
        cpu=_field(proc / "cpuinfo", "model name") or platform.processor(),
        cores=os.cpu_count() or 0,
        cores_usable=len(os.sched_getaffinity(0)),
        memory_bytes=_memory_bytes(proc),
        load_average=os.getloadavg(),
        open_files_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        sysctls=read_sysctls(proc),
        python=platform.python_version(),
        libraries=_libraries(),
        loadgen=loadgen.__version__,
        git_commit=git_commit(Path(__file__).resolve().parents[2]),
        command_line=tuple(command_line),
        server=dict(server or {}),
    )


def git_commit(tree: Path) -> str:
    """The commit of the checkout in `tree`; empty when it is not a checkout, or git cannot be run."""
    if not (tree / ".git").exists():
        return ""

    # Reading must not take the lock that a commit in the same tree may need now.
    ask = ["git", "--no-optional-locks", "-C", str(tree), "status"]
    how = ["--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        done = subprocess.run([*ask, *how], capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    commit, *more = done.stdout.splitlines()
    changed = any(not line.startswith("#") for line in more)
    name = commit.removeprefix(_GIT_COMMIT)
    return name + "+changes" * changed if name.isalnum() else ""  # "(initial)" before the first commit


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _memory_bytes(proc: Path) -> int:
    number, _, unit = _field(proc / "meminfo", "MemTotal").partition(" ")
    return int(number) * 1024 if unit == "kB" else 0


def _field(path: Path, name: str) -> str:
    """The value of the first line `name : value`; empty when there is none."""
    with contextlib.suppress(OSError), path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""
