"""The thread that makes pages: one at a time, for those who still wait, and never for the end of a command."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from coordinator.output.web import worker as workers
from coordinator.output.web.worker import Worker

LONGEST_S = 60.0


@asynccontextmanager
async def a_worker() -> AsyncIterator[Worker]:
    app = web.Application()
    worker = Worker(app, "test")
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        async with asyncio.timeout(LONGEST_S):
            yield worker
    finally:
        await runner.cleanup()


def yes() -> bool:
    return True


def test_what_a_page_raises_is_raised_where_it_is_waited_for() -> None:
    async def test() -> None:
        async with a_worker() as worker:
            assert await worker.make(lambda: "page", yes) == "page"
            with pytest.raises(ZeroDivisionError):
                await worker.make(lambda: 1 / 0, yes)
            assert await worker.make(lambda: "page", yes) == "page"

    asyncio.run(test())


def test_the_page_of_a_reader_that_has_gone_is_not_made() -> None:
    async def test() -> None:
        made: list[str] = []
        async with a_worker() as worker:
            with pytest.raises(web.HTTPServiceUnavailable):
                await worker.make(lambda: made.append("gone"), lambda: False)
            release = threading.Event()
            first = asyncio.ensure_future(worker.make(lambda: release.wait(LONGEST_S), yes))
            cancelled = asyncio.ensure_future(worker.make(lambda: made.append("cancelled"), yes))
            await asyncio.sleep(0)
            cancelled.cancel()
            await asyncio.sleep(0)
            release.set()
            await first
            await worker.make(lambda: made.append("there"), yes)
        assert made == ["there"]

    asyncio.run(test())


def test_beyond_some_that_wait_a_page_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_MAX_WAITING", 2)

    async def test() -> None:
        release = threading.Event()
        async with a_worker() as worker:
            waiting = [asyncio.ensure_future(worker.make(lambda: release.wait(LONGEST_S), yes)) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(web.HTTPServiceUnavailable) as refused:
                await worker.make(lambda: "page", yes)
            assert refused.value.reason == "Too many pages are being made. Try again in a moment."
            release.set()
            await asyncio.gather(*waiting)
            assert await worker.make(lambda: "page", yes) == "page"

    asyncio.run(test())


_ENDS = """
import asyncio, threading
from aiohttp import web
from coordinator.output.web.worker import Worker

async def main():
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    app = web.Application()
    worker = Worker(app, "test")
    runner = web.AppRunner(app)
    await runner.setup()

    def make():
        loop.call_soon_threadsafe(begun.set)
        threading.Event().wait()

    making = asyncio.ensure_future(worker.make(make, lambda: True))
    await begun.wait()
    await runner.cleanup()
    print("ended")

asyncio.run(main())
"""


def test_a_page_that_takes_for_ever_does_not_keep_the_command_from_ending() -> None:
    words = [sys.executable, "-c", _ENDS]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_S, check=True)
    assert (done.stdout, done.stderr) == ("ended\n", "")
