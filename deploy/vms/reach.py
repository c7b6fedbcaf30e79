"""Checks before a run that servers accept connections, with TLS where a target uses it.  No request is sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Sequence

from deploy.tunnels import enter_tunnel
from deploy.vms.http2 import HINT, PROTOCOLS, why_not_http2
from loadgen.engine.resolve import Address, look_up
from loadgen.engine.tls import client_context
from loadgen.engine.tls_words import tls_words
from loadgen.engine.tunnel import TunnelError, tunnel_request
from loadgen.host import links
from loadgen.model.errors import TargetError
from loadgen.model.sending import IpVersion
from loadgen.model.target import Target
from loadgen.model.tls import TLS_DEFAULTS, TlsSettings

_TIMEOUT_S = 5.0
_AT_ONCE = 64


async def reach(
    servers: Sequence[tuple[Target, Target]],
    *,
    verify: bool,
    settings: TlsSettings = TLS_DEFAULTS,
    version: IpVersion = IpVersion.ANY,
    http2: bool = False,
) -> list[str]:
    """The problems of targets, one line for each that cannot be used.

    `servers` has each target, and the one with the host and port that its connections go to.
    `verify` says whether certificates are checked, `settings` what else is done in TLS, `version` which addresses of
    names are tried, and `http2` whether the targets must speak HTTP/2.  Raises TargetError when no target can be used.
    """
    turns = asyncio.Semaphore(_AT_ONCE)
    trusted = verify and any(target.tls for target, _ in servers)
    context = client_context(verify=trusted, settings=settings, protocols=PROTOCOLS if http2 else PROTOCOLS[1:])

    async def one(target: Target, dialed: Target) -> tuple[str, str]:
        async with turns:
            name = settings.name or target.server_name
            tunnel = tunnel_request(target.authority, settings.proxy_authorization) if settings.tunnel else b""
            return await _problem(dialed, context, name, version=version, http2=http2, tunnel=tunnel)

    problems = await asyncio.gather(*(one(target, dialed) for target, dialed in servers))
    missing = [f"{target.name}: {why}" for (target, _), (why, _) in zip(servers, problems, strict=True) if why]
    if len(missing) == len(servers):
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise TargetError(missing[0] + more, hint=next((hint for _, hint in problems if hint), ""))
    return missing


async def _problem(
    target: Target, context: ssl.SSLContext, name: str, *, version: IpVersion, http2: bool, tunnel: bytes
) -> tuple[str, str]:
    """Why the target cannot be used, and a hint; "" when one of its addresses can.  `tunnel`: the request for one."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            addresses = await _addresses(target, version)
    except TimeoutError:
        return f"{target.host!r} cannot be resolved: the name servers did not answer within {_TIMEOUT_S:g} s", ""
    except TargetError as error:
        return error.message.removeprefix(f"{target.name}: "), error.hint
    problems = await asyncio.gather(
        *(_problem_of(target, address, context, name, http2=http2, tunnel=tunnel) for address in addresses)
    )
    return problems[0] if all(why for why, _ in problems) else ("", "")


async def _problem_of(
    target: Target, address: Address, context: ssl.SSLContext, name: str, *, http2: bool, tunnel: bytes
) -> tuple[str, str]:
    family, remote = address
    sock, said = None, ""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            await links.connect(sock, remote)
            secured = {"ssl": context, "server_hostname": name} if target.tls and not tunnel else {}
            reader, writer = await asyncio.open_connection(sock=sock, **secured)  # type: ignore[arg-type]
            sock = None  # the writer's
            if target.tls and tunnel:
                await enter_tunnel(reader, writer, tunnel, context, name)
            if http2:
                said = await why_not_http2(reader, writer)
    except TimeoutError:
        return f"no answer within {_TIMEOUT_S:g} s", "use http:// if it is a plain web server" * target.tls
    except TunnelError as error:
        return str(error), error.hint
    except ssl.SSLError as error:
        return tls_words(error)
    except OSError as error:
        return (os.strerror(error.errno) if error.errno else str(error)).lower(), ""
    finally:
        if sock is not None:
            sock.close()
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    return said, HINT if said else ""


def _addresses(target: Target, version: IpVersion) -> asyncio.Future[list[Address]]:
    """Look the target up in a thread that ends with the process: a resolver may keep it for half a minute."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Address]] = loop.create_future()

    def settle(addresses: list[Address], error: TargetError | None) -> None:
        if found.done():  # nobody waits any longer
            return
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(addresses)

    def ask() -> None:
        addresses: list[Address] = []
        error = None
        try:
            addresses = look_up(target, version)
        except TargetError as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, addresses, error)

    threading.Thread(target=ask, name="loadgen-resolver", daemon=True).start()
    return found
