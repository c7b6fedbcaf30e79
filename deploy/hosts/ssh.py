"""Starts `loadgen worker` on hosts over SSH and ends it, with the user's ssh_config, agent, keys and known hosts.

Nothing is written on a host.  The program gets its task as one frame on its standard input (loadgen.host.frames), and
ends when its input ends.  Every error is one sentence that says what to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import asyncssh

from deploy.hosts.connect import CONNECT_TIMEOUT_S, Connector, Trail, close, said
from deploy.hosts.inventory import Host
from deploy.hosts.remote import Remote
from loadgen.model.errors import FleetError

_KILL_TIMEOUT_S = 3.0
_CLOSE_TIMEOUT_S = 1.0


class Ssh:
    """Connects to hosts; `note` receives what the user should know, such as a key file that is skipped."""

    def __init__(self, note: Callable[[str], None] = lambda text: None) -> None:
        self._connector = Connector(note)
        self._note = note

    async def connect(self, host: Host) -> Link:
        """Connect to a host.  Raises FleetError when that fails."""
        trail: Trail = []
        try:
            connection, settings = await self._connector.connect(host, trail)
        except BaseException:
            for one in reversed(trail):
                await close(one, _CLOSE_TIMEOUT_S)
            raise
        return Link(host, connection, trail, self._note, direct=not (settings.jumps or settings.proxy_command))


class Link:
    """A connection to a host.

    `local_address` is an address of this machine that the host can reach, `address` the one at which this machine
    reached the host; both are "" when the connection goes through another host, or to the link-local address
    `link_local`.
    """

    def __init__(
        self,
        host: Host,
        connection: asyncssh.SSHClientConnection,
        trail: Trail,
        note: Callable[[str], None],
        *,
        direct: bool,
    ) -> None:
        self.host = host
        self._connection = connection
        self._trail = trail
        self._note = note
        reached = _address(connection, "peername") if direct else ""
        # The scope in such an address has a meaning on this machine only, so nobody else can use the address.
        self.link_local = reached if "%" in reached else ""
        self.local_address = _address(connection, "sockname") if direct and not self.link_local else ""
        self.address = "" if self.link_local else reached

    @property
    def is_open(self) -> bool:
        """Whether the connection is open, as far as this end knows."""
        return not self._connection.is_closed()

    async def start(self, mark: str, bootstrap: dict[str, Any]) -> Remote:
        """Start `loadgen worker` on the host, and send it `bootstrap`.  Raises FleetError when it does not start.

        `mark` is part of its command line and shows to which run the process belongs.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                process = await self._connection.create_process(_command(self.host, mark), encoding=None)
        except TimeoutError:
            raise FleetError(f"it did not start a program within {CONNECT_TIMEOUT_S:g} s") from None
        except (asyncssh.Error, OSError) as error:
            raise FleetError(f"it does not start a program: {said(error)}") from error
        remote = Remote(process, mark)
        try:
            remote.tell(bootstrap)
            if printed := await remote.read_hello():
                self._note(f"the login shell of {self.host.name} printed {printed!r} before loadgen; it is skipped")
        except BaseException:
            await remote.close()
            raise
        return remote

    async def kill(self, pid: int, mark: str) -> bool:
        """Kill a process that :meth:`start` started, with its group; returns whether the host got the command in time.

        A frozen process is killed, too; another process that has the same pid by now is not.
        """
        ours = f"tr '\\0' ' ' </proc/{pid}/cmdline | grep -qF -- {shlex.quote(mark)}"
        kill = f"kill -s KILL -- -{pid}"
        if starter := self.host.words[:-1]:  # sudo, for example: then only it may kill the process
            kill = f"{{ {kill} 2>/dev/null || {_quoted(starter)} {kill}; }}"
        with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):
            async with asyncio.timeout(_KILL_TIMEOUT_S):
                await self._connection.run(_shell(f"{ours} && {kill}"), check=False)
                return True
        return False

    async def close(self) -> None:
        """Close the connection, in bounded time.  Further calls do nothing."""
        for one in (self._connection, *reversed(self._trail)):
            await close(one, _CLOSE_TIMEOUT_S)


def _address(connection: asyncssh.SSHClientConnection, which: str) -> str:
    name = connection.get_extra_info(which)
    return str(name[0]) if name else ""


def _command(host: Host, mark: str) -> str:
    """The command for any login shell.  The program replaces the shell, and keeps its process group."""
    arguments = f"worker --stdin {shlex.quote(mark)}"
    if host.command:
        return _shell(f"exec {_quoted(host.words)} {arguments}")
    own = shlex.quote(os.fspath(Path(sys.executable).parent / "loadgen"))  # both machines may share a file system
    return _shell(f"[ -x {own} ] && exec {own} {arguments}; exec loadgen {arguments}")


def _shell(script: str) -> str:
    return f"exec sh -c {shlex.quote(script)}"


def _quoted(words: Sequence[str]) -> str:
    """The words for a shell; ~/ is the home directory there."""
    return " ".join(
        '"$HOME"/' + shlex.quote(word[2:]) if word.startswith("~/") else shlex.quote(word) for word in words
    )
