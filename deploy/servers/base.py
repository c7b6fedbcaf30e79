"""The interface of web servers, and their common code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from deploy.wire import AppWorker, Launch
from loadgen.model.errors import PlanError
from loadgen.model.plan import Server

KEEP_ALIVE_S = 120
"""How long a server keeps an idle connection.  A paced client pauses up to 18.4 s after the largest file."""

UPSTREAM_IDLE_S = 60
"""How long a proxy keeps an idle connection to the application: shorter than the application does, so that the
application never closes one that the proxy is about to use."""

BACKLOG = 4096
"""The number of connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`."""

_SOCKET_PATH_BYTES = 95
"""The longest path of a unix socket that Apache takes; the kernel's own limit is 107, `sun_path` of unix(7)."""

_VERSION_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vm:
    """One VM to set up: where it listens, its document root, and a directory of its own (absolute paths)."""

    name: str
    host: str
    port: int
    connections: int
    docroot: Path
    workdir: Path

    @property
    def listen(self) -> str:
        """Address and port in the notation of nginx and Apache."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def app_dir(self) -> Path:
        """The directory that the application may write to."""
        return self.workdir / "app"

    @property
    def app_socket(self) -> Path:
        """The unix socket of the application behind another server; raises PlanError if its path is too long."""
        path = self.workdir / "app.sock"
        if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
            raise PlanError(
                f"the path of a unix socket may have at most {_SOCKET_PATH_BYTES} bytes, but {path} has more",
                hint="set TMPDIR to a directory with a shorter path",
            )
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The files that a VM needs before it starts, and the command that starts it.

    `config` is the configuration for the record.  `directories` and the names of `files` are relative to the
    directory of the VM.
    """

    launch: Launch
    config: str
    directories: tuple[str, ...] = ("app",)
    files: Mapping[str, str] = field(default_factory=dict)


class WebServer(Protocol):
    """A web server that was found on this machine."""

    @property
    def kind(self) -> Server:
        """The kind of server, never AUTO."""

    @property
    def version(self) -> str:
        """Name and version, as the server reports them."""

    @property
    def programs(self) -> tuple[str, ...]:
        """The paths of its program and modules, without the libraries that these need; () for the application."""

    def files_needed(self, connections: int) -> int:
        """The number of file descriptors that one process of a VM needs for `connections` connections."""

    def setup(self, vm: Vm) -> Setup:
        """The way to run the server in a VM; raises PlanError when it cannot run there."""


@runtime_checkable
class InheritingServer(Protocol):
    """A web server that can take over a listening socket that was made before it starts, in another network."""

    def inheriting(self, setup: Setup, descriptor: int) -> Setup:
        """The same VM with a listening socket that the server inherits as `descriptor`."""


def proxied_app(vm: Vm) -> AppWorker:
    """The application of a VM whose web server serves the file set itself and forwards the rest."""
    return AppWorker(docroot=str(vm.docroot), workdir=str(vm.app_dir), static=False, unix_socket=str(vm.app_socket))


def quoted(path: Path) -> str:
    """A path in quotes for a configuration file; raises PlanError for characters that nginx or Apache interpret."""
    text = str(path)
    if re.search(r'["\\$%*?\[\]\x00-\x1f]', text):
        raise PlanError(
            f"{text!r} cannot be used in a web server's configuration", hint="choose a path without special characters"
        )
    return f'"{text}"'


def find_binary(*names: str) -> str | None:
    """The path of the first of these programs that is installed; the sbin directories are searched, too."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def ask_version(binary: str, pattern: str, option: str = "-v") -> str | None:
    """The group of `pattern` in what `binary option` prints; None if it does not run, or prints nothing of the kind."""
    try:
        said = subprocess.run(
            [binary, option], stdin=subprocess.DEVNULL, capture_output=True, timeout=_VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(pattern, (said.stdout + said.stderr).decode(errors="replace"))
    return match[1] if match else None
