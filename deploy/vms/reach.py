"""Checks before a run that servers accept connections, with TLS where a target uses it.  No request is sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Sequence

from loadgen.engine.tls import client_context
from loadgen.model.errors import TargetError
from loadgen.model.target import Target

_TIMEOUT_S = 5.0
_AT_ONCE = 64


async def reach(targets: Sequence[Target], *, verify: bool) -> list[str]:
    """The problems of targets, one line for each that cannot be used.

    `verify` says whether certificates are checked.  Raises TargetError when no target can be used.
    """
    turns = asyncio.Semaphore(_AT_ONCE)
    context = client_context(verify=verify)

    async def one(target: Target) -> str:
        async with turns:
            return await _problem(target, context)

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


async def _problem(target: Target, context: ssl.SSLContext) -> str:
    """Why the target cannot be used; "" when it can."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            secured = {"ssl": context, "server_hostname": target.server_name} if target.tls else {}
            _, writer = await asyncio.open_connection(target.host, target.port, **secured)  # type: ignore[arg-type]
    except TimeoutError:
        return f"no answer within {_TIMEOUT_S:g} s"
    except ssl.SSLCertVerificationError as error:
        return f"its certificate cannot be trusted: {error.verify_message}"
    except ssl.SSLError as error:
        return f"the TLS handshake failed: {error.reason or error}"
    except OSError as error:
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else error.strerror  # resolver errors are below 0
        return (why or str(error)).lower()
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    return ""
