"""A fleet of machines, each of which is an agent in a Dask worker.  A Way starts and ends the agents.

It uses `Client.run`, topics, and the news of who left.  It uses no tasks, futures or actors: Dask would restart a lost
engine elsewhere, and load must not be played twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from coordinator.fleet.admission import say_missing
from coordinator.fleet.api import Command, Dismiss, MachineStatus, Prepare, Start, Stop
from coordinator.fleet.dask.asking import UnreadableError, reading, tell
from coordinator.fleet.dask.lease import Rhythm
from coordinator.fleet.dask.leases import GROUP, keep_group
from coordinator.fleet.dask.machine import RemoteMachine
from coordinator.fleet.dask.unread import Unread
from coordinator.fleet.events import Spoke, Ticked, WorkerGivenUp
from coordinator.fleet.member import OVERDUE_NS, SILENCE_NS, Member
from coordinator.fleet.ways import Joined, Way
from loadgen.agent import facts
from loadgen.agent.bootstrap import PATIENCE_S
from loadgen.agent.dask import calls
from loadgen.agent.dask.plugin import STOP
from loadgen.agent.duty import pack_plan
from loadgen.agent.messages import Heartbeat
from loadgen.engine.api import Assignment, Segment
from loadgen.measure.events import AgentEvent, EngineLost
from loadgen.model.errors import FleetError, LoadgenError
from loadgen.model.machine import Clock, Machine
from loadgen.model.plan import OnLoss
from loadgen.model.units import NS_PER_S

_LOOK_S = 0.1
_GATHER_S = 0.005  # heartbeats that arrive within this time are read together
_SLICE_NS = 5_000_000
_RENEW_S = 0.5
_RENEW_MANY_S = 1.25  # half a lease
_RENEW_OPENING_S = 3.0  # for many machines while they open; each is renewed by itself then, and nothing plays yet
_MANY = 100
_ARM_NS = 300_000_000
_ORDER_NS = 2_000_000  # per machine: orders are sent one by one, in .5 ms each if this process is idle
_STOP_TIMEOUT_S = 1.0
_SETTLE_S = 10.0
_LOSE_S = 5.0
_AT_ONCE = 16  # machines whose clocks are measured, or that are sent the plan
_PULLS_AT_ONCE = 8
_PARTINGS_AT_ONCE = 64


class DaskFleet:
    """The machines of `way` for one run, with `engines` processes each (0: one per core) unless the way says otherwise.

    `on_loss` also says what to do about machines that cannot be used when the fleet opens.  `on_log` receives the log
    lines of the machines as (machine, line).
    """

    def __init__(
        self,
        way: Way,
        *,
        run_id: str,
        engines: int,
        on_loss: OnLoss,
        on_log: Callable[[str, str], None] = lambda machine, line: None,
    ) -> None:
        self._way = way
        self._run_id = run_id
        self._engines = engines
        self._on_loss = on_loss
        self._on_log = on_log
        self._events: asyncio.Queue[AgentEvent] = asyncio.Queue()
        self._inbox: asyncio.Queue[tuple[RemoteMachine, Any, int]] = (
            asyncio.Queue()
        )  # a heartbeat, or None if the machine left, and when that arrived
        self._unread = Unread(self._events.put_nowait)
        self._machines: dict[str, RemoteMachine] = {}  # by address, in the order of the request
        self._left_out: dict[str, str] = {}  # reasons, by name
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._ordered = -1  # the index of the last segment
        self.problems: list[str] = []
        self.strange = 0
        """The number of messages from senders that are no machine of this fleet."""

    @property
    def machines(self) -> tuple[Machine, ...]:
        """The machines that the run began with, whether they are lost by now or not."""
        return tuple(machine.described for machine in self._machines.values())

    @property
    def missing(self) -> Mapping[str, str]:
        """Machines that did not join, or refused to serve: the reason, by name."""
        return {**self._way.missing, **self._left_out}

    @property
    def lead_ns(self) -> int:
        """See Fleet: enough for the order to reach every machine, and for its answer to come back."""
        worst_ns = max((machine.clock.round_trip_ns for machine in self._present()), default=0)
        return max(NS_PER_S, 4 * worst_ns + NS_PER_S // 2) + _ORDER_NS * len(self._machines)

    def status(self) -> tuple[MachineStatus, ...]:
        """Return the state of each machine."""
        now_ns = time.monotonic_ns()
        return tuple(self._status(machine, now_ns) for machine in self._machines.values())

    def clocks(self) -> Mapping[str, Clock]:
        """Return the latest measurement of each machine's clock, by name."""
        now_ns = time.monotonic_ns()
        return {machine.name: machine.clock.at(now_ns) for machine in self._machines.values()}

    async def open(self) -> None:
        """Reach every machine, start its engines and measure its clock.  Raises FleetError, PlanError."""
        joined = await self._way.open()
        line = self._way.line
        line.listen("all", self._on_news)
        line.listen(f"loadgen-{self._run_id}", self._on_heartbeat)
        pulling, measuring = asyncio.Semaphore(_PULLS_AT_ONCE), asyncio.Semaphore(_AT_ONCE)
        for one in joined:
            self._machines[one.address] = RemoteMachine(
                one,
                line.client,
                self._run_id,
                member=Member(one.name, silence_ns=SILENCE_NS, overdue_ns=OVERDUE_NS),
                on_event=self._events.put_nowait,
                end_process=functools.partial(self._end_process, one.name),
                on_log=self._on_log,
                pulling=pulling,
                unread=self._unread,
            )
        interval_s = _RENEW_S if len(joined) <= _MANY else _RENEW_OPENING_S
        welcomes = [
            self._welcome(one, measuring, interval_s, delay_s=interval_s * number / len(joined))
            for number, one in enumerate(joined)
        ]
        self._spawn(self._watch())
        self._spawn(self._read_inbox())
        await asyncio.gather(*welcomes)
        self._leave_out_lost()
        if len(self._machines) > _MANY:
            self._keep_groups()

    async def command(self, command: Command) -> None:
        """Send a command to every machine that is not lost."""
        match command:
            case Prepare(assignments):
                await self._prepare(assignments)
            case Start(segment):
                await self._start(segment)
            case Stop():
                # On a machine that does not hear it, the engines stop when their lease ends.
                addresses = [machine.address for machine in self._present()]
                line = self._way.line
                stop = {"op": STOP, "run_id": self._run_id, "segment": self._ordered}
                if not line.post({address: dict(stop) for address in addresses}):
                    await tell(
                        line.client, addresses, calls.stop, self._run_id, self._ordered, timeout_s=_STOP_TIMEOUT_S
                    )
            case Dismiss(worker):
                for machine in self._present():
                    machine.feed(WorkerGivenUp(worker))

    async def event(self) -> AgentEvent:
        """Return the next event, in order for each worker."""
        return await self._events.get()

    async def bandwidth(self, machine: str, host: str, port: int) -> tuple[float, float]:
        """Return the bit/s that a machine sends to an address and receives from it.  Raises LoadgenError."""
        for one in self._present():
            if one.name == machine:
                return await one.bandwidth(host, port)
        raise FleetError("it is lost")

    async def settle(self) -> None:
        """Wait until all measurements so far are among the events; a machine of which none arrives for 10 s is lost."""
        await asyncio.gather(*(machine.settle(_SETTLE_S) for machine in self._present()))
        self._unread.read()

    async def close(self) -> None:
        """Fetch the missing results, note what could not be fetched, and end everything that `open` began."""
        if self._closed:
            return
        self._closed = True
        try:
            turns = asyncio.Semaphore(_PARTINGS_AT_ONCE)
            await asyncio.gather(*(self._part(machine, turns) for machine in self._machines.values()))
        finally:
            for machine in self._machines.values():
                machine.rest()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._way.close()

    # Beginning and end

    async def _welcome(self, joined: Joined, measuring: asyncio.Semaphore, interval_s: float, delay_s: float) -> None:
        await self._machines[joined.address].welcome(
            joined.engines or self._engines,
            facts.versions(),
            PATIENCE_S,
            measuring=measuring,
            rhythm=Rhythm(interval_s=interval_s, delay_s=delay_s),
        )

    def _keep_groups(self) -> None:
        machines = list(self._machines.values())
        for machine in machines:
            machine.lease.stop()
        for first in range(0, len(machines), GROUP):
            group = machines[first : first + GROUP]
            self._spawn(
                keep_group(
                    self._way.line,
                    self._run_id,
                    group,
                    _RENEW_MANY_S,
                    _RENEW_MANY_S * first / len(machines),
                    is_late=lambda one: one.member.is_overdue(time.monotonic_ns()),
                    spawn=self._spawn,
                )
            )

    def _leave_out_lost(self) -> None:
        """Begin without the machines that refused or were lost while the fleet opened, and drop their events."""
        for machine in [machine for machine in self._machines.values() if machine.lost]:
            self._left_out[machine.name] = machine.member.why
            machine.leave_out()
            del self._machines[machine.address]
        usable = {worker for machine in self.machines for worker in machine.workers}
        for event in [self._events.get_nowait() for _ in range(self._events.qsize())]:
            if isinstance(event, EngineLost) and event.worker in usable:
                self._events.put_nowait(event)
        if not self.missing:
            return
        if not self._machines:
            raise FleetError(f"no load machine can be used: {say_missing(self.missing)}")
        if self._on_loss is OnLoss.ABORT:
            raise FleetError(
                f"a load machine cannot be used: {say_missing(self.missing)}",
                hint="use --on-loss degrade to continue without it",
            )

    async def _part(self, machine: RemoteMachine, turns: asyncio.Semaphore) -> None:
        """Take leave of a machine.  Results that were not fetched stay there."""
        async with turns:
            await machine.part()
        said = (machine.problem, machine.member.unfinished(machine.missing_bytes))
        self.problems += [f"{machine.name}: {what}" for what in said if what]

    # Commands

    async def _prepare(self, assignments: Sequence[Assignment]) -> None:
        wire = assignments[0].to_wire()
        shared = {name: value for name, value in wire.items() if name not in ("worker", "shard")}
        shared["own"] = {one.worker: one.own for one in assignments}
        blob = await asyncio.to_thread(pack_plan, shared)
        digest = hashlib.sha256(blob).hexdigest()
        shards = {one.worker: one.shard.to_wire() for one in assignments}
        turns = asyncio.Semaphore(_AT_ONCE)

        async def prepare(machine: RemoteMachine) -> None:
            mine = {worker: shards[worker] for worker in machine.described.workers if worker in shards}
            try:
                await machine.prepare(blob, digest, mine, turns)
            except LoadgenError as error:
                if not machine.lost:
                    raise type(error)(f"{machine.name}: {error.message}", hint=error.hint) from error

        await _all(prepare(machine) for machine in self._present())
        if not self._present():
            raise FleetError("every load machine was lost before the start")

    async def _start(self, segment: Segment) -> None:
        self._ordered = segment.index
        wait_s = (segment.start_ns - _ARM_NS - time.monotonic_ns()) / NS_PER_S
        await asyncio.gather(*(machine.start(segment, wait_s) for machine in self._present()))

    # What happens

    def _on_heartbeat(self, message: Any) -> None:
        """Receive a worker's message; Dask adds the address of the worker."""
        sender = message.get("worker") if isinstance(message, dict) else None
        machine = self._machines.get(sender) if isinstance(sender, str) else None
        if machine is None:
            self.strange += 1
            return
        now_ns = time.monotonic_ns()
        machine.feed(Spoke(now_ns))
        if not machine.lost:
            self._inbox.put_nowait((machine, message, now_ns))

    def _on_news(self, news: Any) -> None:
        """Take Dask's news of workers that join or leave."""
        if isinstance(news, dict) and news.get("action") == "remove-worker":
            machine = self._machines.get(news.get("worker", ""))
            if machine is not None and not self._closed:
                # read after the machine's earlier messages
                self._inbox.put_nowait((machine, None, time.monotonic_ns()))

    async def _read_inbox(self) -> None:
        """Read heartbeats in slices of 5 ms: all arrive at the same time, and renewals must not wait for them."""
        while True:
            heard = [await self._inbox.get()]
            await asyncio.sleep(_GATHER_S)
            began_ns = time.monotonic_ns()
            while heard:
                self._read(*heard.pop())
                if time.monotonic_ns() - began_ns > _SLICE_NS:
                    break
                if not self._inbox.empty():
                    heard.append(self._inbox.get_nowait())
            self._unread.read()

    def _read(self, machine: RemoteMachine, message: Any, received_ns: int) -> None:
        if machine.lost:
            return
        if message is None:
            machine.left()
            return
        try:
            with reading():
                heartbeat = Heartbeat.from_wire(message)
                if heartbeat.machine != machine.name:
                    raise ValueError(f"it reports as machine {heartbeat.machine!r}")
            machine.hear(heartbeat, received_ns)
        except UnreadableError as error:
            machine.lose(error.message)

    def _end_process(self, name: str) -> None:
        async def end() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOSE_S):
                    await self._way.lose(name)

        self._spawn(end())

    async def _watch(self) -> None:
        while True:
            ticked = Ticked(time.monotonic_ns())
            for machine in list(self._machines.values()):
                machine.feed(ticked)
            await asyncio.sleep(_LOOK_S)

    def _present(self) -> list[RemoteMachine]:
        return [machine for machine in self._machines.values() if not machine.lost]

    def _status(self, machine: RemoteMachine, now_ns: int) -> MachineStatus:
        member = machine.member
        return MachineStatus(
            name=machine.name,
            state=member.shown(now_ns),
            engines=len(member.present),
            clock=machine.clock.at(now_ns),
            cpu_share=machine.cpu_share,
            seen_ago_s=member.silent_ns(now_ns) / NS_PER_S,
            why=member.why or machine.problem,
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all of these at once.  The first error ends the others, and is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
