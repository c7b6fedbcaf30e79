"""The report port of a proxy host: sends its counters as one JSON line to every client that connects.

The port reads no data and accepts no commands, so it offers nothing to abuse.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from loadgen.host.nics import read_nics
from loadgen.measure.forwarding import HostReport, Service
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.plain import from_plain, to_plain

MAX_REPORT_BYTES = 1 << 20
"""Limit of a report.  A service or a NIC takes about 200 bytes, so a larger report is an error."""

_PATIENCE_S = 5.0
_MAX_READERS = 64
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_HINT = "check that this is the report port of a proxy host (loadgen forward --role proxy)"


def take(version: str, services: Sequence[Service], *, proc: Path = Path("/proc")) -> HostReport:
    """The current counters of this process, its NICs and its `services`."""
    return HostReport(
        version=version,
        at_ns=time.monotonic_ns(),
        cpu_ns=time.process_time_ns(),
        memory_bytes=_resident_bytes(proc),
        nics=read_nics(proc),
        services=tuple(services),
    )


class ReportServer:
    """An open report port, at the address `host` and `port`."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self.host, self.port = server.sockets[0].getsockname()[:2]

    async def close(self) -> None:
        """Close the port, without ending answers under way.  Idempotent."""
        self._server.close()
        await self._server.wait_closed()


async def serve(host: str, port: int, make: Callable[[], HostReport]) -> ReportServer:
    """Open a report port that answers every connection with a fresh report from `make`.

    A client that does not read its report within seconds is disconnected, and at most 64 clients are served at once.
    Raises PlanError if the address is not available.
    """
    readers = 0

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal readers
        readers += 1
        try:
            if readers <= _MAX_READERS:
                writer.write(json.dumps(to_plain(make())).encode() + b"\n")
                await asyncio.wait_for(writer.drain(), _PATIENCE_S)
        except (OSError, TimeoutError):
            writer.transport.abort()
        finally:
            readers -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    try:
        server = await asyncio.start_server(answer, host, port, limit=1)
    except OSError as error:
        raise PlanError(
            f"cannot listen on {host} port {port}: {error.strerror or error}", hint="use another address or port"
        ) from error
    return ReportServer(server)


async def fetch(host: str, port: int, timeout_s: float = _PATIENCE_S) -> HostReport:
    """The report of a proxy host.  Raises TargetError if it does not answer, or not with a report."""
    where = f"the proxy host {host} port {port}"
    try:
        async with asyncio.timeout(timeout_s):
            line = await _read_line(host, port)
    except TimeoutError:
        raise TargetError(f"{where} did not answer within {timeout_s:g} s", hint=_HINT) from None
    except OSError as error:
        raise TargetError(f"{where} cannot be reached: {error.strerror or error}", hint=_HINT) from error
    try:
        return from_plain(HostReport, json.loads(line))
    except (ValueError, RecursionError, PlanError) as error:
        raise TargetError(f"{where} answered with something that is not a report", hint=_HINT) from error


async def _read_line(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        line = b""
        while not line.endswith(b"\n") and len(line) <= MAX_REPORT_BYTES and (chunk := await reader.read(1 << 16)):
            line += chunk
        return line
    finally:
        writer.transport.abort()  # without reading the rest
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _resident_bytes(proc: Path) -> int:
    """Resident set of this process; 0 if it cannot be read."""
    try:
        return int((proc / "self" / "statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0
