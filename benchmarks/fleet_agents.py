"""Many load machines in one process, for benchmarks/fleet.py: real agents with simulated engines.

Each agent is a Dask worker of its own with the real plugin, commands, heartbeat and spool.  Only the part that drives
the engines is replaced: it obeys at once, and reports prepared snapshots each second.

in:   a line of JSON (see `Scene`), then `report` to request the notes, and the end of the input
out:  `ready` when all machines have joined, then the notes as a line of JSON
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))  # when run as a script

from loadgen.agent.credentials import Credentials
from loadgen.agent.dask.join import AgentWorker
from loadgen.agent.dask.plugin import AgentPlugin
from loadgen.agent.dask.security import security
from loadgen.agent.dask.settings import configure
from loadgen.agent.engines import Agent
from loadgen.engine.api import Assignment, Segment
from loadgen.host import child
from loadgen.measure.cells import Cell, CellTable
from loadgen.measure.events import AgentEvent, SegmentBegan, SegmentEnded
from loadgen.measure.histogram import Histogram
from loadgen.measure.snapshot import Health, Snapshot
from loadgen.measure.tally import TALLY_DTYPE, empty_tallies
from loadgen.model.outcome import OUTCOMES, Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from workloads.specweb99.mix import GROUPS, KINDS

OPERATIONS_PER_S = 3.3
"""Operations per second of a connection on a line of 400 kbit/s with SPECweb99's mix."""

