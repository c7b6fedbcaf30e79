"""Work that cannot be stopped half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await work that cannot be stopped, such as that of a thread, also when this task is cancelled meanwhile.

    Otherwise the work would go on while the deployment is ended, and make things that nobody removes.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        task.exception()  # seen, so that asyncio does not print it
        raise
