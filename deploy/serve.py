"""One server in the foreground, for `loadgen serve`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from deploy.vms.api import Deployment
from loadgen.model.errors import TargetError
from loadgen.model.target import Target

_END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def serve(deployment: Deployment, ready: Callable[[Target], None]) -> None:
    """Serve until Ctrl-C, SIGTERM or SIGHUP; `ready` is called once the server answers.

    `deployment` has one VM and is not entered yet.  Raises PlanError or TargetError when the server cannot start, and
    TargetError when it ends by itself.
    """
    loop = asyncio.get_running_loop()
    asked_to_end = asyncio.Event()
    for number in _END_SIGNALS:
        loop.add_signal_handler(number, asked_to_end.set)
    try:
        async with deployment as vms:
            ready(vms.targets[0])
            await _until_end(vms, asked_to_end)
    finally:
        for number in _END_SIGNALS:
            loop.remove_signal_handler(number)


async def _until_end(vms: Deployment, asked_to_end: asyncio.Event) -> None:
    death = asyncio.create_task(_first_death(vms))
    asked = asyncio.create_task(asked_to_end.wait())
    try:
        await asyncio.wait((death, asked), return_when=asyncio.FIRST_COMPLETED)
        if death.done():
            raise TargetError(f"the server ended by itself: {death.result()}")
    finally:
        for task in (death, asked):
            task.cancel()
        await asyncio.gather(death, asked, return_exceptions=True)


async def _first_death(vms: Deployment) -> str:
    async for death in vms.deaths():
        return death.reason
    return "it was stopped"
