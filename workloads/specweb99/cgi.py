"""Runs a CGI script: one process per request, which never outlives its request."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 10.0


class CgiError(Exception):
    """The script could not be started, took too long, or its output is not a CGI response (RFC 3875, section 6)."""


@dataclass(frozen=True, slots=True)
class CgiReply:
    """The response that the script printed."""

    status: int
    headers: dict[str, str]
    body: bytes


async def run(script: Path, environment: Mapping[str, str]) -> CgiReply:
    """Run `/bin/sh script` and return its response; raises CgiError."""
    try:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            str(script),
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # so that processes that the script starts can be killed with it
        )
    except OSError as error:
        raise CgiError(f"the script cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError as error:
        raise CgiError(f"the script did not end within {TIMEOUT_S:.0f} s") from error
    finally:
        # also when the server stops and this task is cancelled
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        raise CgiError(f"the script ended with status {process.returncode}")
    return _parse(output)


def _parse(output: bytes) -> CgiReply:
    head, found, body = output.partition(b"\n\n")
    headers = {}
    for line in head.decode("latin-1").split("\n"):
        key, colon, value = line.partition(":")
        if not found or not colon:
            raise CgiError("the output of the script has no header")
        headers[key.strip()] = value.strip()
    try:
        status = int(headers.pop("Status", "200")[:3])
    except ValueError as error:
        raise CgiError("the output of the script has a Status header that is not a number") from error
    return CgiReply(status, headers, body)
