"""What a kind of web server is to the rest: found with its version, and set up for a VM."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from deploy.wire import AppWorker, Launch
from loadgen.model.errors import PlanError
from loadgen.model.plan import Server

KEEP_ALIVE_S = 120
"""How long a server keeps an idle connection.  A paced client pauses for up to 18.4 s after the largest file."""

UPSTREAM_IDLE_S = 60
"""How long a proxy keeps an idle connection to the app: less than the app does, so that the app never closes one
that the proxy is about to use."""

BACKLOG = 4096
"""Connections waiting to be accepted; the kernel lowers it to `net.core.somaxconn`."""

_SOCKET_PATH_BYTES = 95
"""The longest path of a unix socket that Apache takes; the kernel's own limit is 107, `sun_path` of unix(7)."""

_VERSION_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vm:
    """One VM to set up: where it listens, what it serves, and its own directory (absolute paths)."""

    name: str
    host: str
    port: int
    connections: int
    docroot: Path
    workdir: Path

    @property
    def listen(self) -> str:
        """Address and port as nginx and Apache spell them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def app_dir(self) -> Path:
        """What the app may write to."""
        return self.workdir / "app"

    @property
    def app_socket(self) -> Path:
        """Where the app listens behind another server; raises PlanError if the path is too long for one."""
        path = self.workdir / "app.sock"
        if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
            raise PlanError(
                f"the path of a unix socket may have {_SOCKET_PATH_BYTES} bytes, but {path} has more",
                hint="set TMPDIR to a directory with a shorter path",
            )
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a VM needs before it starts, and how it starts.

    `directories` and the names of `files` are relative to the VM's directory.
    """

    launch: Launch
    config: str
    directories: tuple[str, ...] = ("app",)
    files: Mapping[str, str] = field(default_factory=dict)


class WebServer(Protocol):
    """A server that was found on this machine."""

    @property
    def kind(self) -> Server:
        """Which kind it is."""

    @property
    def version(self) -> str:
        """Name and version, as it calls itself."""

    def files_needed(self, connections: int) -> int:
        """File descriptors that one process of a VM needs for so many connections."""

    def setup(self, vm: Vm) -> Setup:
        """How to run it in a VM; raises PlanError if it cannot be."""


def proxied_app(vm: Vm) -> AppWorker:
    """The app of a VM whose web server serves the file set itself and passes the rest on."""
    return AppWorker(docroot=str(vm.docroot), workdir=str(vm.app_dir), static=False, unix_socket=str(vm.app_socket))


def quoted(path: Path) -> str:
    """A path for a configuration file; raises PlanError for what nginx or Apache would read as something else."""
    text = str(path)
    if re.search(r'["\\$%*?\[\]\x00-\x1f]', text):
        raise PlanError(f"{text!r} cannot be used in a web server's configuration", hint="use a plainer path")
    return f'"{text}"'


def find_binary(*names: str) -> str | None:
    """The first of these programs that is installed.  `PATH` often lacks the sbin directories."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def ask_version(binary: str, pattern: str) -> str | None:
    """What `binary -v` says about itself, or None when it does not run or says nothing of the kind."""
    try:
        said = subprocess.run(
            [binary, "-v"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(pattern, (said.stdout + said.stderr).decode(errors="replace"))
    return match[1] if match else None
