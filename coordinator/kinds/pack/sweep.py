"""The final sweep of `loadgen pack`: a connection to every VM, all open at the same time, then a request on each."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.measure.packing import Silence, Sweep
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S

_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
"""Errors that say that this process lacks something."""

_MAX_LINE_BYTES = 65536


@dataclass(slots=True)
class _Call:
    """One VM's part of the sweep."""

    target: Target
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    why: str = ""
    ours: bool = False
    took_ns: int = 0

    def fail(self, error: Exception, timeout_s: float) -> None:
        """Note why the VM is silent."""
        if isinstance(error, TimeoutError):
            self.why = f"no answer within {timeout_s:g} s"
            return
        number = error.errno if isinstance(error, OSError) else None
        self.ours = number in _OURS
        self.why = os.strerror(number).lower() if number else str(error) or type(error).__name__


async def sweep(targets: Sequence[Target], path: str, timeout_ns: int) -> Sweep:
    """Ask every target for `path`; a VM that answers with status 200 within `timeout_ns` has answered.

    First all connections are opened, then all requests are sent.
    """
    timeout_s = timeout_ns / NS_PER_S
    calls = [_Call(target) for target in targets]
    try:
        await asyncio.gather(*(_connect(call, timeout_s) for call in calls))
        at_once = sum(call.streams is not None for call in calls)
        began_ns = time.monotonic_ns()
        await asyncio.gather(*(_ask(call, path, timeout_s) for call in calls))
        took_ns = time.monotonic_ns() - began_ns
    finally:
        for call in calls:
            if call.streams is not None:
                call.streams[1].close()
    silent = tuple(Silence(vm=call.target.name, why=call.why, ours=call.ours) for call in calls if call.why)
    return Sweep(
        asked=len(calls),
        answered=len(calls) - len(silent),
        at_once=at_once,
        took_ns=took_ns,
        slowest_ns=max((call.took_ns for call in calls if not call.why), default=0),
        silent=silent,
    )


async def _connect(call: _Call, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            call.streams = await asyncio.open_connection(call.target.host, call.target.port, limit=_MAX_LINE_BYTES)
    except (OSError, TimeoutError) as error:
        call.fail(error, timeout_s)


async def _ask(call: _Call, path: str, timeout_s: float) -> None:
    if call.streams is None:
        return
    reader, writer = call.streams
    began_ns = time.monotonic_ns()
    try:
        async with asyncio.timeout(timeout_s):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            line = (await reader.readline()).decode("latin-1").strip()
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
    except (OSError, TimeoutError, ValueError) as error:  # ValueError: the first line is too long
        call.fail(error, timeout_s)
        return
    call.took_ns = time.monotonic_ns() - began_ns
    if " 200 " not in f"{line} ":
        call.why = f"it answered {line}" if line else "an empty reply"
