"""Drives the engine processes of one machine.  It knows nothing of the network.

Commands are methods; events come out by one callback, in order.  An engine process that ends by itself is reported by
name, with the last line of its stderr; so is one that is frozen.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from loadgen.agent.canary import Canaries
from loadgen.agent.children import EarlyEngines, EngineChild, start_engine
from loadgen.agent.disturbance import Disturbances
from loadgen.engine.api import Assignment, Segment
from loadgen.engine.process import assignment_message, start_message
from loadgen.host import frames
from loadgen.host.listeners import servers_here
from loadgen.host.neighbours import QuietWatch
from loadgen.host.processes import is_runnable
from loadgen.host.quota import Periods, read_periods, throttled_share
from loadgen.measure.events import (
    UNKNOWN,
    AgentEvent,
    CoresShared,
    EngineLost,
    EngineReady,
    SegmentBegan,
    SegmentEnded,
    addresses_from_wire,
)
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.wire import printable
from loadgen.model.errors import FleetError, TargetError
from loadgen.model.units import NS_PER_S

_START_TIMEOUT_S = 20.0
_PREPARE_TIMEOUT_S = 60.0
_ARM_TIMEOUT_S = 5.0
_STOP_TIMEOUT_S = 1.0
_STDERR_LINES = 20
_WATCH_S = 0.2
SILENCE_S = 2.2
"""An engine that is silent for longer is ended.  Engines report each second, even when they are idle."""


class _Engine:
    """One engine process and its state."""

    def __init__(self, worker: str, process: EngineChild) -> None:
        self.worker = worker
        self.process = process
        self.lost = False
        self.hello: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.prepared: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.armed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard_ns = 0  # when it last reported; 0 until it plays its first segment
        self.playing = False
        self.given_up = ""  # why we killed it; empty if we did not
        self.stderr: collections.deque[str] = collections.deque(maxlen=_STDERR_LINES)

    def send(self, frame: bytes) -> None:
        if not self.lost:
            self.process.send(frame)


class Agent:
    """Engine processes `workers` of `machine`, started, prepared, started and stopped together.

    `ours` returns the processes that belong to the run, with their descendants: CPU time that other processes use on
    the engines' cores is evidence against the measurement.  `mark` appears in the command lines of the engines, so that
    others can see to which run they belong.  `on_log` receives the lines that engines write to stderr.  Engines of
    `early` are used first.
    """

    def __init__(
        self,
        workers: Sequence[str],
        on_event: Callable[[AgentEvent], None],
        *,
        machine: str,
        ours: Callable[[], Iterable[int]],
        mark: str = "",
        on_log: Callable[[str], None] = lambda line: None,
        early: EarlyEngines | None = None,
    ) -> None:
        self._workers = tuple(workers)
        self._on_event = on_event
        self._machine = machine
        self._quiet = QuietWatch(ours)
        self._disturbances = Disturbances(machine, self._quiet, on_event)
        self._mark = mark
        self._on_log = on_log
        self._early = early or EarlyEngines()
        self._measuring: asyncio.Task[None] | None = None
        self._engines: list[_Engine] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None] | None = None
        self._periods: dict[Path, Periods] | None = None
        self._canaries = Canaries(machine, mark)
        self._segment: Segment | None = None
        self._servers: set[int] | None = None  # processes of targets on this machine; None if they are unknown
        self._closing = False

    async def open(self) -> list[int]:
        """Start the processes.  Returns their pids.  Raises FleetError if one does not come up."""
        for worker in self._workers:
            try:
                process = self._early.take() or start_engine(self._mark)
            except OSError as error:  # out of descriptors, processes or memory
                raise FleetError(
                    f"engine {worker} cannot be started: {error.strerror}", hint="use fewer engines"
                ) from error
            engine = _Engine(worker, await EngineChild.of(process))
            self._engines.append(engine)
            self._tasks.append(asyncio.create_task(self._read(engine)))
            self._tasks.append(asyncio.create_task(self._read_stderr(engine)))
        await self._all([engine.hello for engine in self._engines], _START_TIMEOUT_S, "start")
        self._watching = asyncio.create_task(self._watch())
        return [engine.process.pid for engine in self._engines]

    @property
    def present(self) -> int:
        """The number of engines that run and were not given up."""
        return sum(not engine.lost for engine in self._engines)

    @property
    def playing(self) -> bool:
        """Whether any engine is in a segment."""
        return any(engine.playing for engine in self._engines)

    async def prepare(self, assignments: Sequence[Assignment]) -> None:
        """Give engines their assignments; engines without one are ended.

        Raises FleetError with the reason if an engine refuses, TargetError if it cannot resolve a target.
        """
        given: Mapping[str, Assignment] = {one.worker: one for one in assignments}
        ports = self._canaries.listen([one.worker for one in assignments if one.load.canary])
        for engine in self._engines:
            if engine.worker in given:
                port = ports.get(engine.worker, 0)
                engine.send(assignment_message(dataclasses.replace(given[engine.worker], canary_port=port)))
            else:
                self.dismiss(engine.worker)
        await self._canaries.start()
        targets = {(target.host, target.port) for one in assignments for target in one.dialed}
        self._servers = await asyncio.to_thread(servers_here, targets)
        chosen = [engine for engine in self._engines if engine.worker in given]
        await self._all([engine.prepared for engine in chosen], _PREPARE_TIMEOUT_S, "get ready")

    async def start(self, segment: Segment) -> list[str]:
        """Play a segment on all engines.  Returns the workers that are armed, once all have answered.

        An engine that is not armed within 5 s is ended, and lost.
        """
        engines = [engine for engine in self._engines if not engine.lost]
        for engine in engines:
            engine.armed = asyncio.get_running_loop().create_future()
            engine.heard_ns = time.monotonic_ns()
            engine.playing = True
        if self._measuring is not None:
            await self._measuring
        self._segment = segment
        self._broadcast(start_message(segment))  # first, because a look at all processes may take long
        await self._begin_measuring(segment, {engine.process.pid: engine.worker for engine in engines})
        if engines:
            await asyncio.wait([engine.armed for engine in engines], timeout=_ARM_TIMEOUT_S)
        for engine in engines:
            if not engine.armed.done():
                self._give_up(engine, f"it was not armed within {_ARM_TIMEOUT_S:g} s")
        return [engine.worker for engine in engines if not (engine.lost or engine.given_up)]

    async def settle(self) -> None:
        """Wait until the use of the cores was measured for the segment that ended."""
        if self._measuring is not None:
            await self._measuring

    def renew(self, until_ns: int) -> None:
        """Extend the lease of all engines to a moment of this machine's CLOCK_MONOTONIC."""
        self._broadcast(frames.encode({"do": "renew", "until_ns": until_ns}))

    def stop(self) -> None:
        """Stop the traffic of all engines now."""
        self._broadcast(frames.encode({"do": "stop"}))

    def dismiss(self, worker: str) -> None:
        """Kill one engine, and report nothing more of it."""
        for engine in self._engines:
            if engine.worker == worker and not engine.lost:
                engine.lost = True
                self._no_longer_playing(engine)
                engine.process.kill()

    async def close(self) -> None:
        """End the processes, and kill those that do not end within 1 s.  Idempotent."""
        self._closing = True
        for engine in self._engines:
            engine.process.close_input()
        await asyncio.gather(*(self._end(engine) for engine in self._engines))
        self._disturbances.close()
        own = [task for task in (self._watching, self._measuring) if task is not None]
        for task in own:
            task.cancel()
        await asyncio.gather(*self._tasks, *own, return_exceptions=True)
        await self._canaries.close()
        for engine in self._engines:
            engine.process.close()

    @staticmethod
    async def _end(engine: _Engine) -> None:
        try:
            await asyncio.wait_for(engine.process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            engine.process.kill()
            await engine.process.wait()

    def _broadcast(self, frame: bytes) -> None:
        for engine in self._engines:
            engine.send(frame)

    async def _all(self, futures: Sequence[asyncio.Future[Any]], timeout_s: float, what: str) -> None:
        # Not gather: on a timeout it cancels all futures, and then the late engines would not be known.
        done, pending = await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION)
        for future in done:
            future.result()
        if pending:
            late = [e.worker for e in self._engines if {e.hello, e.prepared} & pending]
            raise FleetError(f"engines did not {what} within {timeout_s:g} s: {', '.join(late)}")

    async def _read(self, engine: _Engine) -> None:
        why = ""
        try:
            while (message := await frames.receive(engine.process.stdout)) is not None:
                self._handle(engine, message)
        except (frames.FrameError, ValueError, KeyError) as error:
            why = f"it sent something unreadable: {error}"
            engine.process.kill()
        code = await engine.process.wait()
        dismissed, engine.lost = engine.lost, True
        if not engine.armed.done():
            engine.armed.set_result(None)  # so that no caller waits for it any longer
        if self._closing or dismissed:
            return
        why = why or engine.given_up
        await asyncio.sleep(0.05)  # the engine's last lines arrive through another pipe
        last = f"; last line on stderr: {engine.stderr[-1]}" if engine.stderr else ""
        why = why or (f"killed by signal {-code}" if code < 0 else f"exited with code {code}") + last
        lost = FleetError(f"engine {engine.worker} has ended: {why}")
        for future in (engine.hello, engine.prepared):
            if not future.done():
                future.set_exception(lost)
                future.exception()  # mark as seen, because there may be no caller that waits for it
        self._on_event(EngineLost(engine.worker, why))
        self._no_longer_playing(engine)

    async def _read_stderr(self, engine: _Engine) -> None:
        while line := await engine.process.stderr.read(4096):
            parts = [part for part in line.decode(errors="replace").splitlines() if part]
            engine.stderr.extend(map(printable, parts))
            for part in parts:
                self._on_log(f"{engine.worker}: {part}")

    def _handle(self, engine: _Engine, message: dict[str, Any]) -> None:
        engine.heard_ns = engine.heard_ns and time.monotonic_ns()
        match message["is"]:
            case "hello":
                engine.hello.set_result(message)
            case "prepared":
                engine_kind, stamps, why = (message[name] for name in ("engine", "timestamps", "why"))
                addresses = addresses_from_wire(message["addresses"])
                self._on_event(EngineReady(engine.worker, engine_kind, stamps, why, addresses))
                engine.prepared.set_result(None)
            case "failed":
                fault = TargetError if message["whose"] == "target" else FleetError
                engine.prepared.set_exception(fault(message["message"], hint=message["hint"]))
                engine.prepared.exception()  # mark as seen: only the first of several refusals is raised
            case "armed":
                if not engine.armed.done():
                    engine.armed.set_result(None)
            case "began":
                self._on_event(SegmentBegan(engine.worker, message["segment"], message["at_ns"]))
            case "snapshot":
                self._on_event(Snapshot.from_wire(message["snapshot"]))
            case "canary":
                self._canaries.take(engine.worker, message["rows"])
            case "ended":
                self._on_event(_ended(engine.worker, message))
                self._no_longer_playing(engine)

    async def _watch(self) -> None:
        """End engines that are silent: they would delay the others, and their operations would not be counted."""
        looked_ns = time.monotonic_ns()
        while True:
            await asyncio.sleep(_WATCH_S)
            now_ns = time.monotonic_ns()
            if now_ns - looked_ns > NS_PER_S:  # this process was suspended: read the engines' reports first
                for engine in self._engines:
                    engine.heard_ns = engine.heard_ns and now_ns
            looked_ns = now_ns
            for engine in self._engines:
                silent_ns = now_ns - engine.heard_ns
                # An engine that waits for a core is not frozen: that shows as lateness, which makes the run INVALID.
                if (
                    engine.heard_ns
                    and not engine.lost
                    and silent_ns > SILENCE_S * NS_PER_S
                    and not is_runnable(engine.process.pid)
                ):
                    self._give_up(engine, f"silent for {silent_ns / NS_PER_S:.1f} s")

    def _give_up(self, engine: _Engine, why: str) -> None:
        if not engine.given_up:
            engine.given_up = why
            engine.process.kill()

    def _no_longer_playing(self, engine: _Engine) -> None:
        was, engine.playing = engine.playing, False
        if was and not self.playing and not self._closing:
            self._measuring = asyncio.create_task(self._end_measuring())

    async def _begin_measuring(self, segment: Segment, workers: Mapping[int, str]) -> None:
        """Watch the cores of the engines, `workers` by pid; servers that are not known look like other processes."""
        self._periods = await asyncio.to_thread(read_periods)
        await asyncio.to_thread(self._quiet.begin, list(workers), self._servers)
        self._disturbances.begin(segment, workers)

    async def _end_measuring(self) -> None:
        await self._disturbances.end()
        use = await asyncio.to_thread(self._quiet.end)
        share, most = (use.share, use.most) if use is not None else (UNKNOWN, "unknown")
        throttled = throttled_share(self._periods, await asyncio.to_thread(read_periods))
        self._on_event(CoresShared(self._machine, share, most, UNKNOWN if throttled is None else throttled))
        if self._segment is not None and (heard := await self._canaries.report(self._segment)) is not None:
            self._on_event(heard)


def _ended(worker: str, message: dict[str, Any]) -> SegmentEnded:
    full, resumed = message["handshakes"]
    remarks = tuple((text, count) for text, count in message["remarks"])
    return SegmentEnded(worker, message["segment"], message["why"], message["done_ns"], (full, resumed), remarks)
