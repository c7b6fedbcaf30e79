"""Drives the engine processes of one machine; knows nothing of the network above it.

Commands go in by methods, what happens comes out by one callback, in order.  An engine process that
ends before it was told to is reported by name with the last lines of its stderr.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loadgen.engine.api import Assignment, Segment
from loadgen.engine.process import assignment_message, start_message
from loadgen.host import frames
from loadgen.measure.snapshot import Snapshot
from loadgen.model.errors import FleetError, TargetError

_START_TIMEOUT_S = 20.0
_PREPARE_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 1.0
_STDERR_LINES = 20


@dataclass(frozen=True, slots=True)
class SegmentEnded:
    """An engine has played a segment to its end, or was stopped.  All its snapshots came before."""

    worker: str
    segment: int
    why: str


@dataclass(frozen=True, slots=True)
class EngineLost:
    """An engine process is gone."""

    worker: str
    why: str


AgentEvent = Snapshot | SegmentEnded | EngineLost


class _Engine:
    """One engine subprocess."""

    def __init__(self, worker: str, process: asyncio.subprocess.Process) -> None:
        self.worker = worker
        self.process = process
        self.lost = False
        self.hello: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.prepared: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stderr: collections.deque[str] = collections.deque(maxlen=_STDERR_LINES)

    def send(self, frame: bytes) -> None:
        assert self.process.stdin is not None
        if not self.lost and not self.process.stdin.is_closing():
            self.process.stdin.write(frame)


class Agent:
    """Engine processes `workers`, started, prepared, started and stopped together."""

    def __init__(self, workers: Sequence[str], on_event: Callable[[AgentEvent], None]) -> None:
        self._workers = tuple(workers)
        self._on_event = on_event
        self._engines: list[_Engine] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    async def open(self) -> list[int]:
        """Start the processes; their pids.  Raises FleetError when one does not come up."""
        for worker in self._workers:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",  # whatever lies in the user's directory is not ours to import
                    "-m",
                    "loadgen.engine",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:  # no descriptors, processes or memory left
                raise FleetError(
                    f"engine {worker} cannot be started: {error.strerror}", hint="fewer engines"
                ) from error
            engine = _Engine(worker, process)
            self._engines.append(engine)
            self._tasks.append(asyncio.create_task(self._read(engine)))
            self._tasks.append(asyncio.create_task(self._read_stderr(engine)))
        await self._all([engine.hello for engine in self._engines], _START_TIMEOUT_S, "start")
        return [engine.process.pid for engine in self._engines]

    async def prepare(self, assignments: Sequence[Assignment]) -> None:
        """Give each engine its assignment.  Raises FleetError with the reason when one refuses."""
        for engine, assignment in zip(self._engines, assignments, strict=True):
            engine.send(assignment_message(assignment))
        await self._all([engine.prepared for engine in self._engines], _PREPARE_TIMEOUT_S, "get ready")

    def start(self, segment: Segment) -> None:
        """Play a segment on all engines."""
        self._broadcast(start_message(segment))

    def renew(self, until_ns: int) -> None:
        """Extend the lease of all engines."""
        self._broadcast(frames.encode({"do": "renew", "until_ns": until_ns}))

    def stop(self) -> None:
        """Stop all traffic now."""
        self._broadcast(frames.encode({"do": "stop"}))

    def dismiss(self, worker: str) -> None:
        """Kill one engine; nothing more is said of it."""
        for engine in self._engines:
            if engine.worker == worker and not engine.lost:
                engine.lost = True
                with contextlib.suppress(ProcessLookupError):
                    engine.process.kill()

    async def close(self) -> None:
        """End the processes.  Idempotent."""
        self._closing = True
        for engine in self._engines:
            assert engine.process.stdin is not None
            engine.process.stdin.close()
        for engine in self._engines:
            try:
                await asyncio.wait_for(engine.process.wait(), _STOP_TIMEOUT_S)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    engine.process.kill()
                await engine.process.wait()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _broadcast(self, frame: bytes) -> None:
        for engine in self._engines:
            engine.send(frame)

    async def _all(self, futures: Sequence[asyncio.Future[Any]], timeout_s: float, what: str) -> None:
        # Not gather: when its time is over it cancels them all, and then nobody knows who was late.
        done, pending = await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION)
        for future in done:
            future.result()
        if pending:
            late = [e.worker for e, future in zip(self._engines, futures, strict=True) if future in pending]
            raise FleetError(f"engines did not {what} within {timeout_s:g} s: {', '.join(late)}")

    async def _read(self, engine: _Engine) -> None:
        assert engine.process.stdout is not None
        why = ""
        try:
            while (message := await frames.receive(engine.process.stdout)) is not None:
                self._handle(engine, message)
        except (frames.FrameError, ValueError, KeyError) as error:
            why = f"it sent something unreadable: {error}"
            with contextlib.suppress(ProcessLookupError):
                engine.process.kill()
        code = await engine.process.wait()
        dismissed, engine.lost = engine.lost, True
        if self._closing or dismissed:
            return
        await asyncio.sleep(0.05)  # its last words come on another pipe
        last = f"; its last words: {engine.stderr[-1]}" if engine.stderr else ""
        why = why or (f"killed by signal {-code}" if code < 0 else f"exited with code {code}") + last
        lost = FleetError(f"engine {engine.worker} is gone: {why}")
        for future in (engine.hello, engine.prepared):
            if not future.done():
                future.set_exception(lost)
                future.exception()  # it may be that nobody waits for it
        self._on_event(EngineLost(engine.worker, why))

    async def _read_stderr(self, engine: _Engine) -> None:
        assert engine.process.stderr is not None
        while line := await engine.process.stderr.read(4096):
            engine.stderr.extend(part for part in line.decode(errors="replace").splitlines() if part)

    def _handle(self, engine: _Engine, message: dict[str, Any]) -> None:
        match message["is"]:
            case "hello":
                engine.hello.set_result(message)
            case "prepared":
                engine.prepared.set_result(None)
            case "failed":
                fault = TargetError if message["whose"] == "target" else FleetError
                engine.prepared.set_exception(fault(message["message"], hint=message["hint"]))
                engine.prepared.exception()  # the first of several refusals is the one that is told
            case "snapshot":
                self._on_event(Snapshot.from_wire(message["snapshot"]))
            case "ended":
                self._on_event(SegmentEnded(engine.worker, message["segment"], message["why"]))
