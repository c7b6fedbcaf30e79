"""Work that cannot be stopped half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_SIGN = "waited for: "


async def to_its_end(work: Coroutine[Any, Any, T], what: str = "") -> T:
    """Await work that cannot be stopped, such as that of a thread, also when this task is cancelled meanwhile.

    Otherwise the work would go on while the deployment is ended, and make things that nobody removes.

    Work that waits for another program may take for ever.  Then `what` says it in words that follow "waiting until",
    for the user, who can have it given up by :func:`give_up`.
    """
    task = asyncio.create_task(work, name=_SIGN + what if what else None)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # seen, so that asyncio does not print it
        raise


def waited_for() -> list[str]:
    """What other programs have to do before the work of :func:`to_its_end` ends, in words."""
    return sorted({task.get_name().removeprefix(_SIGN) for task in _waiting()})


def give_up() -> None:
    """Wait no longer for other programs: the work of :func:`to_its_end` that has words for it is cancelled."""
    for task in _waiting():
        task.cancel()


def _waiting() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith(_SIGN)]
