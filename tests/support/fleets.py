"""A fleet without processes, for tests of the code that uses a fleet; it passes the contract of fleets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from coordinator.fleet.api import Command, Dismiss, MachineStatus, Prepare, Start, Stop
from loadgen.engine.api import Assignment
from loadgen.measure.cells import Cell
from loadgen.measure.events import AgentEvent, EngineLost, EngineReady, SegmentBegan, SegmentEnded
from loadgen.measure.snapshot import Health, Snapshot
from loadgen.model.errors import TargetError
from loadgen.model.machine import Clock, Machine, MachineState
from tests.support.snapshots import tallies, tally


class FakeFleet:
    """Plays every segment at once: one operation of each connection, due in the window."""

    def __init__(self, workers: Sequence[str], *, mute: frozenset[str] = frozenset(), longest_s: int = 10) -> None:
        self._workers = tuple(workers)
        self._mute = mute  # workers that never report an end
        self._longest_ns = longest_s * 10**9  # a longer segment continues until it is stopped
        self._events: asyncio.Queue[AgentEvent] = asyncio.Queue()
        self._assignments: Sequence[Assignment] = ()
        self._playing = -1
        self.dismissed: set[str] = set()
        self.closed = False

    @property
    def workers(self) -> tuple[str, ...]:
        return self._workers

    @property
    def machines(self) -> tuple[Machine, ...]:
        return (Machine(name="fake", workers=self._workers, cores=len(self._workers), open_files=1024),)

    @property
    def missing(self) -> Mapping[str, str]:
        return {}

    @property
    def problems(self) -> Sequence[str]:
        return ()

    @property
    def lead_ns(self) -> int:
        return 0

    def status(self) -> tuple[MachineStatus, ...]:
        engines = len(self._present())
        return (
            MachineStatus(
                name="fake", state=MachineState.READY, engines=engines, clock=Clock(), cpu_share=0.5, seen_ago_s=0.0
            ),
        )

    def clocks(self) -> Mapping[str, Clock]:
        return {"fake": Clock()}

    async def settle(self) -> None:
        await asyncio.sleep(0)

    async def open(self) -> None:
        return None

    async def command(self, command: Command) -> None:
        match command:
            case Prepare(assignments):
                for assignment in assignments:
                    for target in assignment.targets:
                        if target.host.endswith(".invalid"):
                            raise TargetError(f"{target.name} cannot be resolved")
                    self.say(EngineReady(assignment.worker, "python", "loop", "it is a fake"))
                self._assignments = assignments
                self.dismissed |= set(self._workers) - {one.worker for one in assignments}
            case Start(segment):
                self._playing = segment.index
                for worker in self._present():
                    self._events.put_nowait(SegmentBegan(worker, segment.index, segment.start_ns))
                    self._events.put_nowait(self.snapshot(worker, segment.index))
                if segment.end_ns - segment.start_ns < self._longest_ns:
                    self.end("complete")
            case Stop():
                self.end("stopped")
            case Dismiss(worker):
                self.dismissed.add(worker)

    def lose(self, worker: str) -> None:
        self.say(EngineLost(worker, "it was told to"))

    def say(self, event: AgentEvent) -> None:
        self._events.put_nowait(event)

    async def event(self) -> AgentEvent:
        return await self._events.get()

    async def close(self) -> None:
        self.closed = True

    def end(self, why: str) -> None:
        for worker in self._present():
            if worker not in self._mute and self._playing >= 0:
                self._events.put_nowait(SegmentEnded(worker, self._playing, why))
        self._playing = -1

    def _present(self) -> list[str]:
        return [worker for worker in self._workers if worker not in self.dismissed]

    def snapshot(self, worker: str, window: int) -> Snapshot:
        health = Health(
            wall_ns=10**9,
            cpu_ns=10**8,
            runqueue_ns=0,
            still_ns=0,
            open_fds=20,
            fd_limit=1024,
            sockets_time_wait=0,
            active_connections=1,
        )
        tape = self._assignments[0].tape if self._assignments else None
        shape = (len(tape.kinds), len(tape.groups)) if tape else (4, 5)
        return Snapshot(worker, window, {(window, 0): Cell.empty(*shape)}, tallies(tally(window, 0, ok=0)), health)
