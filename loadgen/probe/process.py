"""A probe in a process of its own: serves or runs tests, controlled by frames on stdin and stdout.

The process ends when its stdin closes or its parent ends.

down: serve {host, port} · run {id, test, host, port} · ask {id, host, port} · stop
up:   hello {pid, version} · listening {host, port} · tick {id, tick} · result {id, result} ·
      report {id, report} · failed {id, whose, message, hint}
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from loadgen import __version__
from loadgen.host import child, frames, report
from loadgen.measure.throughput import Tick
from loadgen.model.errors import LoadgenError, PlanError
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.probe import ProbeTest
from loadgen.probe.api import ServedTest, Stop
from loadgen.probe.attempts import run_test
from loadgen.probe.server import ProbeServer

_ASK_TIMEOUT_S = 5.0


class ProbeProcess:
    """Passes frames to servers and to the client of at most one test at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self._reader = reader
        self._writer = writer
        self._servers: list[ProbeServer] = []
        self._test: asyncio.Task[None] | None = None
        self._stop = Stop()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Execute the frames from stdin until it closes, then end all tests and servers."""
        self._send({"is": "hello", "pid": os.getpid(), "version": __version__})
        while (message := await frames.receive(self._reader)) is not None:
            self._obey(message)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self._servers:
            await server.close()

    def _obey(self, message: dict[str, Any]) -> None:
        match message["do"]:
            case "serve":
                self._spawn(0, lambda: self._serve(message["host"], message["port"]))
            case "run":
                if self._test is not None and not self._test.done():
                    self._fail(message["id"], "plan", "another test is still running", "")
                    return
                self._stop = Stop()
                self._test = self._spawn(message["id"], lambda: self._run(**_without_do(message)))
            case "ask":
                self._spawn(message["id"], lambda: self._ask(**_without_do(message)))
            case "stop" if self._test is not None:
                self._stop.asked.set()
                if not self._stop.is_heeded:
                    self._test.cancel()

    def _spawn(self, number: int, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(number, work))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._done(number, done))
        return task

    def _done(self, number: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():  # possibly before it began, so the task could not report it
            self._fail(number, "stopped", "the test was stopped", "")
        else:
            task.result()  # a bug ends the process

    async def _guard(self, number: int, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work`, and answer the request with a failure if it raises."""
        try:
            await work()
        except LoadgenError as error:
            whose = "plan" if isinstance(error, PlanError) else "target"
            self._fail(number, whose, error.message, error.hint)

    async def _serve(self, host: str, port: int) -> None:
        server = ProbeServer(on_served=_ignore)
        self._servers.append(server)
        port = await server.open(host, port)
        self._send({"is": "listening", "host": host, "port": port})

    async def _run(self, id: int, test: object, host: str, port: int) -> None:
        def on_tick(tick: Tick) -> None:
            self._send({"is": "tick", "id": id, "tick": to_plain(tick)})

        result = await run_test(from_plain(ProbeTest, test, "test"), host, port, on_tick=on_tick, stop=self._stop)
        self._send({"is": "result", "id": id, "result": to_plain(result)})

    async def _ask(self, id: int, host: str, port: int) -> None:
        answer = await report.fetch(host, port, _ASK_TIMEOUT_S)
        self._send({"is": "report", "id": id, "report": to_plain(answer)})

    def _fail(self, number: int, whose: str, message: str, hint: str) -> None:
        self._send({"is": "failed", "id": number, "whose": whose, "message": message, "hint": hint})

    def _send(self, message: dict[str, Any]) -> None:
        self._writer.write(frames.encode(message))


def _without_do(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != "do"}


def _ignore(served: ServedTest) -> None:
    """Ignores the served test: the coordinator gets its result from the client."""


async def _serve() -> None:
    await ProbeProcess(*await child.pipes()).serve()


def main() -> int:
    """Run the probe process until stdin closes; the exit code."""
    child.begin()
    uvloop.run(_serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
