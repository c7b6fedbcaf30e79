"""Connects the state machine of a run to the outside: sends its effects to fleet and servers, and passes events back.

All events go through one queue and are handled in order, by one task.  The decisions are in RunState.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from coordinator.fleet.api import Dismiss, Fleet, Start, Stop
from coordinator.output.terminal.runview import Position
from coordinator.run.intake import Intake
from coordinator.run.state import (
    Audit,
    Audited,
    Effect,
    EndEarly,
    Ended,
    Event,
    Finish,
    Lost,
    Play,
    ResetDone,
    ResetServers,
    RunState,
    State,
    StopTraffic,
)
from coordinator.run.timeline import Timeline
from loadgen.measure.canary import CanariesHeard
from loadgen.measure.disturbance import MachineSecond
from loadgen.measure.events import AgentEvent, CoresShared, EngineLost, EngineReady, SegmentBegan, SegmentEnded
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import Snapshots
from loadgen.model.plan import Phases
from loadgen.model.units import NS_PER_S

_GRACE_S = 3.0  # how long to wait for the last message of a segment after its planned end
_STOP_GRACE_S = 1.0  # the same after a stop; later, a silent worker ends when its lease runs out
_GRACE_STEPS = 6
_REFRESH_S = 0.5
_GATHER_S = 0.05  # all engines of a machine are lost at the same time; they are drawn together
_AT_ONCE = 64  # number of snapshots that are recorded with one write


@dataclass(frozen=True, slots=True)
class Hooks:
    """The functions that the conductor calls: `reset` and `audit` talk to the servers, `keep` and `observe` record,
    `show` draws.  `early` says while traffic is played why the run may be stopped before its planned end; "" while it
    may not.

    `ready` is called once, when each worker has reported its engine or is lost; its argument is by worker name.
    """

    ready: Callable[[Mapping[str, EngineReady]], None]
    reset: Callable[[int], Awaitable[None]]
    audit: Callable[[int], Awaitable[None]]
    keep: Callable[[Sequence[Snapshot | Snapshots]], None]
    observe: Callable[[MachineSecond], None]
    show: Callable[[Position], None]
    early: Callable[[], str] = lambda: ""


class Conductor:
    """Plays one run.

    After `conduct` has returned, the public attributes hold everything that is known about the run.
    """

    def __init__(self, run: RunState, fleet: Fleet, intake: Intake, phases: Phases, hooks: Hooks) -> None:
        self.run = run
        self.intake = intake
        self.timeline = Timeline(phases)
        self.engines: dict[str, EngineReady] = {}
        self.shared: list[CoresShared] = []
        self.canaries: list[CanariesHeard] = []
        self.remarks: Counter[str] = Counter()  # what engines noticed about servers
        self.handshakes: dict[str, tuple[int, int]] = {}
        self.broken: Exception | None = None  # a bug of loadgen that cut off the traffic
        self._all_ready = False
        self._fleet = fleet
        self._hooks = hooks
        self._inbox: asyncio.Queue[Event | AgentEvent | None] = asyncio.Queue()  # None: it is time to draw
        self._tasks: set[asyncio.Task[None]] = set()
        self._bad_news = asyncio.Event()
        self._began_ns = 0
        self._fresh: list[Snapshot | Snapshots] = []  # filed, not yet recorded

    def post(self, event: Event) -> None:
        """Report an event from outside: the servers are ready, or the user wants to stop."""
        self._inbox.put_nowait(event)

    async def conduct(self) -> None:
        """Play until the run is finished.

        An exception ends the run.  It is raised if there was no traffic; otherwise it is `broken`, and what was
        measured remains.
        """
        try:
            await self._conduct()
        except Exception as error:
            if not self.timeline.segments:
                raise
            self.broken = error

    async def _conduct(self) -> None:
        self._began_ns = time.monotonic_ns()
        try:
            self._spawn(self._pump())
            self._spawn(self._refresh())
            while self.run.state is not State.FINISHED:
                event = await self._inbox.get()
                for task in [task for task in self._tasks if task.done()]:
                    self._tasks.discard(task)
                    task.result()
                self._take(event)
                if self._inbox.empty():
                    self._keep()
            self._keep()
            await self._fleet.settle()
            await asyncio.sleep(0)  # the pump takes the events of that
            while not self._inbox.empty():
                self._take(self._inbox.get_nowait())
        finally:
            try:
                self._keep()
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, event: Event | AgentEvent | None) -> None:
        match event:
            case None:
                self._hooks.show(self.position())
                if self.run.state is State.PLAYING and (why := self._hooks.early()):
                    self._do(self.run.handle(EndEarly(why)))
            case Snapshot() | EngineReady() | SegmentBegan() | SegmentEnded() | EngineLost() if (
                event.worker not in self.run.workers
            ):
                pass  # a worker outside the run: there are fewer connections than engines, or its machine was left out
            case EngineReady():
                self.engines[event.worker] = event
                self._note_ready()
            case Snapshot():
                self._file(event)
            case Snapshots():
                if (ours := event.of_workers(self.run.workers)) is not None:
                    self._file_all(ours)
            case SegmentBegan(worker, segment, at_ns):
                self.timeline.began_ns.setdefault(segment, {})[worker] = at_ns
            case CoresShared():
                self.shared.append(event)
            case MachineSecond() if self.run.workers.isdisjoint(one.worker for one in event.engines):
                pass  # a machine outside the run
            case MachineSecond():
                self.intake.observe(event)
                self._hooks.observe(event)
            case CanariesHeard():
                self.canaries.append(event)
            case SegmentEnded(worker, segment, why, done_ns, handshakes, remarks):
                self.handshakes[worker] = handshakes
                self.remarks.update(dict(remarks))
                if why == "complete":  # the planned end, when the number of operations was not reached before
                    end_ns = self.timeline.segments[segment].end_ns if segment in self.timeline.segments else 0
                    self.timeline.done_ns.setdefault(segment, {})[worker] = done_ns or end_ns
                if segment == self.run.iteration:
                    self._do(self.run.handle(Ended(worker, why)))
            case EngineLost(worker, why):
                self._lose(worker, why)
            case _:
                self._do(self.run.handle(event))

    def _file(self, snapshot: Snapshot) -> None:
        try:
            self.intake.receive(snapshot)
        except ValueError as error:  # an invalid message ends its worker, not the run
            self._lose(snapshot.worker, f"it sent something unreadable: {error}")
        else:
            self._record(snapshot)

    def _file_all(self, together: Snapshots) -> None:
        try:
            self.intake.receive_all(together)
        except ValueError:  # an invalid snapshot ends its own worker only
            for snapshot in together.split():
                self._file(snapshot)
        else:
            self._record(together)

    def _record(self, filed: Snapshot | Snapshots) -> None:
        self._fresh.append(filed)
        if len(self._fresh) >= _AT_ONCE:
            self._keep()

    def _keep(self) -> None:
        """Record the pending snapshots together: one write for each would take as long as filing it."""
        fresh, self._fresh = self._fresh, []
        if fresh:
            self._hooks.keep(fresh)

    def _lose(self, worker: str, why: str) -> None:
        if worker not in self.run.lost:
            ledger = self.intake.ledger
            ledger.lost(worker, ledger.reported_through(worker) + 1)
            self._spawn(self._fleet.command(Dismiss(worker)))
            self._bad_news.set()
        self._do(self.run.handle(Lost(worker, why)))
        self._note_ready()

    def _note_ready(self) -> None:
        if not self._all_ready and self.run.workers <= self.engines.keys() | self.run.lost.keys():
            self._all_ready = True
            self._hooks.ready(self.engines)

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case ResetServers(iteration):
                    self._spawn(self._then(self._hooks.reset, iteration, ResetDone()))
                case Play(iteration):
                    segment = self.timeline.plan_segment(iteration, time.monotonic_ns() + self._fleet.lead_ns)
                    self._spawn(self._fleet.command(Start(segment)))
                    self._spawn(self._expect_the_end(iteration, segment.end_ns - time.monotonic_ns(), _GRACE_S))
                case Audit(iteration):
                    self._spawn(self._then(self._hooks.audit, iteration, Audited()))
                case StopTraffic():
                    self.timeline.stopped_ns = time.monotonic_ns()
                    self._spawn(self._fleet.command(Stop()))
                    self._spawn(self._expect_the_end(self.run.iteration, 0, _STOP_GRACE_S))
                case Finish():
                    self._hooks.show(self.position())

    async def _expect_the_end(self, iteration: int, wait_ns: int, grace_s: float) -> None:
        """A worker that does not report the end of a segment in time is lost: the run must not wait forever."""
        await asyncio.sleep(max(0, wait_ns) / NS_PER_S)
        # when this process itself was suspended, wait one more step for the messages that arrived during that time
        for _ in range(_GRACE_STEPS):
            await asyncio.sleep(grace_s / _GRACE_STEPS)
        if self.run.state in (State.PLAYING, State.STOPPING) and self.run.iteration == iteration:
            for worker in sorted(self.run.playing):
                self._inbox.put_nowait(EngineLost(worker, "it is silent"))

    async def _then(self, hook: Callable[[int], Awaitable[None]], iteration: int, event: Event) -> None:
        await hook(iteration)
        self._inbox.put_nowait(event)

    async def _pump(self) -> None:
        while True:
            self._inbox.put_nowait(await self._fleet.event())

    async def _refresh(self) -> None:
        while True:
            self._inbox.put_nowait(None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_S):
                    await self._bad_news.wait()
                    await asyncio.sleep(_GATHER_S)
            self._bad_news.clear()

    def _spawn(self, work: Awaitable[None]) -> None:
        self._tasks.add(asyncio.ensure_future(work))

    def position(self) -> Position:
        """Return the current position of the run."""
        now_ns = time.monotonic_ns()
        run, timeline = self.run, self.timeline
        name, elapsed_ns, length_ns = timeline.phase(run.state, run.iteration, now_ns)
        run_ns = now_ns - self._began_ns
        return Position(
            phase=name,
            iteration=run.iteration if run.state is not State.PREPARING else -1,
            iterations=run.iterations,
            phase_elapsed_s=elapsed_ns / NS_PER_S,
            phase_length_s=length_ns / NS_PER_S,
            elapsed_s=run_ns / NS_PER_S,
            total_s=max(timeline.total_ns, run_ns if run.state is State.FINISHED else 0) / NS_PER_S,
        )
