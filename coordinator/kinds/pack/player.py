"""Plays `loadgen pack`: starts VMs as the planner says, watches the machine meanwhile, asks all VMs, and ends them."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path

from coordinator.kinds.pack.crowd import PROOF, Crowd, document_root
from coordinator.kinds.pack.sweep import sweep
from coordinator.output.terminal.pack_live import PackProgress
from coordinator.run.api import Around, Stage
from deploy.footprint import own_processes, read_use
from loadgen.host.limits import raise_open_files
from loadgen.host.room import guarantees_memory, read_room
from loadgen.measure.packing import UNKNOWN, Floor, KeptStep, Limit, Packed, Room, Step, Sweep
from loadgen.model.errors import LoadgenError
from loadgen.model.pack import PackPlan
from loadgen.model.units import counted, format_size
from loadgen.verdict.packing import Stop, next_vms

_WATCH_S = 0.1


class PackPlayer:
    """Plays one plan."""

    def __init__(self, plan: PackPlan, around: Around) -> None:
        """A player that has started nothing.  Raises PlanError when the driver cannot start VMs."""
        self._plan = plan
        self._around = around
        self._crowd = Crowd(plan, document_root(around.cache))
        self._files = Path(tempfile.gettempdir())
        self._steps: list[Step] = []
        self._doing: asyncio.Task[None] | None = None
        self._worst: Room | None = None
        self._playing = False
        self.interrupted = False

    def interrupt(self) -> bool:
        """Start no more VMs, and end those that run; returns False before the first VM is started."""
        if not self._playing:
            return False
        self.interrupted = True
        if self._doing is not None:
            self._doing.cancel()
        return True

    async def play(self, stage: Stage[PackPlan]) -> Packed:
        """Pack, sweep, and end all VMs.  Raises LoadgenError when not even the first VM can be started."""
        raise_open_files()
        before = own_processes()
        with stage.around.view:
            stage.stack.push_async_callback(self._end)  # also after an error
            room = read_room(self._files)
            self._note(stage, Step(vms=0, tried=0, took_ns=0, room=room, use=await asyncio.to_thread(read_use, before)))
            self._playing = True
            stop = await self._fill(stage, before)
            swept = () if self.interrupted or not self._crowd.targets else await self._ask_all(stop)
            began_ns = time.monotonic_ns()
            await self._end()
            ended_ns = time.monotonic_ns() - began_ns
        facts = self._crowd.facts
        return Packed(
            steps=tuple(self._steps),
            sweep=swept,
            deaths=self._crowd.deaths,
            ended_ns=ended_ns if self._crowd.targets else UNKNOWN,
            driver=facts.driver if facts else "",
            server=facts.version or facts.server if facts else "",
            guarantee=self._guarantee(),
        )

    async def _fill(self, stage: Stage[PackPlan], before: frozenset[int]) -> Stop | None:
        """Start VMs until the planner or the user stops it.  Raises LoadgenError of the first VM."""
        while not self.interrupted:
            step = next_vms(self._plan, self._steps, self._crowd.deaths)
            if isinstance(step, Stop):
                return step
            self._note(stage, await self._start(step, before))
            if self._crowd.facts and not stage.header.environment.server:
                facts = self._crowd.facts
                about = {"kind": facts.server, "version": facts.version, "driver": facts.driver, "config": facts.config}
                about |= {name: facts.details[name] for name in ("emulated",) if name in facts.details}
                stage.learn(environment=dataclasses.replace(stage.header.environment, server=about))
        return None

    async def _start(self, count: int, before: frozenset[int]) -> Step:
        """Start VMs, and watch the machine; they are ended again when a floor is reached."""
        began_ns = time.monotonic_ns()
        self._worst, floor, refused = None, Floor.NONE, ""
        starting = self._doing = asyncio.create_task(self._crowd.add(count))
        try:
            while not (await asyncio.wait({starting}, timeout=_WATCH_S))[0]:
                now = self._look()
                self._show(f"starting {counted(count, 'VM')}")
                if floor is Floor.NONE and (floor := self._floor(now)) is not Floor.NONE:
                    starting.cancel()
        except asyncio.CancelledError:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)  # until nothing of these VMs is left
            raise
        took_ns = time.monotonic_ns() - began_ns
        self._doing = None
        try:
            await starting
        except asyncio.CancelledError:
            if floor is Floor.NONE and not self.interrupted:
                raise
            refused = f"the floor of free {floor.value} was reached" if floor is not Floor.NONE else "interrupted"
        except LoadgenError as error:
            if not self._crowd.targets and not self.interrupted:
                raise
            refused = f"{error.message} ({error.hint})" if error.hint else error.message
        running = len(self._crowd.targets)
        if refused:
            room = self._worst or read_room(self._files)
            return Step(vms=running, tried=count, took_ns=took_ns, room=room, refused=refused, floor=floor)
        room = read_room(self._files)
        self._show("measuring the footprint")
        use = await asyncio.to_thread(read_use, before)
        return Step(vms=running, tried=count, took_ns=took_ns, room=room, use=use)

    async def _ask_all(self, stop: Stop | None) -> tuple[Sweep, ...]:
        """Ask all VMs; () when the user stopped it."""
        self._show(f"asking {counted(len(self._crowd.targets), 'VM')}, all at once", stop)
        found: list[Sweep] = []

        async def ask() -> None:
            found.append(await sweep(self._crowd.targets, PROOF, self._plan.answer_ns))

        await self._interruptible(ask())
        return tuple(found)

    async def _interruptible(self, work: Coroutine[None, None, None]) -> None:
        self._doing = asyncio.create_task(work)
        try:
            await self._doing
        except asyncio.CancelledError:
            if not self.interrupted:
                raise
        finally:
            self._doing = None

    async def _end(self) -> None:
        """End all VMs, and show how many are left."""
        await self._crowd.end(lambda left: self._show(f"ending VMs: {left} left", left=left))

    def _look(self) -> Room:
        """Read the machine, and keep the tightest that was seen of each number since the start began."""
        now = read_room(self._files)
        self._worst = now if self._worst is None else _tighter(self._worst, now)
        return now

    def _floor(self, room: Room) -> Floor:
        if room.memory_bytes < self._plan.keep_memory_bytes:
            return Floor.MEMORY
        return Floor.DISK if room.disk_bytes < self._plan.keep_disk_bytes else Floor.NONE

    def _note(self, stage: Stage[PackPlan], step: Step) -> None:
        self._steps.append(step)
        if len(self._steps) > 1:  # a run whose first VM does not start leaves no record
            stage.writer.append(map(KeptStep, self._steps[:2] if len(self._steps) == 2 else self._steps[-1:]))
        self._show("deciding what is next")

    def _show(self, doing: str, stop: Stop | None = None, *, left: int | None = None) -> None:
        good = [step for step in self._steps if not step.refused]
        now = good[-1] if good else None
        self._around.view.update(
            PackProgress(
                doing=doing,
                vms=len(self._crowd.targets) if left is None else left,
                wanted=self._plan.count,
                pss_bytes=now.use.pss_bytes if now else UNKNOWN,
                free_bytes=now.room.memory_bytes if now else UNKNOWN,
                kept_bytes=self._plan.keep_memory_bytes,
                notices=(f"no more VMs: {stop.why}",) if stop else (),
            )
        )

    def _guarantee(self) -> str:
        """What the reservation rests on, as a sentence; empty when VMs are overbooked."""
        if not self._plan.guaranteed:
            return ""
        limits = self._crowd.facts.details.get("limits", {}) if self._crowd.facts else {}
        if protected := limits.get("protected_memory_bytes"):
            return f"reservations are kept by admission, and the kernel protects {format_size(protected)} of each VM"
        if guarantees_memory():
            return "reservations are kept by admission only: the VM driver protects no memory (memory.min)"
        return "reservations are kept by admission only: this kernel's control groups have no memory.min"


def _tighter(worst: Room, now: Room) -> Room:
    """The tighter of two states, number by number."""
    limits = {limit.name: limit for limit in worst.limits}
    return Room(
        memory_bytes=min(worst.memory_bytes, now.memory_bytes),
        disk_bytes=min(worst.disk_bytes, now.disk_bytes),
        limits=tuple(_fuller(limits.get(limit.name, limit), limit) for limit in now.limits),
    )


def _fuller(one: Limit, other: Limit) -> Limit:
    return max(one, other, key=lambda limit: (limit.hits, limit.used))
