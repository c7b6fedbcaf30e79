"""Sets up SSH connections, a few at a time to each sshd, through jump hosts; every error is one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import asyncssh

from deploy.hosts.gates import Gates, pauses_s
from deploy.hosts.identities import Identities, identities
from deploy.hosts.inventory import Host
from deploy.hosts.knock import Knocker, lines_in_file, options, without_jumps
from deploy.hosts.known_hosts import KnownHosts
from deploy.hosts.ssh_config import Settings, read_settings, split_jump
from loadgen.model.address import format_address
from loadgen.model.errors import FleetError

CONNECT_TIMEOUT_S = 10.0
"""The time-out of a connection, authentication included, and of what is asked through it."""

_KEEPALIVE_S = 2.0
_KEEPALIVE_TIMES = 2
_MAX_JUMPS = 8

Trail = list[asyncssh.SSHClientConnection]


class _ClosedError(Exception):
    """The sshd closed the connection early; the text is the sentence about it."""


class Connector:
    """Connects to hosts.  `note` receives each thing that the user should know once."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._say = note
        self._gates = Gates()
        self._noted: set[str] = set()
        self._known: dict[tuple[Path, ...], KnownHosts] = {}
        self._reading = asyncio.Lock()

    async def connect(self, host: Host, trail: Trail) -> tuple[asyncssh.SSHClientConnection, Settings]:
        """Connect to a host; `trail` receives the connections to the jump hosts, also when this fails.

        Raises FleetError.
        """
        settings = await asyncio.to_thread(read_settings, host)
        return await self._reach(host, settings, None, trail, 0), settings

    async def _reach(
        self, host: Host, settings: Settings, via: asyncssh.SSHClientConnection | None, trail: Trail, depth: int
    ) -> asyncssh.SSHClientConnection:
        if settings.jumps:
            via = await self._jump(settings.jumps, trail, depth + 1)
        sshd = await _sshd(settings, via)
        pauses = pauses_s()
        while True:
            try:
                async with self._gates.passing(sshd):
                    return await self._once(host, settings, via)
            except _ClosedError as error:
                if (pause_s := next(pauses, None)) is None:
                    raise FleetError(f"{error}, each of several times") from error
                await asyncio.sleep(pause_s)

    async def _jump(self, jumps: tuple[str, ...], trail: Trail, depth: int) -> asyncssh.SSHClientConnection:
        if depth > _MAX_JUMPS:
            raise FleetError(f"ProxyJump leads through more than {_MAX_JUMPS} hosts: it goes in a circle")
        via = None
        for text in jumps:
            host = split_jump(text)
            try:
                settings = await asyncio.to_thread(read_settings, host)
                via = await self._reach(host, without_jumps(settings) if via else settings, via, trail, depth)
            except FleetError as error:
                raise FleetError(f"through the jump host {text}: {error.message}", hint=error.hint) from error
            trail.append(via)
        assert via is not None, "a host has no jumps at all"
        return via

    async def _once(
        self, host: Host, settings: Settings, via: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        known = await self._known_hosts(settings)
        knocker = Knocker(settings, known, self._note)
        where = format_address(settings.address, settings.port)
        async with identities(settings) as mine:
            for note in (*known.notes, *mine.notes):
                self._note(note)
            knocker.keys = mine.keys
            try:
                with lines_in_file(settings) as config:
                    asked: dict[str, Any] = options(settings, known, config)
                    async with asyncio.timeout(CONNECT_TIMEOUT_S):
                        return await asyncssh.connect(
                            **asked | {"tunnel": via},
                            keepalive_interval=_KEEPALIVE_S,
                            keepalive_count_max=_KEEPALIVE_TIMES,
                            client_factory=lambda: knocker,
                        )
            except TimeoutError:
                raise FleetError(f"it does not answer at {where} within {CONNECT_TIMEOUT_S:g} s") from None
            except (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError) as error:
                raise _ClosedError(
                    f"the server at {where} closes the connection before the SSH handshake: {said(error)}"
                ) from error
            except (asyncssh.Error, OSError, ValueError) as error:
                raise FleetError(_why(error, host, settings, knocker, mine)) from error

    async def _known_hosts(self, settings: Settings) -> KnownHosts:
        files = (*settings.user_known, *settings.global_known)
        async with self._reading:
            if files not in self._known:
                self._known[files] = await asyncio.to_thread(KnownHosts, files)
        return self._known[files]

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._say(text)


async def close(connection: asyncssh.SSHClientConnection, timeout_s: float) -> None:
    """Close a connection in this time; then it is cut."""
    connection.close()
    try:
        async with asyncio.timeout(timeout_s):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()
    except (asyncssh.Error, OSError):
        pass  # the connection was lost


def said(error: Exception) -> str:
    """The words of an error, in one line."""
    text = getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
    named = getattr(error, "filename", None)
    return f"{' '.join(str(text).split())}{f': {named}' if named else ''}"


async def _sshd(settings: Settings, via: asyncssh.SSHClientConnection | None) -> Hashable:
    """What tells one sshd from another: names may lead to the same one."""
    if via is not None:
        return via.get_extra_info("peername"), settings.address, settings.port
    if settings.proxy_command:
        return settings.proxy_command
    with contextlib.suppress(OSError, UnicodeError):  # connecting says why
        found = await asyncio.get_running_loop().getaddrinfo(settings.address, settings.port, type=socket.SOCK_STREAM)
        return found[0][4]
    return settings.address, settings.port


def _why(error: Exception, host: Host, settings: Settings, knocker: Knocker, mine: Identities) -> str:
    where = format_address(settings.address, settings.port)
    by_hand = f"ssh -p {host.port} {host.login.removesuffix(f':{host.port}')}" if host.port else f"ssh {host.login}"
    match error:
        case asyncssh.HostKeyNotVerifiable() if knocker.changed:
            return f"the host key at {where} differs from the one in known_hosts: {knocker.fingerprint} now"
        case asyncssh.HostKeyNotVerifiable() if knocker.fingerprint:
            return f"the host key at {where} is unknown ({knocker.fingerprint}): connect once by hand, with `{by_hand}`"
        case asyncssh.PermissionDenied() if mine.locked:
            files = " and ".join(map(str, mine.locked))
            return (
                f"it refuses {settings.user} at {where}: the key in {files} has a passphrase, and no SSH agent has "
                f"the key: call `ssh-add {mine.locked[0]}` before"
            )
        case asyncssh.PermissionDenied():
            return (
                f"it refuses {settings.user} at {where} with the available keys: does `{by_hand}` work "
                "without a password?"
            )
        case socket.gaierror():
            return f"there is no address for {settings.address!r}: {error.strerror}"
        case OSError(errno=errno.ECONNREFUSED):
            return f"nothing listens at {where}: does sshd run there?"
    return f"no SSH connection to {where}: {said(error)}"
