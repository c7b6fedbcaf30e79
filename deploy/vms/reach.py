"""Checks before a run that servers accept connections, with TLS where a target uses it.  No request is sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Sequence

from deploy.vms.http2 import HINT, PROTOCOLS, why_not_http2
from loadgen.engine.tls import client_context
from loadgen.engine.tls_words import tls_words
from loadgen.model.errors import TargetError
from loadgen.model.target import Target
from loadgen.model.tls import TLS_DEFAULTS, TlsSettings

_TIMEOUT_S = 5.0
_AT_ONCE = 64


async def reach(
    servers: Sequence[tuple[Target, Target]], *, verify: bool, settings: TlsSettings = TLS_DEFAULTS, http2: bool = False
) -> list[str]:
    """The problems of targets, one line for each that cannot be used.

    `servers` has each target, and the one with the host and port that its connections go to.
    `verify` says whether certificates are checked, `settings` what else is done in TLS, and `http2` whether the
    targets must speak HTTP/2.  Raises TargetError when no target can be used.
    """
    turns = asyncio.Semaphore(_AT_ONCE)
    trusted = verify and any(target.tls for target, _ in servers)
    context = client_context(verify=trusted, settings=settings, protocols=PROTOCOLS if http2 else PROTOCOLS[1:])

    async def one(target: Target, dialed: Target) -> tuple[str, str]:
        async with turns:
            return await _problem(dialed, context, settings.name or target.host, http2=http2)

    problems = await asyncio.gather(*(one(target, dialed) for target, dialed in servers))
    missing = [f"{target.name}: {why}" for (target, _), (why, _) in zip(servers, problems, strict=True) if why]
    if len(missing) == len(servers):
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise TargetError(missing[0] + more, hint=next((hint for _, hint in problems if hint), ""))
    return missing


async def _problem(target: Target, context: ssl.SSLContext, name: str, *, http2: bool) -> tuple[str, str]:
    """Why the target cannot be used, and a hint; "" when it can."""
    said = ""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            secured = {"ssl": context, "server_hostname": name} if target.tls else {}
            reader, writer = await asyncio.open_connection(target.host, target.port, **secured)  # type: ignore[arg-type]
            if http2:
                said = await why_not_http2(reader, writer)
    except TimeoutError:
        return f"no answer within {_TIMEOUT_S:g} s", "use http:// if it is a plain web server" * target.tls
    except ssl.SSLError as error:
        return tls_words(error)
    except OSError as error:
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else error.strerror  # resolver errors are below 0
        return (why or str(error)).lower(), ""
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    return said, HINT if said else ""
