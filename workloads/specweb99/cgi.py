"""Runs a CGI script: one process for each request, never left behind."""

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
    """The script could not be run, took too long, or did not answer as CGI asks (RFC 3875, 6)."""


@dataclass(frozen=True, slots=True)
class CgiReply:
    """What the script answered."""

    status: int
    headers: dict[str, str]
    body: bytes


async def run(script: Path, environment: Mapping[str, str]) -> CgiReply:
    """Runs `/bin/sh script` and waits for its answer; raises CgiError."""
    try:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            str(script),
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # so that what the script starts can be killed with it
        )
    except OSError as error:
        raise CgiError(f"the script cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError as error:
        raise CgiError(f"the script did not end within {TIMEOUT_S:.0f} s") from error
    finally:
        # also when the server stops and this task is cancelled: no process may outlive its request
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        raise CgiError(f"the script ended with {process.returncode}")
    return _parse(output)


def _parse(output: bytes) -> CgiReply:
    head, found, body = output.partition(b"\n\n")
    headers = {}
    for line in head.decode("latin-1").split("\n"):
        key, colon, value = line.partition(":")
        if not found or not colon:
            raise CgiError("the script did not answer with a header")
        headers[key.strip()] = value.strip()
    try:
        status = int(headers.pop("Status", "200")[:3])
    except ValueError as error:
        raise CgiError("the script answered with a status that is none") from error
    return CgiReply(status, headers, body)
