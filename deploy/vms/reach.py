"""Checks before a run that servers accept connections, with TLS where a target uses it.  No request is sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Sequence

from loadgen.engine.resolve import Address, look_up
from loadgen.engine.tls import client_context
from loadgen.model.errors import TargetError
from loadgen.model.sending import IpVersion
from loadgen.model.target import Target

_TIMEOUT_S = 5.0
_AT_ONCE = 64


async def reach(targets: Sequence[Target], *, verify: bool, version: IpVersion = IpVersion.ANY) -> list[str]:
    """The problems of targets, one line for each that cannot be used.

    `verify` says whether certificates are checked, `version` which addresses of names are tried.  Raises TargetError
    when no target can be used.
    """
    turns = asyncio.Semaphore(_AT_ONCE)
    context = client_context(verify=verify)

    async def one(target: Target) -> str:
        async with turns:
            return await _problem(target, context, version)

    problems = await asyncio.gather(*(one(target) for target in targets))
    missing = [f"{target.name}: {why}" for target, why in zip(targets, problems, strict=True) if why]
    if len(missing) == len(targets):
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        distrusted = any("certificate" in why for why in problems)
        hint = (
            "skip the check with --insecure, or name the file of its authority: SSL_CERT_FILE=…" if distrusted else ""
        )
        raise TargetError(missing[0] + more, hint=hint)
    return missing


async def _problem(target: Target, context: ssl.SSLContext, version: IpVersion) -> str:
    """Why the target cannot be used; "" when one of its addresses can."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            addresses = await _addresses(target, version)
    except TimeoutError:
        return f"{target.host!r} cannot be resolved: the name servers did not answer within {_TIMEOUT_S:g} s"
    except TargetError as error:
        return error.message.removeprefix(f"{target.name}: ")
    problems = await asyncio.gather(*(_problem_of(target, address, context) for address in addresses))
    return problems[0] if all(problems) else ""


async def _problem_of(target: Target, address: Address, context: ssl.SSLContext) -> str:
    family, remote = address
    sock = None
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            await asyncio.get_running_loop().sock_connect(sock, remote)
            secured = {"ssl": context, "server_hostname": target.server_name} if target.tls else {}
            _, writer = await asyncio.open_connection(sock=sock, **secured)  # type: ignore[arg-type]
            sock = None  # the writer's
    except TimeoutError:
        return f"no answer within {_TIMEOUT_S:g} s"
    except ssl.SSLCertVerificationError as error:
        return f"its certificate cannot be trusted: {error.verify_message}"
    except ssl.SSLError as error:
        return f"the TLS handshake failed: {error.reason or error}"
    except OSError as error:
        return (os.strerror(error.errno) if error.errno else str(error)).lower()
    finally:
        if sock is not None:
            sock.close()
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    return ""


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
