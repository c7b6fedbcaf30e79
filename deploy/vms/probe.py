"""Whether a VM really serves: a small file, and a page by the app."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from deploy.servers.base import Vm
from loadgen.model.errors import TargetError
from workloads.specweb99.urls import DYNAMIC_GET, file_path

_FILE = file_path(0, 0, 0)
PATHS = (_FILE, f"{DYNAMIC_GET}?{_FILE}")
"""What a VM must answer with 200: the smallest file, and the page that the app makes of it."""

_AGAIN_S = 0.01
_REPLY_S = 5.0
_AT_ONCE = 32


async def wait_until_ready(vms: Sequence[Vm], timeout_s: float) -> None:
    """Returns when every VM serves; raises TargetError, naming one that does not in time."""
    deadline_s = time.monotonic() + timeout_s
    turns = asyncio.Semaphore(_AT_ONCE)
    tasks = [asyncio.create_task(_wait_for(vm, turns, deadline_s)) for vm in vms]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(host: str, port: int, path: str) -> str:
    """The status line of the reply to a GET, or what went wrong instead."""
    try:
        async with asyncio.timeout(_REPLY_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                line = await reader.readline()
                await reader.read()  # all of it: servers log a client that leaves in the middle of a reply
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        return f"no reply within {_REPLY_S:g} s"
    except (OSError, ValueError) as error:  # ValueError: a first line without end
        return str(error)
    return line.decode("latin-1").strip() or "an empty reply"


async def _wait_for(vm: Vm, turns: asyncio.Semaphore, deadline_s: float) -> None:
    for path in PATHS:
        while True:
            async with turns:
                said = await ask(vm.host, vm.port, path)
            if " 200 " in f"{said} ":
                break
            if time.monotonic() > deadline_s:
                raise TargetError(f"{vm.name} ({vm.listen}) does not serve {path}: {said}", hint=_log_hint(vm))
            await asyncio.sleep(_AGAIN_S)


def _log_hint(vm: Vm) -> str:
    """The last lines that its processes wrote."""
    ends = []
    for log in sorted(vm.workdir.glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()
        ends += [f"{log.stem}: {line}" for line in lines[-1:]]
    return "; ".join(ends)
