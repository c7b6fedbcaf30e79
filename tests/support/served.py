"""The page of a running command over real sockets, and clients of it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvloop

from coordinator.output.web.board import Board
from coordinator.output.web.guard import Guard
from coordinator.output.web.listening import Address, Listening, listen
from coordinator.output.web.live import metrics_app, page_app
from coordinator.output.web.site import Site
from tests.support.views import run_view

LONGEST_S = 30.0


@dataclass
class Served:
    """A page that is served, and its board."""

    board: Board
    listening: Listening
    said: list[str] = field(default_factory=list)

    async def get(self, path: str = "/", *, method: str = "GET", **headers: str) -> Reply:
        reader, writer = await asyncio.open_connection(self.listening.host, self.listening.port)
        head = {"Host": f"127.0.0.1:{self.listening.port}", "Connection": "close", **headers}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in head.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
        try:
            raw = await reader.read()
        finally:
            writer.close()
        top, _, body = raw.partition(b"\r\n\r\n")
        status, *rest = top.decode().split("\r\n")
        found = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
        return Reply(int(status.split()[1]), found, body.decode())


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: str


@asynccontextmanager
async def serving(*, token: str = "", metrics: bool = False) -> AsyncIterator[Served]:
    listening = listen(Address("--web", "127.0.0.1", 0))
    served = Served(Board(lambda text: served.said.append(text)), listening)
    served.board.begin("spec")
    guard = dataclasses.replace(Guard.of(listening, with_token=True), token=token)
    with listening.socket:
        async with Site((metrics_app if metrics else page_app)(served.board, guard), listening):
            yield served


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LONGEST_S):
            await test()

    uvloop.run(bounded())  # the loop of commands


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - nothing tells when this becomes true
        await asyncio.sleep(0.01)


def second(number: int, vms: int = 2) -> object:
    return dataclasses.replace(run_view(vms), interval=number, elapsed_s=float(number))


class Events:
    """An open stream of events."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def __aenter__(self) -> Events:
        where = self._served.listening
        self._reader, self._writer = await asyncio.open_connection(where.host, where.port, limit=1 << 24)
        self._writer.write(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{where.port}\r\n\r\n".encode())
        await self._reader.readuntil(b"\r\n\r\n")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def next(self) -> tuple[str, dict[str, object]]:
        """The next event that tells something, without the frames of the chunked transfer."""
        while (event := await self.next_name()) == "alive":
            pass
        return event, json.loads(await self._line_with(b"data: "))

    async def next_name(self) -> str:
        return await self._line_with(b"event: ")

    async def _line_with(self, word: bytes) -> str:
        while True:
            line = await self._reader.readuntil(b"\n")
            if line.startswith(word):
                return line.removeprefix(word).strip().decode()
