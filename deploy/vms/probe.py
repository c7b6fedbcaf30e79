"""Waits until VMs that were just started serve."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from loadgen.model.errors import TargetError
from loadgen.model.target import Target

_AGAIN_S = 0.01
_SELDOM_S = 0.1
_REPLY_S = 5.0
_AT_ONCE = 32


async def wait_until_ready(
    targets: Sequence[Target], paths: Sequence[str], timeout_s: float, explain: Callable[[str], str] = lambda name: ""
) -> None:
    """Wait until every target answers each of `paths` with status 200.

    After `timeout_s`, raises TargetError, which names one target and the path that it does not serve; `explain` gives
    its hint by the name of the target.

    VMs start in order, so only some are asked at a time, ever less often: the asking takes no core from the starting.
    """
    deadline_s = time.monotonic() + timeout_s
    turns = asyncio.Semaphore(_AT_ONCE)

    async def wait(target: Target, path: str) -> None:
        again_s = _AGAIN_S
        while " 200 " not in f"{(said := await _ask(target.host, target.port, path))} ":
            if time.monotonic() > deadline_s:
                where = f"{target.name} ({target.authority})"
                raise TargetError(f"{where} does not serve {path}: {said}", hint=explain(target.name))
            await asyncio.sleep(again_s)
            again_s = min(2 * again_s, _SELDOM_S)

    async def wait_for_all(target: Target) -> None:
        async with turns:
            for path in paths:
                await wait(target, path)

    tasks = [asyncio.create_task(wait_for_all(target)) for target in targets]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(host: str, port: int, path: str) -> str:
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
