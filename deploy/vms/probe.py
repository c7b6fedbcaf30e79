"""Waits until VMs that were just started serve."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from deploy.servers.base import Vm
from loadgen.model.errors import TargetError

_AGAIN_S = 0.01
_REPLY_S = 5.0
_AT_ONCE = 32


async def wait_until_ready(vms: Sequence[Vm], paths: Sequence[str], timeout_s: float) -> None:
    """Wait until every VM answers each of `paths` with status 200.

    Raises TargetError, which names one VM and the path that it does not serve, after `timeout_s`.
    """
    deadline_s = time.monotonic() + timeout_s
    turns = asyncio.Semaphore(_AT_ONCE)
    tasks = [asyncio.create_task(_wait_for(vm, paths, turns, deadline_s)) for vm in vms]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(host: str, port: int, path: str) -> str:
    """The status line of the reply to GET `path`, or a description of what went wrong."""
    try:
        async with asyncio.timeout(_REPLY_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                line = await reader.readline()
                await reader.read()  # the whole reply: servers log clients that leave before its end
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        return f"no reply within {_REPLY_S:g} s"
    except (OSError, ValueError) as error:  # ValueError: the first line is too long
        return str(error)
    return line.decode("latin-1").strip() or "an empty reply"


async def _wait_for(vm: Vm, paths: Sequence[str], turns: asyncio.Semaphore, deadline_s: float) -> None:
    for path in paths:
        while True:
            async with turns:
                said = await ask(vm.host, vm.port, path)
            if " 200 " in f"{said} ":
                break
            if time.monotonic() > deadline_s:
                raise TargetError(f"{vm.name} ({vm.listen}) does not serve {path}: {said}", hint=_log_hint(vm))
            await asyncio.sleep(_AGAIN_S)


def _log_hint(vm: Vm) -> str:
    """The last line of each log of the VM's processes."""
    ends = []
    for log in sorted(vm.workdir.glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()
        ends += [f"{log.stem}: {line}" for line in lines[-1:]]
    return "; ".join(ends)
