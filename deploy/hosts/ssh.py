"""Starts `loadgen worker` on hosts over SSH, and ends it: with the user's own ssh_config, agent, keys and known hosts.

Nothing is written there.  What the program shall do is one frame on its standard input (loadgen.host.frames); when
that ends, it does.  What goes wrong is one sentence that says what to do about it.
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
"""For a connection, with everything until a program may be started."""

_HELLO_TIMEOUT_S = 20.0  # it is read from a disk that may be far away
_KILL_TIMEOUT_S = 3.0
_CLOSE_TIMEOUT_S = 1.0
_KEEPALIVE_S = 2.0
_KEEPALIVE_TIMES = 2
_AT_ONCE = 64
_STDERR_LINES = 20
_SMALL_BYTES = 1 << 16  # no message but a part of a spool is longer
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as shells say it


class Ssh:
    """Connects to hosts, to so many at once that neither they nor we are overrun."""

    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def connect(self, host: Host) -> Link:
        """A connection.  Raises FleetError."""
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

    `local_address` is where the host can reach us and `address` where we reached it; both are "" when it goes
    through another host.
    """

    def __init__(self, host: Host, connection: asyncssh.SSHClientConnection, *, direct: bool) -> None:
        self.host = host
        self._connection = connection
        self.local_address = _address(connection, "sockname") if direct else ""
        self.address = _address(connection, "peername") if direct else ""

    @property
    def is_open(self) -> bool:
        """Whether it is still there, as far as we know."""
        return not self._connection.is_closed()

    async def start(self, mark: str, bootstrap: dict[str, Any]) -> Remote:
        """Start `loadgen worker` there, and tell it what to do.  Raises FleetError.

        `mark` is in its command line, so that one sees whose it is.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                process = await self._connection.create_process(_command(self.host, mark), encoding=None)
        except TimeoutError:
            raise FleetError(f"it did not start anything within {CONNECT_TIMEOUT_S:g} s") from None
        except (asyncssh.Error, OSError) as error:
            raise FleetError(f"it does not start anything: {_said(error)}") from error
        remote = Remote(process, mark)
        try:
            remote.tell(bootstrap)
            await remote.read_hello()
        except BaseException:
            await remote.close()
            raise
        return remote

    async def kill(self, pid: int, mark: str) -> bool:
        """Kill a process of ours with its group, frozen or not; whether the host was asked to in time.

        Another that got its pid since is left alone.
        """
        ours = f"tr '\\0' ' ' </proc/{pid}/cmdline | grep -qF -- {shlex.quote(mark)}"
        with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):
            async with asyncio.timeout(_KILL_TIMEOUT_S):
                await self._connection.run(_shell(f"{ours} && kill -s KILL -- -{pid}"), check=False)
                return True
        return False

    async def close(self) -> None:
        """Hang up.  Idempotent, bounded in time."""
        self._connection.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._connection.wait_closed()
        except TimeoutError:
            self._connection.abort()
        except (asyncssh.Error, OSError):
            pass  # it was lost


class Remote:
    """A `loadgen worker` that runs on a host.  `pid` is its own there, and its process group's."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes], mark: str) -> None:
        self._process = process
        self.mark = mark
        self.pid = 0
        self._last_words: collections.deque[str] = collections.deque(maxlen=_STDERR_LINES)
        self._draining = asyncio.create_task(self._drain())

    async def read_hello(self) -> None:
        """Until it is there.  Raises FleetError."""
        try:
            async with asyncio.timeout(_HELLO_TIMEOUT_S):
                message = await self.receive(_SMALL_BYTES)
        except TimeoutError:
            raise FleetError(f"loadgen did not start there within {_HELLO_TIMEOUT_S:g} s") from None
        if message is None:
            raise FleetError(await self.why_ended())
        pid = message.get("pid")
        if message.get("is") != "hello" or type(pid) is not int or pid < 2:
            raise FleetError(f"something else than loadgen answers there: {message!r:.80}")
        self.pid = pid

    async def receive(self, max_bytes: int = frames.MAX_FRAME_BYTES) -> dict[str, Any] | None:
        """The next thing that it says; None when it has ended.  Raises FleetError when that can't be read."""
        try:
            return await frames.receive(self._process.stdout, max_bytes)
        except frames.FrameError as error:
            raise FleetError(
                f"what it says can't be read ({error}): does a start-up file of the shell there print something?"
            ) from error
        except (asyncssh.Error, OSError):
            return None  # the connection was lost

    def tell(self, message: dict[str, Any]) -> None:
        """Tell it something.  To a process that is gone this does nothing: the next thing that it says shows that."""
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.stdin.write(frames.encode(message))

    def end_input(self) -> None:
        """It shall end."""
        with contextlib.suppress(OSError, asyncssh.Error):  # it has, or the connection
            self._process.stdin.write_eof()

    async def wait_ended(self) -> None:
        """Until it has ended, or the connection."""
        await self._process.wait_closed()

    async def why_ended(self) -> str:
        """How it came to its end, in words."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._process.wait_closed()
                await asyncio.shield(self._draining)
        except TimeoutError:
            return "it closed its output"
        code = self._process.returncode
        if code is None:
            return "the SSH connection to it was lost"
        words = [line for line in self._last_words if not line.startswith("hint: ")]  # for whoever calls it by hand
        said = f": {words[-1].removeprefix('loadgen: ')}" if words else ""
        if code in (_NOT_FOUND, _NOT_EXECUTABLE):
            return f"loadgen is not installed there, or not where it was said to be{said}"
        return (f"it was killed by signal {-code}" if code < 0 else f"it exited with code {code}") + said

    async def close(self) -> None:
        """Let go of it.  Idempotent."""
        self._process.close()
        self._draining.cancel()
        await asyncio.gather(self._draining, return_exceptions=True)

    async def _drain(self) -> None:
        """What it says on stderr must be read, or it waits for ever."""
        with contextlib.suppress(asyncssh.Error, OSError):
            while part := await self._process.stderr.read(4096):
                self._last_words.extend(line for line in part.decode(errors="replace").splitlines() if line.strip())


class _Knocker(asyncssh.SSHClient):
    """Sees why a host's key is not accepted."""

    def __init__(self, options: asyncssh.SSHClientConnectionOptions) -> None:
        self._known_hosts = options.known_hosts or str(Path("~/.ssh/known_hosts").expanduser())
        self.fingerprint = ""
        self.changed = False

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Asked when known_hosts does not have this key: what does it have?"""
        self.fingerprint = key.get_fingerprint()
        with contextlib.suppress(OSError, ValueError):  # there is no such file
            named_port = None if port == asyncssh.DEFAULT_PORT else port
            self.changed = bool(asyncssh.match_known_hosts(self._known_hosts, host, addr, named_port)[0])
        return False


def _asked(host: Host) -> dict[str, Any]:
    """What is said of the host itself; the rest is for the user's ssh_config to say."""
    asked: dict[str, Any] = {
        "host": host.address,
        "config": (),  # asyncssh's word for ~/.ssh/config
        "keepalive_interval": _KEEPALIVE_S,
        "keepalive_count_max": _KEEPALIVE_TIMES,
    }
    if host.port:
        asked["port"] = host.port
    if host.user:
        asked["username"] = host.user
    return asked


