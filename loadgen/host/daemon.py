"""Work in a thread that may never end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_daemon(name: str, work: Callable[[], T]) -> T:
    """The result of `work`, which a thread of that name does.  Raises what `work` raises.

    Other than that of `asyncio.to_thread`, the thread does not hold up the end of this process when nobody waits for
    it any more: it may hang for as long as somebody else wants.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def end(result: T | None, error: BaseException | None) -> None:
        if ended.done():  # nobody waits any more
            return
        if error is not None:
            ended.set_exception(error)
        else:
            ended.set_result(result)  # type: ignore[arg-type]  # it is a T when there is no error

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as found:  # noqa: BLE001 - the waiting task gets it
            error = found
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(end, result, error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await ended
