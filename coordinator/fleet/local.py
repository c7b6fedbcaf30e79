"""The fleet of one machine: the agent is part of this process, the engines are its children.  No port is opened."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import time
from collections.abc import Mapping, Sequence

import loadgen
from coordinator.fleet.api import Command, Dismiss, MachineStatus, Prepare, Start, Stop
from loadgen.agent.children import EarlyEngines
from loadgen.agent.engines import Agent
from loadgen.engine.api import LEASE_NS
from loadgen.host.sysctls import read_sysctls
from loadgen.measure.events import AgentEvent
from loadgen.model.machine import Clock, Machine, MachineState
from loadgen.model.units import NS_PER_MS

LOCAL = "local"
_RENEW_S = 0.5


class LocalFleet:
    """`engines` engine processes on this machine; those of `early` are used first."""

    def __init__(self, engines: int, early: EarlyEngines | None = None) -> None:
        self._events: asyncio.Queue[AgentEvent] = asyncio.Queue()
        workers = tuple(f"{LOCAL}/{i}" for i in range(engines))
        self._agent = Agent(workers, self._events.put_nowait, machine=LOCAL, ours=lambda: [os.getpid()], early=early)
        self._machine = Machine(
            name=LOCAL,
            workers=workers,
            cores=len(os.sched_getaffinity(0)),
            open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],  # engines raise theirs to it
            kernel=platform.release(),
            python=platform.python_version(),
            loadgen=loadgen.__version__,
            sysctls=read_sysctls(),
        )
        self._renewing: asyncio.Task[None] | None = None
        self.pids: tuple[int, ...] = ()

    @property
    def machines(self) -> tuple[Machine, ...]:
        """The only machine of this fleet: this machine."""
        return (self._machine,)

    @property
    def missing(self) -> Mapping[str, str]:
        """Empty: this machine is always there."""
        return {}

    @property
    def problems(self) -> Sequence[str]:
        """Empty: engines report through pipes, so nothing can be missing."""
        return ()

    @property
    def lead_ns(self) -> int:
        """See Fleet: an order reaches every engine within 100 ms, unless the machine is overloaded.

        An engine that gets it later begins later: that shortens the measured window, and the run says so.
        """
        return 100 * NS_PER_MS

    def status(self) -> tuple[MachineStatus, ...]:
        """Return the state of this machine."""
        state = MachineState.PLAYING if self._agent.playing else MachineState.READY
        engines = self._agent.present
        return (MachineStatus(name=LOCAL, state=state, engines=engines, clock=Clock(), cpu_share=None, seen_ago_s=0.0),)

    def clocks(self) -> Mapping[str, Clock]:
        """Return a difference of zero: coordinator and engines use the same clock."""
        return {LOCAL: Clock()}

    async def open(self) -> None:
        """Start the engine processes.  Raises FleetError if one does not come up."""
        self.pids = tuple(await self._agent.open())
        self._renewing = asyncio.create_task(self._renew())

    async def command(self, command: Command) -> None:
        """Carry out a command; see Fleet for the errors raised."""
        match command:
            case Prepare(assignments):
                await self._agent.prepare(assignments)
            case Start(segment):
                await self._agent.start(segment)
            case Stop():
                self._agent.stop()
            case Dismiss(worker):
                self._agent.dismiss(worker)

    async def event(self) -> AgentEvent:
        """Return the next event, in order for each worker."""
        return await self._events.get()

    async def settle(self) -> None:
        """Wait until the agent has measured how the cores were used in the segment that ended."""
        await self._agent.settle()
        await asyncio.sleep(0)  # so that whoever waits for events receives them

    async def close(self) -> None:
        """End the engine processes, and renew their lease no longer."""
        if self._renewing is not None:
            self._renewing.cancel()
        await self._agent.close()

    async def _renew(self) -> None:
        while True:
            self._agent.renew(time.monotonic_ns() + LEASE_NS)
            await asyncio.sleep(_RENEW_S)
