"""The fleet of one machine: the agent in this process, the engines its children.  No port is opened."""

from __future__ import annotations

import asyncio
import time

from coordinator.fleet.api import Command, Dismiss, Prepare, Start, Stop
from loadgen.agent import Agent, AgentEvent
from loadgen.engine.api import LEASE_NS

_RENEW_S = 0.5


class LocalFleet:
    """`engines` engine processes on this machine."""

    def __init__(self, engines: int) -> None:
        self._workers = tuple(f"local/{i}" for i in range(engines))
        self._events: asyncio.Queue[AgentEvent] = asyncio.Queue()
        self._agent = Agent(self._workers, self._events.put_nowait)
        self._renewing: asyncio.Task[None] | None = None
        self.pids: tuple[int, ...] = ()

    @property
    def workers(self) -> tuple[str, ...]:
        """Names of the engine processes."""
        return self._workers

    async def open(self) -> None:
        """Start the engine processes."""
        self.pids = tuple(await self._agent.open())
        self._renewing = asyncio.create_task(self._renew())

    async def command(self, command: Command) -> None:
        """Carry a command to the agent."""
        match command:
            case Prepare(assignments):
                await self._agent.prepare(assignments)
            case Start(segment):
                self._agent.start(segment)
            case Stop():
                self._agent.stop()
            case Dismiss(worker):
                self._agent.dismiss(worker)

    async def event(self) -> AgentEvent:
        """The next event."""
        return await self._events.get()

    async def close(self) -> None:
        """End the engine processes."""
        if self._renewing is not None:
            self._renewing.cancel()
        await self._agent.close()

    async def _renew(self) -> None:
        while True:
            self._agent.renew(time.monotonic_ns() + LEASE_NS)
            await asyncio.sleep(_RENEW_S)
