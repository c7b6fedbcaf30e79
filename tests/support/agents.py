"""Agents in the test's own process, over TCP on loopback without encryption; their engines are real processes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from coordinator.fleet.dask.hub import Hub
from coordinator.fleet.ways import Joined, Line
from loadgen.agent.dask.join import be_agent
from loadgen.agent.dask.security import security

LOOPBACK = "127.0.0.1"


class InProcessWay:
    """A Way that reaches the agents `names`; `given_up` holds the agents that the fleet gave up as lost."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self.hub = Hub([LOOPBACK], 0, None)
        self.given_up: list[str] = []
        self._until = {name: asyncio.Event() for name in names}
        self._agents: list[asyncio.Task[None]] = []
        self._opened = False

    @property
    def line(self) -> Line:
        return self.hub

    @property
    def missing(self) -> Mapping[str, str]:
        return {}

    async def open(self) -> tuple[Joined, ...]:
        await self.hub.__aenter__()
        self._opened = True
        contact = self.hub.contact(LOOPBACK)
        self._agents = [
            asyncio.create_task(be_agent(contact, name=name, bind=LOOPBACK, security=security(None), until=until))
            for name, until in self._until.items()
        ]
        joined = await self.hub.joined(self._names, 10)
        return tuple(Joined(name=name, address=address) for name, address in joined.items())

    def end(self, name: str) -> None:
        """End the agent, as if its machine had been told to end."""
        self._until[name].set()

    async def lose(self, name: str) -> None:
        self.given_up.append(name)

    async def close(self) -> None:
        for until in self._until.values():
            until.set()
        await asyncio.gather(*self._agents)
        if self._opened:
            await self.hub.__aexit__()
            self._opened = False