_VARIANTS = 4
_AT_ONCE = 4
_HEALTH = Health(
    wall_ns=NS_PER_S,
    cpu_ns=150 * NS_PER_MS,
    runqueue_ns=2 * NS_PER_MS,
    still_ns=0,
    open_fds=200,
    fd_limit=4096,
    sockets_time_wait=0,
    active_connections=0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The machines `names`, which join `scheduler`.

    Each has its certificate: a mapping of its texts, empty without TLS.
    """

    scheduler: str
    names: list[str]
    credentials: dict[str, dict[str, str]]
    spool: str


@dataclass(slots=True)
class Notes:
    """The times of events, CLOCK_MONOTONIC ns: `stopped` is when the stop arrived, by machine.

    `sent` is when a worker's snapshot of an interval left in a heartbeat; `pending` are snapshots that have not left
    yet.
    """

    sent: defaultdict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    stopped: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    pending: defaultdict[str, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))
    bytes_sent: int = 0


class SimulatedAgent(Agent):
    """Replaces the part of an agent that drives engines; starts no engine process."""

    def __init__(self, workers: Sequence[str], on_event: Callable[[AgentEvent], None], *, notes: Notes, **rest: Any):
        super().__init__(workers, on_event, **rest)
        self._notes = notes
        self._pending = notes.pending[self._machine]
        self._present = list(workers)
        self._segment: Segment | None = None
        self._given: dict[str, Assignment] = {}
        self._made: dict[tuple[str, int], Snapshot] = {}
        self._interval = 0
        self._timers: list[asyncio.TimerHandle] = []
        self._ticking: asyncio.TimerHandle | None = None

    async def open(self) -> list[int]:
        return []

    @property
    def present(self) -> int:
        return len(self._present)

    @property
    def playing(self) -> bool:
        return self._segment is not None

    async def prepare(self, assignments: Sequence[Assignment]) -> None:
        self._given = {one.worker: one for one in assignments}
        self._present = [worker for worker in self._present if worker in self._given]

    async def start(self, segment: Segment) -> list[str]:
        self._segment = segment
        loop = asyncio.get_running_loop()
        for at_ns, call in ((segment.start_ns, self._began), (segment.end_ns, self._complete)):
            self._timers.append(loop.call_later(max(0, at_ns - time.monotonic_ns()) / NS_PER_S, call, segment))
        if self._ticking is None:
            self._interval = max(0, (time.monotonic_ns() - segment.origin_ns) // NS_PER_S)
            self._tick_later(segment.origin_ns)
        return list(self._present)

    async def settle(self) -> None:
        pass

    def renew(self, until_ns: int) -> None:
        pass

    def stop(self) -> None:
        self._notes.stopped[self._machine].append(time.monotonic_ns())
        self._finish("stopped")

    def dismiss(self, worker: str) -> None:
        self._present = [one for one in self._present if one != worker]

    async def close(self) -> None:
        for timer in (*self._timers, self._ticking):
            if timer is not None:
                timer.cancel()
        self._segment = None
        self._present = []

    def _began(self, segment: Segment) -> None:
        for worker in self._present:
            self._on_event(SegmentBegan(worker, segment.index, time.monotonic_ns()))

    def _complete(self, segment: Segment) -> None:
        if segment is self._segment:
            self._finish("complete")

    def _finish(self, why: str) -> None:
        segment = self._segment
        if segment is not None:
            self._report()
            for worker in self._present:
                self._on_event(SegmentEnded(worker, segment.index, why))
            self._segment = None

    def _tick_later(self, origin_ns: int) -> None:
        wait_ns = origin_ns + (self._interval + 1) * NS_PER_S - time.monotonic_ns()
        self._ticking = asyncio.get_running_loop().call_later(max(0, wait_ns) / NS_PER_S, self._tick, origin_ns)

    def _tick(self, origin_ns: int) -> None:
        self._report()
        self._interval += 1
        self._tick_later(origin_ns)

    def _report(self) -> None:
        window = self._segment.index if self._segment is not None else -1
        for worker in self._present:
            key = worker, window
            if key not in self._made:
                self._made[key] = _snapshot(self._given[worker], window) if self.playing else _NOTHING
            made = self._made[key]
            self._pending.append((worker, self._interval))
            self._on_event(dataclasses.replace(made, worker=worker, interval=self._interval))


class TimedWorker(AgentWorker):
    """A Dask worker that notes the time of each heartbeat."""

    def __init__(self, *args: Any, notes: Notes, machine: str, **rest: Any) -> None:
        self._notes = notes
        self._machine = machine
        super().__init__(*args, **rest)

    def log_event(self, topic: str | Iterable[str], msg: Any) -> None:
        if msg.get("chunk") is not None:
            now_ns = time.monotonic_ns()
            pending = self._notes.pending[self._machine]
            for worker, interval in pending:
                self._notes.sent[worker].setdefault(interval, now_ns)
            pending.clear()
            self._notes.bytes_sent += len(msg["chunk"]["data"])
        super().log_event(topic, msg)  # type: ignore[arg-type]


def _snapshot(assignment: Assignment, window: int) -> Snapshot:
    """Return an engine's report of a second with these connections, as an agent has read it."""
    targets = np.repeat(np.arange(len(assignment.shares)), assignment.shares)
    connections = np.array(assignment.shard.connections)
    share = np.bincount(targets[connections], minlength=len(assignment.shares))
    tallies = np.zeros(len(connections), TALLY_DTYPE)
    tallies["window"], tallies["connection"] = window, connections
    tallies["ok"] = tallies["good"] = tallies["tolerable"] = round(OPERATIONS_PER_S)
    tallies["bytes"], tallies["busy_ns"] = 50_000, NS_PER_S
    tallies["service_ns"], tallies["lateness_ns"] = 3 * NS_PER_MS, NS_PER_MS
    tallies["pacing_ns"] = NS_PER_S - 4 * NS_PER_MS
    return Snapshot(
        worker="any",
        interval=0,
        cells=_table(tuple(share.tolist()), window),
        tallies=tallies,
        health=dataclasses.replace(_HEALTH, active_connections=len(connections)),
    )


@functools.cache
def _table(share: tuple[int, ...], window: int) -> CellTable:
    """Return the operations of this many connections with each target in a second.

    Cached by share, because all engines with the same share report the same: making the table again for hundreds of
    engines at the first report would block their only core for seconds.
    """
    made = CellTable.of({(window, at): _cells(count)[at % _VARIANTS] for at, count in enumerate(share) if count})
    # in narrow columns, as the wire format has them
    return CellTable.from_wires([made.to_wire()], np.array([len(made)]), [1])


@functools.cache
def _cells(connections: int) -> list[Cell]:
    """Return a few variants of the operations of this many connections with one target in a second."""
    random = np.random.default_rng(connections)
    return [_cell(max(1, int(random.poisson(connections * OPERATIONS_PER_S))), random) for _ in range(_VARIANTS)]


def _cell(operations: int, random: np.random.Generator) -> Cell:
    outcomes = np.zeros(OUTCOMES, np.int64)
    outcomes[Outcome.OK] = operations
    kinds = random.multinomial(operations, np.full(len(KINDS) * len(GROUPS), 1 / len(KINDS) / len(GROUPS)))
    counts = np.zeros((len(KINDS), len(GROUPS), 3), np.int64)
    counts[:, :, 0] = kinds.reshape(len(KINDS), len(GROUPS))

    def times(median_ms: float, spread: float) -> Histogram:
        return Histogram.of(random.lognormal(np.log(median_ms * NS_PER_MS), spread, operations).astype(np.int64))

    return Cell(
        outcomes=outcomes,
        counts=counts,
        good=operations,
        tolerable=operations,
        overdue=0,
        bytes=15_000 * operations,
        connects=operations // 3,
        response=times(100, 1.5),
        service=times(3, 1.0),
        lateness=times(0.6, 0.6),
    )


_NOTHING = Snapshot(worker="any", interval=0, cells={}, tallies=empty_tallies(), health=_HEALTH)


def _make_worker(scene: Scene, name: str, notes: Notes) -> TimedWorker:
    pems = scene.credentials.get(name)
    make_agent = functools.partial(SimulatedAgent, notes=notes)
    return TimedWorker(
        scene.scheduler,
        notes=notes,
        machine=name,
        name=name,
        host="127.0.0.1",
        nthreads=1,
        memory_limit=0,
        security=security(Credentials(**pems) if pems else None),
        dashboard_address="127.0.0.1:0",
        dashboard=False,
        local_directory=scene.spool,
        plugins=(AgentPlugin(spool=scene.spool, make_agent=make_agent),),
    )


async def _serve(scene: Scene, notes: Notes) -> None:
    configure()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    turns = asyncio.Semaphore(_AT_ONCE)
    # One thread waits for input.  On real machines, threads that read a plan do not delay heartbeats of other machines.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    workers = [_make_worker(scene, name, notes) for name in scene.names]

    async def join(worker: TimedWorker) -> None:
        async with turns:
            await worker

    await asyncio.gather(*map(join, workers))
    print("ready", flush=True)
    while (await asyncio.to_thread(sys.stdin.readline)).strip() == "report":
        print(json.dumps({"sent": notes.sent, "stopped": notes.stopped, "bytes": notes.bytes_sent}), flush=True)
    await asyncio.gather(*(worker.close(timeout=1) for worker in workers))


if __name__ == "__main__":
    child.begin()
    uvloop.run(_serve(Scene(**json.loads(sys.stdin.readline())), Notes()))
