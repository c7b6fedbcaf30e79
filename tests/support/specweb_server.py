"""The reference server of the SPECweb99-style workload on a real socket, and a client for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from loadgen.model.plan import LastAd, SpecPlan
from workloads.specweb99 import ads, page, urls
from workloads.specweb99.app import AppConfig, create_app

PLAN = SpecPlan(vms=4, connections=20, last_ad=LastAd.RANDOM, seed=3)
USER = {"Cookie": ads.request_cookie(3, 20)}
FILE = "/file_set/dir00001/class1_2"
POST = urls.post_body(1, 1, 2, 44).encode()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def cookie(self) -> str:
        return self.headers.get("set-cookie", "")

    @property
    def content(self) -> bytes:
        return page.content_of(self.body)


@dataclass
class Client:
    """A client that sends bytes unchanged over one connection."""

    port: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, raw: bytes) -> Reply:
        self.writer.write(raw)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return Reply(int(head[0].split()[1]), headers, body)

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Reply:
        lines = "".join(f"{key}: {value}\r\n" for key, value in (headers or {}).items())
        return await self.send(f"GET {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n".encode())

    async def post(self, body: bytes, headers: dict[str, str]) -> Reply:
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        head = f"POST {urls.DYNAMIC_POST} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
        return await self.send(head.encode() + body)

    async def fetch(self) -> bytes:
        return (await self.get(urls.FETCH)).content


@dataclass
class Place:
    """The directories of one reference server."""

    docroot: Path
    workdir: Path

    @property
    def config(self) -> AppConfig:
        return AppConfig(docroot=self.docroot, workdir=self.workdir)


@asynccontextmanager
async def serving(config: AppConfig, *, reset: bool = True) -> AsyncIterator[Client]:
    runner = web.AppRunner(create_app(config), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    client = Client(port, reader, writer)
    try:
        if reset:
            assert (await client.get(urls.reset_command(PLAN))).status == 200
        yield client
    finally:
        writer.close()
        await writer.wait_closed()
        await runner.cleanup()


def run(config: AppConfig, scenario: Callable[[Client], Awaitable[None]], *, reset: bool = True) -> None:
    async def main() -> None:
        async with serving(config, reset=reset) as client:
            await scenario(client)

    asyncio.run(main())
