"""A VM driver whose VMs are sockets of this process, and which can be told to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from deploy.vms.api import VmFacts, VmRequest
from deploy.vms.base import BaseDeployment, vm_names
from loadgen.model.errors import TargetError
from loadgen.model.target import Target

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@dataclass
class FakeVms:
    """A :class:`deploy.vms.api.VmDriver` that starts at most `fits` VMs; then it refuses with the words `says`.

    VMs with the numbers `silent` (from 1, in the order of their start) accept connections and answer nothing.  `hang`
    says from which number on a start never ends.  `up` is the number of VMs that run, `most` the most that ever ran.
    """

    fits: int = 1000
    says: str = "no more VMs"
    silent: frozenset[int] = frozenset()
    hang: int = 1000
    starts_servers: bool = True
    up: int = 0
    most: int = 0
    asked: list[VmRequest] = field(default_factory=list)
    die: Callable[[str], None] | None = None

    def __call__(self) -> FakeVms:
        """The driver itself: a catalog calls what it names."""
        return self

    def prepare(self, request: VmRequest) -> _Deployment:
        """Accept every request; it counts as asked when it is started."""
        return _Deployment(self, request)


class _Deployment(BaseDeployment):
    def __init__(self, driver: FakeVms, request: VmRequest) -> None:
        super().__init__(request, VmFacts(driver="fake", server="fake", version="fake/1", config="none"))
        self._driver = driver

    async def start(self, ends: AsyncExitStack) -> tuple[Target, ...]:
        driver = self._driver
        driver.asked.append(self.request)
        targets = []
        for name in vm_names(self.request.count):
            number = driver.up + 1
            if number > driver.fits:
                raise TargetError(f"{name} did not start: {driver.says}", hint="have more")
            if number >= driver.hang:
                await asyncio.sleep(3600)
            server = await asyncio.start_server(_mute if number in driver.silent else _answer, "127.0.0.1", 0)
            driver.up += 1
            driver.most = max(driver.most, driver.up)
            ends.callback(self._gone, server)
            targets.append(Target(name=name, host="127.0.0.1", port=server.sockets[0].getsockname()[1]))
        driver.die = lambda reason: self.died(targets[0].name, reason)
        return tuple(targets)

    def _gone(self, server: asyncio.Server) -> None:
        server.close()
        self._driver.up -= 1


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(REPLY)
    await writer.drain()
    writer.close()


async def _mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()
