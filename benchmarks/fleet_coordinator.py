"""One measurement for benchmarks/fleet.py: a coordinator with a given number of simulated machines.

The coordinator does the same work as the conductor during a run: every event is filed and recorded, and a view is built
twice a second (but not drawn).

in:   a JSON object (see `Question`) as the only argument
out:  the figures as a JSON object
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import math
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))  # when run as a script

from benchmarks.fleet_machines import HOST, Question, SimulatedWay
from benchmarks.fleet_profile import Sampler
from coordinator.fleet.admission import admit
from coordinator.fleet.api import Prepare, Start, Stop
from coordinator.fleet.dask.fleet import DaskFleet
from coordinator.kinds.spec.kind import SpecKind
from coordinator.output.terminal.build import ViewBuilder
from coordinator.output.terminal.runview import Position
from coordinator.record.writer import RecordWriter
from coordinator.run.intake import Intake
from coordinator.run.memory import settle_memory
from coordinator.run.tapes import assignments
from loadgen.engine.api import Segment
from loadgen.host import child
from loadgen.measure.events import AgentEvent, EngineLost, SegmentBegan, SegmentEnded
from loadgen.measure.together import Snapshots
from loadgen.model.errors import LoadgenError
from loadgen.model.plan import OnLoss, SpecPlan
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.ports import Demand
from workloads.specweb99.compile import compile_tape
from workloads.specweb99.mix import GROUPS, KINDS

_REFRESH_S = 0.5
_SETTLE_S = 2.0
_SHORT_S = 1.2
_LAST_WORDS_S = 3.0
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # real machines' spools are not all on one disk
_STOPS_AT_S = (0.12, 0.35, 0.7)
"""When the fleet is stopped, as part of a second: during the heartbeats, after them, and while nothing is sent."""


@dataclass(slots=True)
class Ends:
    """What the fleet reported: the time of each snapshot (by worker and interval), and each worker's end."""

    came_ns: dict[tuple[str, int], int] = field(default_factory=dict)
    began_ns: dict[int, list[int]] = field(default_factory=dict)
    ended: dict[int, set[str]] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Measurement:
    """A measurement of one run with an open fleet."""

    def __init__(self, question: Question, fleet: DaskFleet, way: SimulatedWay, directory: Path) -> None:
        self._question = question
        self._fleet = fleet
        self._way = way
        self._plan = SpecPlan(vms=question.targets, connections=question.connections * question.agents)
        self._targets = tuple(Target(name=f"vm{i}", host=HOST, port=9000 + i) for i in range(question.targets))
        self._writer = RecordWriter(directory, {})
        self._ends = Ends()
        self._inbox: asyncio.Queue[AgentEvent] = asyncio.Queue()
        self._views = 0
        self._intake = self._intake_of(())
        self._iteration = -1
        self._origin_ns = 0

    async def run(self) -> dict[str, Any]:
        """Play the run and return its figures by name."""
        question = self._question
        figures: dict[str, Any] = {}
        began_s = time.monotonic()
        demand = Demand(
            hosts=tuple(target.host for target in self._targets), shares=(self._plan.connections,) * question.targets
        )
        # Each agent stands for a machine with cores of its own for its engines.
        machines = [dataclasses.replace(one, cores=question.engines) for one in self._fleet.machines]
        placement, refused = await asyncio.to_thread(admit, machines, demand, self._plan.seed, 60.0)
        assert not refused, refused
        figures["admit_s"] = time.monotonic() - began_s
        tape = await asyncio.to_thread(compile_tape, SpecPlan(vms=question.targets, connections=question.connections))
        kind = SpecKind()
        asked = kind.asked(self._plan, self._targets)
        self._placement = placement
        given = await asyncio.to_thread(assignments, kind, self._plan, asked, placement, tape)
        began_s = time.monotonic()
        await self._fleet.command(Prepare(given))
        figures["prepare_s"] = time.monotonic() - began_s
        settle_memory()
        self._intake = self._intake_of(placement.workers)
        tasks = [asyncio.create_task(work) for work in (self._pump(), self._consume(), self._show())]
        try:
            figures |= await self._play(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._writer.close()
        return figures

    def _intake_of(self, workers: Sequence[str]) -> Intake:
        return Intake.of(
            workers,
            len(KINDS),
            len(GROUPS),
            connections=self._plan.total_connections,
            targets=len(self._targets),
        )

    async def _play(self, tasks: list[asyncio.Task[None]]) -> dict[str, Any]:
        began_s = time.monotonic()
        await self._start(0)
        started_s = time.monotonic() - began_s
        await asyncio.sleep((self._origin_ns - time.monotonic_ns()) / NS_PER_S + _SETTLE_S)
        steady = await self._steady()
        stopped_ns = []
        for number, at_s in enumerate(_STOPS_AT_S[: self._question.stops]):
            if number:
                await self._start(number)
                await asyncio.sleep(_SHORT_S + self._fleet.lead_ns / NS_PER_S)
            stopped_ns.append(await self._stop(number, at_s))
        for task in tasks:
            if task.done():
                task.result()
        notes = await self._way.notes()
        return {
            "start_s": started_s,
            **steady,
            **self._latencies(notes),
            "stop_ms": [
                max(self._arrivals_ms(notes, number, at_ns), default=math.inf)
                for number, at_ns in enumerate(stopped_ns)
            ],
            "start_skew_ms": max((max(one) - min(one)) / NS_PER_MS for one in self._ends.began_ns.values()),
            **self._clocks(),
            "losses": len(self._ends.lost),
            "why_lost": dict(list(self._ends.lost.items())[:3]),
            "views": self._views,
        }

    async def _start(self, number: int) -> None:
        start_ns = time.monotonic_ns() + self._fleet.lead_ns
        self._origin_ns = self._origin_ns or start_ns
        end_ns = start_ns + 3600 * NS_PER_S
        segment = Segment(
            index=number,
            origin_ns=self._origin_ns,
            start_ns=start_ns,
            window_start_ns=start_ns,
            window_end_ns=end_ns,
            end_ns=end_ns,
        )
        self._iteration = number
        await self._fleet.command(Start(segment))

    async def _steady(self) -> dict[str, Any]:
        sampler = Sampler() if self._question.profile else None
        cpu_s, agents_s, wall_s = time.process_time(), self._way.cpu_s(), time.monotonic()
        with sampler or contextlib.nullcontext():
            await asyncio.sleep(self._question.seconds)
        cpu_s, agents_s, wall_s = time.process_time() - cpu_s, self._way.cpu_s() - agents_s, time.monotonic() - wall_s
        found: dict[str, Any] = {
            "cpu_share": cpu_s / wall_s,
            "agents_cpu_share": agents_s / wall_s,
            "rss_mb": _rss_bytes() / 1e6,
        }
        if sampler is not None:
            found["profile"] = sampler.shares()
        return found

    async def _stop(self, number: int, at_s: float) -> int:
        """Stop the run at this part of a second, and wait until all workers have reported their end.

        Returns the time of the command.
        """
        since_s = (time.monotonic_ns() - self._origin_ns) / NS_PER_S % 1
        await asyncio.sleep((at_s - since_s) % 1)
        at_ns = time.monotonic_ns()
        await self._fleet.command(Stop())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                while len(self._ends.ended.get(number, ())) < self._question.agents * self._question.engines:
                    self._ends.news.clear()
                    await self._ends.news.wait()
        return at_ns

    async def _pump(self) -> None:
        while True:
            self._inbox.put_nowait(await self._fleet.event())

    async def _consume(self) -> None:
        while True:
            events = [await self._inbox.get()]
            while not self._inbox.empty():
                events.append(self._inbox.get_nowait())
            now_ns = time.monotonic_ns()
            for event in events:
                self._note(event, now_ns)
            self._writer.append([event for event in events if isinstance(event, Snapshots)])

    def _note(self, event: AgentEvent, now_ns: int) -> None:
        match event:
            case Snapshots():
                for worker, interval in zip(event.workers, event.intervals, strict=True):
                    self._ends.came_ns.setdefault((worker, interval), now_ns)
                self._intake.receive_all(event)
            case SegmentBegan(_, segment, at_ns):
                self._ends.began_ns.setdefault(segment, []).append(at_ns)
            case SegmentEnded(worker, segment, _):
                self._ends.ended.setdefault(segment, set()).add(worker)
                self._ends.news.set()
            case EngineLost(worker, why):
                self._ends.lost[worker] = why
                self._intake.ledger.lost(worker, self._intake.ledger.reported_through(worker) + 1)

    async def _show(self) -> None:
        builder = ViewBuilder(self._plan, self._targets, self._placement, title="benchmark")
        while True:
            elapsed_s = max(0.0, (time.monotonic_ns() - self._origin_ns) / NS_PER_S) if self._origin_ns else 0.0
            position = Position(
                phase="measuring",
                iteration=self._iteration,
                iterations=len(_STOPS_AT_S),
                phase_elapsed_s=elapsed_s,
                phase_length_s=3600.0,
                elapsed_s=elapsed_s,
                total_s=3600.0,
            )
            builder.build(self._intake.ledger, position, [], self._fleet.status())
            self._views += 1
            await asyncio.sleep(_REFRESH_S)

    def _latencies(self, notes: list[dict[str, Any]]) -> dict[str, Any]:
        took_ms = [
            (self._ends.came_ns[worker, int(interval)] - sent_ns) / NS_PER_MS
            for note in notes
            for worker, by_interval in note["sent"].items()
            for interval, sent_ns in by_interval.items()
            if (worker, int(interval)) in self._ends.came_ns
        ]
        told = sum(len(by_interval) for note in notes for by_interval in note["sent"].values())
        snapshot_bytes = sum(note["bytes"] for note in notes) / max(1, told) * self._question.engines
        p50, p99 = np.percentile(took_ms, [50, 99]) if took_ms else (math.nan, math.nan)
        return {
            "snapshot_p50_ms": float(p50),
            "snapshot_p99_ms": float(p99),
            "snapshots": len(took_ms),
            "snapshots_missing": told - len(took_ms),
            "machine_kb_per_s": snapshot_bytes / 1e3,
        }

    @staticmethod
    def _arrivals_ms(notes: list[dict[str, Any]], number: int, at_ns: int) -> list[float]:
        """Return the delay of stop number `number` at each machine, in ms; infinity where it did not arrive."""
        return [
            (stops[number] - at_ns) / NS_PER_MS if number < len(stops) else math.inf
            for note in notes
            for stops in note["stopped"].values()
        ]

    def _clocks(self) -> dict[str, float]:
        """Check the clocks: all machines share one clock, so each offset must be 0 within its reported error."""
        clocks = self._fleet.clocks().values()
        return {
            "clock_offset_ms": max(abs(clock.offset_ns) for clock in clocks) / NS_PER_MS,
            "clock_error_ms": max(clock.error_ns for clock in clocks) / NS_PER_MS,
            "clocks_true": all(abs(clock.offset_ns) <= clock.error_ns for clock in clocks),
        }


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _measure(question: Question) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="loadgen-bench-", dir=_MEMORY) as scratch:
        directory = Path(scratch)
        way = SimulatedWay(question, directory / "spool")
        fleet = DaskFleet(way, run_id=secrets.token_hex(8), engines=question.engines, on_loss=OnLoss.DEGRADE)
        began_s = time.monotonic()
        try:
            await fleet.open()
            opened_s = time.monotonic() - began_s
            figures = await Measurement(question, fleet, way, directory / "record").run()
        except LoadgenError as error:
            whys = Counter([*(one.why for one in fleet.status() if one.why), *fleet.missing.values()])
            raise SystemExit(f"{error.message[:300]}: {whys.most_common(5)}") from error
        finally:
            began_s = time.monotonic()
            await fleet.close()
        return {
            "agents": question.agents,
            "join_s": way.joined_s,
            "hello_s": opened_s - way.joined_s,
            **figures,
            "missing": len(fleet.missing),
            "problems": list(fleet.problems)[:3],
            "close_s": time.monotonic() - began_s,
        }


if __name__ == "__main__":
    child.begin()
    asked = Question(**json.loads(sys.argv[1]))
    os.sched_setaffinity(0, {asked.core})
    print(json.dumps(uvloop.run(_measure(asked))))
