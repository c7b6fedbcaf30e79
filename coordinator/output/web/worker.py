"""Makes pages that take time beside the loop: one after the other, in a thread that keeps no command from ending."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T")

_MAX_WAITING = 32
"""With more, a page is refused: its reader would wait for minutes."""


@dataclass(frozen=True, slots=True)
class _Job:
    make: Callable[[], Any]
    wanted: Callable[[], bool]
    made: asyncio.Future[Any]


class Worker:
    """The worker of an application.  To read a record may take minutes, so the thread is a daemon: Ctrl-C ends it."""

    def __init__(self, app: web.Application, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        app.on_startup.append(self._start)
        app.on_cleanup.append(self._close)

    async def make(self, make: Callable[[], T], wanted: Callable[[], bool]) -> T:
        """What `make` returns.

        Raises HTTPServiceUnavailable when too many wait, and when it is not `wanted` any more when its turn comes.
        """
        if self._waiting >= _MAX_WAITING:
            raise web.HTTPServiceUnavailable(reason="Too many pages are being made. Try again in a moment.")
        made: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting += 1
        self._jobs.put(_Job(make, wanted, made))
        try:
            return await made
        finally:
            self._waiting -= 1

    async def _start(self, _: web.Application) -> None:
        self._thread.start()

    async def _close(self, _: web.Application) -> None:
        self._jobs.put(None)  # nobody waits for what is being made

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            result: Any = None
            failed: Exception | None = None
            try:
                if job.made.done() or not job.wanted():
                    raise web.HTTPServiceUnavailable(reason="Nobody waits for this page.")
                result = job.make()
            except Exception as error:  # noqa: BLE001 - it is raised where the page is waited for
                failed = error
            with contextlib.suppress(RuntimeError):  # the command has ended meanwhile
                job.made.get_loop().call_soon_threadsafe(_tell, job.made, result, failed)


def _tell(made: asyncio.Future[Any], result: Any, failed: Exception | None) -> None:
    if made.done():  # cancelled: the command ends
        return
    if failed is None:
        made.set_result(result)
    else:
        made.set_exception(failed)