def _options(asked: dict[str, Any]) -> asyncssh.SSHClientConnectionOptions:
    """What it comes to with the user's ssh_config.  Raises FleetError."""
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
            return f"the host key at {where} is not the one in known_hosts any more: {knocker.fingerprint} now"
        case asyncssh.HostKeyNotVerifiable() if knocker.fingerprint:
            return f"the host key at {where} is unknown ({knocker.fingerprint}): connect once by hand, with `{by_hand}`"
        case asyncssh.PermissionDenied():
            return (
                f"it lets {options.username} not in at {where} with the keys that there are: does `{by_hand}` work "
                "without a password?"
            )
        case asyncssh.ConnectionLost():
            return f"what answers at {where} hangs up before it speaks SSH: {_said(error)}"
        case socket.gaierror():
            return f"there is no address for {options.host!r}: {error.strerror}"
        case OSError(errno=errno.ECONNREFUSED):
            return f"nobody listens at {where}: is sshd there?"
    return f"no SSH connection to {where}: {_said(error)}"


def _said(error: Exception) -> str:
    text = getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
    named = getattr(error, "filename", None)
    return f"{' '.join(str(text).split())}{f': {named}' if named else ''}"


def _address(connection: asyncssh.SSHClientConnection, which: str) -> str:
    name = connection.get_extra_info(which)
    return str(name[0]) if name else ""


def _command(host: Host, mark: str) -> str:
    """For the user's shell there, whichever it is.  The program takes the shell's place, and so its process group."""
    arguments = f"worker --stdin {shlex.quote(mark)}"
    if host.command:
        in_home = host.command.startswith("~/")
        path = '"$HOME"/' + shlex.quote(host.command[2:]) if in_home else shlex.quote(host.command)
        return _shell(f"exec {path} {arguments}")
    own = shlex.quote(os.fspath(Path(sys.executable).parent / "loadgen"))  # a file system may be shared
    return _shell(f"[ -x {own} ] && exec {own} {arguments}; exec loadgen {arguments}")


def _shell(script: str) -> str:
    return f"exec sh -c {shlex.quote(script)}"
