"""Starts `loadgen worker` on hosts over SSH and ends it, with the user's ssh_config, agent, keys and known hosts.

Nothing is written on a host.  The program gets its task as one frame on its standard input (loadgen.host.frames), and
ends when its input ends.  Every error is one sentence that says what to do.
"""

from __future__ import annotations

import asyncio
import collections
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
from loadgen.host import frames
from loadgen.model.errors import FleetError

_HELLO_TIMEOUT_S = 20.0  # the program may be read from a remote file system
_KILL_TIMEOUT_S = 3.0
_CLOSE_TIMEOUT_S = 1.0
_STDERR_LINES = 20
_SMALL_BYTES = 1 << 16  # only the messages with parts of a spool are longer
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # exit codes of shells


class Ssh:
    """Connects to hosts; `note` receives what the user should know, such as a key file that is skipped."""

    def __init__(self, note: Callable[[str], None] = lambda text: None) -> None:
        self._connector = Connector(note)

    async def connect(self, host: Host) -> Link:
        """Connect to a host.  Raises FleetError when that fails."""
        trail: Trail = []
        try:
            connection, settings = await self._connector.connect(host, trail)
        except BaseException:
            for one in reversed(trail):
                await close(one, _CLOSE_TIMEOUT_S)
            raise
        return Link(host, connection, trail, direct=not (settings.jumps or settings.proxy_command))


class Link:
    """A connection to a host.

    `local_address` is an address of this machine that the host can reach, `address` the one at which this machine
    reached the host; both are "" when the connection goes through another host, or to the link-local address
    `link_local`.
    """

    def __init__(self, host: Host, connection: asyncssh.SSHClientConnection, trail: Trail, *, direct: bool) -> None:
        self.host = host
        self._connection = connection
        self._trail = trail
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
            await remote.read_hello()
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


class Remote:
    """A `loadgen worker` that runs on a host.  `pid` is its pid there, and that of its process group."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes], mark: str) -> None:
        self._process = process
        self.mark = mark
        self.pid = 0
        self._last_words: collections.deque[str] = collections.deque(maxlen=_STDERR_LINES)
        self._draining = asyncio.create_task(self._drain())

    async def read_hello(self) -> None:
        """Wait until the program has started.  Raises FleetError when it does not."""
        try:
            async with asyncio.timeout(_HELLO_TIMEOUT_S):
                message = await self.receive(_SMALL_BYTES)
        except TimeoutError:
            raise FleetError(f"loadgen did not start there within {_HELLO_TIMEOUT_S:g} s") from None
        if message is None:
            raise FleetError(await self.why_ended())
        pid = message.get("pid")
        if message.get("is") != "hello" or type(pid) is not int or pid < 2:
            raise FleetError(f"the program that answers there is not loadgen: {message!r:.80}")
        self.pid = pid

    async def receive(self, max_bytes: int = frames.MAX_FRAME_BYTES) -> dict[str, Any] | None:
        """The next message of the program; None when it has ended.  Raises FleetError for output in another format."""
        try:
            return await frames.receive(self._process.stdout, max_bytes)
        except frames.FrameError as error:
            raise FleetError(
                f"its output can't be read ({error}): does a start-up file of the shell there print something?"
            ) from error
        except (asyncssh.Error, OSError):
            return None  # the connection was lost

    def tell(self, message: dict[str, Any]) -> None:
        """Send the program a message.  When it has ended this does nothing, and :meth:`receive` returns None."""
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.stdin.write(frames.encode(message))

    def end_input(self) -> None:
        """End the input of the program, which then ends."""
        with contextlib.suppress(OSError, asyncssh.Error):  # the program or the connection has ended
            self._process.stdin.write_eof()

    async def wait_ended(self) -> None:
        """Wait until the program or the connection has ended."""
        await self._process.wait_closed()

    async def why_ended(self) -> str:
        """A sentence about the end of the program."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._process.wait_closed()
                await asyncio.shield(self._draining)
        except TimeoutError:
            return "it closed its output"
        code = self._process.returncode
        if code is None:
            return "the SSH connection to it was lost"
        words = [
            line for line in self._last_words if not line.startswith("hint: ")
        ]  # hints are for users who call the program by hand
        said = f": {words[-1].removeprefix('loadgen: ')}" if words else ""
        if code in (_NOT_FOUND, _NOT_EXECUTABLE):
            return f"loadgen is not installed there, or not at the path that was given{said}"
        return (f"it was killed by signal {-code}" if code < 0 else f"it exited with code {code}") + said

    async def close(self) -> None:
        """Close the channel to the program.  Further calls do nothing."""
        self._process.close()
        self._draining.cancel()
        await asyncio.gather(self._draining, return_exceptions=True)

    async def _drain(self) -> None:
        """Read stderr of the program until its end: a program whose stderr is not read blocks."""
        with contextlib.suppress(asyncssh.Error, OSError):
            while part := await self._process.stderr.read(4096):
                self._last_words.extend(line for line in part.decode(errors="replace").splitlines() if line.strip())


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
