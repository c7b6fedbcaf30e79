"""Starts `loadgen worker` on hosts over SSH and ends it, with the user's ssh_config, agent, keys and known hosts.

Nothing is written on a host.  The program gets its task as one frame on its standard input (loadgen.host.frames), and
ends when its input ends.  Every error is one sentence that says what to do.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import errno
import os
import shlex
import socket
import sys
from pathlib import Path
from typing import Any

import asyncssh

from deploy.hosts.inventory import Host
from loadgen.host import frames
from loadgen.model.address import format_address
from loadgen.model.errors import FleetError

CONNECT_TIMEOUT_S = 10.0
"""The time-out of a connection, authentication included."""

_HELLO_TIMEOUT_S = 20.0  # the program may be read from a remote file system
_KILL_TIMEOUT_S = 3.0
_CLOSE_TIMEOUT_S = 1.0
_KEEPALIVE_S = 2.0
_KEEPALIVE_TIMES = 2
_AT_ONCE = 64
_STDERR_LINES = 20
_SMALL_BYTES = 1 << 16  # only the messages with parts of a spool are longer
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # exit codes of shells


class Ssh:
    """Connects to hosts; the number of simultaneous attempts is limited."""

    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def connect(self, host: Host) -> Link:
        """Connect to a host.  Raises FleetError when that fails."""
        async with self._gate:
            asked = _asked(host)
            options = await asyncio.to_thread(_options, asked)
            knocker = _Knocker(options)
            where = format_address(options.host, options.port)
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    connection = await asyncssh.connect(**asked, client_factory=lambda: knocker)
            except TimeoutError:
                raise FleetError(f"it does not answer at {where} within {CONNECT_TIMEOUT_S:g} s") from None
            except (asyncssh.Error, OSError, ValueError) as error:
                raise FleetError(_why_no_connection(error, host, options, knocker)) from error
        return Link(host, connection, direct=not (options.tunnel or options.proxy_command))


class Link:
    """A connection to a host.

    `local_address` is an address of this machine that the host can reach, `address` the one at which this machine
    reached the host; both are "" when the connection goes through another host.
    """

    def __init__(self, host: Host, connection: asyncssh.SSHClientConnection, *, direct: bool) -> None:
        self.host = host
        self._connection = connection
        self.local_address = _address(connection, "sockname") if direct else ""
        self.address = _address(connection, "peername") if direct else ""

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
            raise FleetError(f"it does not start a program: {_said(error)}") from error
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
        with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):
            async with asyncio.timeout(_KILL_TIMEOUT_S):
                await self._connection.run(_shell(f"{ours} && kill -s KILL -- -{pid}"), check=False)
                return True
        return False

    async def close(self) -> None:
        """Close the connection, in bounded time.  Further calls do nothing."""
        self._connection.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._connection.wait_closed()
        except TimeoutError:
            self._connection.abort()
        except (asyncssh.Error, OSError):
            pass  # the connection was lost


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


class _Knocker(asyncssh.SSHClient):
    """Records why the key of a host is not accepted."""

    def __init__(self, options: asyncssh.SSHClientConnectionOptions) -> None:
        self._known_hosts = options.known_hosts or str(Path("~/.ssh/known_hosts").expanduser())
        self.fingerprint = ""
        self.changed = False

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Called when known_hosts does not contain this key; notes whether it contains another key of the host."""
        self.fingerprint = key.get_fingerprint()
        with contextlib.suppress(OSError, ValueError):  # the file does not exist
            named_port = None if port == asyncssh.DEFAULT_PORT else port
            self.changed = bool(asyncssh.match_known_hosts(self._known_hosts, host, addr, named_port)[0])
        return False


def _asked(host: Host) -> dict[str, Any]:
    """The options that the host itself gives; the user's ssh_config gives the others."""
    asked: dict[str, Any] = {
        "host": host.address,
        "config": (),  # for asyncssh, this means ~/.ssh/config
        "keepalive_interval": _KEEPALIVE_S,
        "keepalive_count_max": _KEEPALIVE_TIMES,
    }
    if host.port:
        asked["port"] = host.port
    if host.user:
        asked["username"] = host.user
    return asked


def _options(asked: dict[str, Any]) -> asyncssh.SSHClientConnectionOptions:
    """The options together with those of the user's ssh_config.  Raises FleetError when these cannot be read."""
    try:
        return asyncssh.SSHClientConnectionOptions(**asked)
    except (asyncssh.Error, OSError, ValueError) as error:  # asyncssh.ConfigParseError is a ValueError
        raise FleetError(f"the ssh_config, or a key that it names, cannot be used: {_said(error)}") from error


def _why_no_connection(
    error: Exception, host: Host, options: asyncssh.SSHClientConnectionOptions, knocker: _Knocker
) -> str:
    where = format_address(options.host, options.port)
    by_hand = f"ssh -p {host.port} {host.login.removesuffix(f':{host.port}')}" if host.port else f"ssh {host.login}"
    match error:
        case asyncssh.HostKeyNotVerifiable() if knocker.changed:
            return f"the host key at {where} differs from the one in known_hosts: {knocker.fingerprint} now"
        case asyncssh.HostKeyNotVerifiable() if knocker.fingerprint:
            return f"the host key at {where} is unknown ({knocker.fingerprint}): connect once by hand, with `{by_hand}`"
        case asyncssh.PermissionDenied():
            return (
                f"it refuses {options.username} at {where} with the available keys: does `{by_hand}` work "
                "without a password?"
            )
        case asyncssh.ConnectionLost():
            return f"the server at {where} closes the connection before the SSH handshake: {_said(error)}"
        case socket.gaierror():
            return f"there is no address for {options.host!r}: {error.strerror}"
        case OSError(errno=errno.ECONNREFUSED):
            return f"nothing listens at {where}: does sshd run there?"
    return f"no SSH connection to {where}: {_said(error)}"


def _said(error: Exception) -> str:
    text = getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
    named = getattr(error, "filename", None)
    return f"{' '.join(str(text).split())}{f': {named}' if named else ''}"


def _address(connection: asyncssh.SSHClientConnection, which: str) -> str:
    name = connection.get_extra_info(which)
    return str(name[0]) if name else ""


def _command(host: Host, mark: str) -> str:
    """The command for any login shell.  The program replaces the shell, and keeps its process group."""
    arguments = f"worker --stdin {shlex.quote(mark)}"
    if host.command:
        in_home = host.command.startswith("~/")
        path = '"$HOME"/' + shlex.quote(host.command[2:]) if in_home else shlex.quote(host.command)
        return _shell(f"exec {path} {arguments}")
    own = shlex.quote(os.fspath(Path(sys.executable).parent / "loadgen"))  # both machines may share a file system
    return _shell(f"[ -x {own} ] && exec {own} {arguments}; exec loadgen {arguments}")


def _shell(script: str) -> str:
    return f"exec sh -c {shlex.quote(script)}"
