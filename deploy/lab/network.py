"""Builds a lab and removes it."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

from deploy.lab import offloads
from deploy.lab.namespace import Inside, Namespace
from deploy.lab.topology import INHERITED, NICS, PROXY_HOST, ROUTING, SINK_HOST, Command, Place, commands
from loadgen.model.errors import FleetError, PlanError
from loadgen.model.probe import Link

_TOOLS = {"ip": "iproute2", "tc": "iproute2", "nsenter": "util-linux"}
_COMMAND_TIMEOUT_S = 10.0
_SETTLE_TIMEOUT_S = 5.0
_DISCARD_PORT = 9  # no process listens on it in a new namespace
_SYS_NET = Path("/proc/sys/net")


def why_not() -> str:
    """Why this user cannot build a lab on this machine, as a phrase; "" when it is possible."""
    missing = sorted(name for name in _TOOLS if not _tool(name))
    if missing:
        packages = sorted({_TOOLS[name] for name in missing})
        return f"{' and '.join(missing)} must be installed ({', '.join(packages)})"
    try:
        Namespace().close()
    except OSError as error:
        return f"a network namespace cannot be created: {error.strerror} (this needs root)"
    return ""


class Lab:
    """A context manager; the network exists inside it.

    Raises PlanError when this user cannot build one, FleetError when a step of building it fails.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._places: dict[Place, Namespace] = {}

    def __enter__(self) -> Self:
        if reason := why_not():
            raise PlanError(
                f"no lab can be built: {reason}", hint="use --lab loopback, which needs no root but shows less"
            )
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the namespaces; each vanishes when no process runs in it.  Further calls do nothing."""
        for namespace in self._places.values():
            namespace.close()

    def inside(self, place: Place) -> Inside:
        """Return the means to start a program in a place of the lab."""
        return self._places[place].inside(_tool("nsenter"))

    def _build(self) -> None:
        try:
            own = _settings()
            for place in Place:
                self._places[place] = Namespace()
                self._places[place].call(functools.partial(_set, own))
            self._places[Place.PROXY].call(functools.partial(_set, ROUTING))
            for command in commands(self._link, {place: one.path for place, one in self._places.items()}):
                self._places[command.place].call(functools.partial(self._run, command))
            for place, nics in NICS.items():
                for nic in nics:
                    self._places[place].call(functools.partial(offloads.settle, nic))
            # Places learn the hardware addresses of the others now, instead of during a measurement.
            self._places[Place.PROXY].call(functools.partial(_reach, SINK_HOST))
            self._places[Place.SOURCE].call(functools.partial(_reach, PROXY_HOST))
            self._places[Place.SOURCE].call(functools.partial(_reach, SINK_HOST))
        except OSError as error:
            raise FleetError(f"the lab cannot be built: {error.strerror or error}") from error

    def _run(self, command: Command) -> None:
        name, *arguments = command.argv
        try:
            done = subprocess.run(
                [_tool(name), *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_COMMAND_TIMEOUT_S,
                pass_fds=[one.descriptor for one in self._places.values()],
                check=False,
            )
        except subprocess.TimeoutExpired:
            took = f"it took more than {_COMMAND_TIMEOUT_S:g} s"
            raise FleetError(f"the lab cannot be built: {' '.join(command.argv)}: {took}") from None
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise FleetError(f"the lab cannot be built: {' '.join(command.argv)}: {said}")


def _tool(name: str) -> str:
    """The path of a program, "" when it is not installed.  The sbin directories are searched, too."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") or ""


def _settings() -> dict[str, str]:
    """The settings of the current namespace that a lab inherits, as far as this kernel has them."""
    found = {}
    for name in INHERITED:
        with contextlib.suppress(OSError):
            found[name] = (_SYS_NET / name).read_text()
    return found


def _set(settings: dict[str, str]) -> None:
    for name, value in settings.items():
        (_SYS_NET / name).write_text(value)


def _reach(host: str) -> None:
    """Send a packet to a host and wait for the reply, a refusal; raises OSError when none arrives."""
    with (
        contextlib.suppress(ConnectionRefusedError),
        socket.create_connection((host, _DISCARD_PORT), _SETTLE_TIMEOUT_S),
    ):
        pass
