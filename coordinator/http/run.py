"""One `loadgen http` run: servers reached, tape, fleet, traffic, judgement, record."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from coordinator.conductor import Conductor, Hooks
from coordinator.fleet.api import Fleet, Prepare
from coordinator.fleet.choice import FleetChoice, WayKind, make_fleet
from coordinator.frame import after_the_run, open_fleet, place_on, say_lost, stall_notes, with_engines
from coordinator.here import settle_here
from coordinator.http.judge import ANY_TIME, HttpEvidence, intake_for, judge
from coordinator.http.reach import reach
from coordinator.memory import settle_memory
from coordinator.output.hdr import write_files
from coordinator.output.judged import Judged
from coordinator.output.terminal.engines import engine_title
from coordinator.output.terminal.http_view import HttpView, HttpViewBuilder
from coordinator.output.terminal.live import View
from coordinator.output.terminal.runview import Position
from coordinator.record.document import finished, unfinished
from coordinator.record.environment import collect
from coordinator.record.fleet import FleetRecord
from coordinator.record.header import KIND_HTTP, Header
from coordinator.record.writer import RecordWriter
from coordinator.run import Interrupted, Ready, Run
from loadgen.engine.api import Arrivals, Assignment, EngineKind, Load, Timestamps
from loadgen.measure.events import EngineReady
from loadgen.model.errors import FleetError
from loadgen.model.http_plan import HttpPlan
from loadgen.schedule.optape import OpTape
from loadgen.schedule.placement import Placement
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.ports import Demand
from workloads.http.compile import compile_http


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`say` tells the user what is being prepared; `view` shows the run; `hdr` are files to write at its end."""

    command_line: tuple[str, ...]
    say: Callable[[str], None]
    view: View[HttpView]
    hdr: Sequence[Path] = ()


@dataclass(slots=True)
class HttpRun:
    """See the module.  `notices` are what the user should know, in words, as they come up."""

    plan: HttpPlan
    choice: FleetChoice
    directory: Path
    around: Surroundings
    notices: list[str] = field(default_factory=list)
    _conductor: Conductor | None = None

    def interrupt(self) -> bool:
        """Stop the traffic and judge what there is; False while there is no traffic to stop."""
        if self._conductor is None:
            return False
        self._conductor.post(Interrupted())
        return True

    async def run(self) -> Judged[HttpPlan, HttpResult]:
        """Play the plan.  What could not be recorded is among the result's notes.

        Raises LoadgenError when the run cannot be begun; from then on everything ends in the result.
        """
        if self.choice.way is WayKind.LOCAL:
            tls = any(target.tls for target in self.plan.targets)
            found, notices = settle_here(_demand(self.plan), _load(self.plan, 0, 1), self.plan.engines, tls=tls)
            self.plan = dataclasses.replace(self.plan, sources=found.sources)
            self.notices += notices
        plan, around = self.plan, self.around
        header = Header(
            kind=KIND_HTTP,
            started_at=_now(),
            plan=plan,
            targets=plan.targets,
            environment=collect(command_line=around.command_line),
            fleet=FleetRecord(way=self.choice.way.value, run_id=secrets.token_hex(8), hosts=self.choice.host_tables()),
        )
        with RecordWriter(self.directory, unfinished(header)) as writer:
            fleet = make_fleet(
                self.choice,
                plan.engines,
                plan.on_loss,
                run_id=header.own_fleet.run_id,
                say=around.say,
                on_log=writer.log,
            )
            async with AsyncExitStack() as stack:
                self.notices += await reach(plan.targets, verify=plan.tls_verify)
                stack.push_async_callback(fleet.close)
                await open_fleet(fleet, self.choice, around.say)
                header = dataclasses.replace(header, fleet=await asyncio.to_thread(self._place, header, fleet))
                writer.rewrite(unfinished(header))
                header, result = await self._play(header, fleet, writer)
            played = Judged(path=self.directory, document=unfinished(header), header=header, result=result)
            unwritten = write_files(around.hdr, played) if around.hdr else []
            result = dataclasses.replace(result, notes=(*result.notes, *fleet.problems, *writer.problems, *unwritten))
            told = len(writer.problems)
            document = finished(header, result, finished_at=_now())
            writer.rewrite(document)
            for problem in writer.problems[told:]:
                around.say(problem)
            return dataclasses.replace(played, document=document, result=result)

    def _place(self, header: Header[HttpPlan], fleet: Fleet) -> FleetRecord:
        """Which worker plays what; machines that can't carry their share are left out, or the run is not begun."""
        plan = self.plan
        placed, notices = place_on(
            fleet, header.own_fleet, _demand(plan), phases=plan.phases, seed=plan.seed, on_loss=plan.on_loss
        )
        self.notices += notices
        return placed

    async def _play(
        self, header: Header[HttpPlan], fleet: Fleet, writer: RecordWriter
    ) -> tuple[Header[HttpPlan], HttpResult]:
        plan, placement = self.plan, header.own_fleet.placement
        tape = await asyncio.to_thread(compile_http, plan)
        # In threads, for leases must be renewed meanwhile: with hundreds of machines this takes seconds.
        await fleet.command(Prepare(await asyncio.to_thread(http_assignments, plan, placement, tape)))
        settle_memory()
        intake = intake_for(plan, placement.workers)
        builder = HttpViewBuilder(plan, title=title(plan))
        with self.around.view as view:

            def show(position: Position) -> None:
                machines = fleet.status()
                notices = [*self.notices, *say_lost(machines, run.lost)]
                engine = engine_title(conductor.engines.values())
                view.update(builder.build(intake.ledger, position, notices, machines, engine))

            def ready(engines: Mapping[str, EngineReady]) -> None:
                known = dataclasses.replace(header, fleet=with_engines(header.own_fleet, engines))
                writer.rewrite(unfinished(known))

            hooks = Hooks(ready=ready, reset=_nothing, audit=_nothing, keep=writer.append, show=show)
            run = Run(frozenset(placement.workers), 1, plan.on_loss)
            conductor = self._conductor = Conductor(run, fleet, intake, plan.phases, hooks)
            conductor.post(Ready())
            await conductor.conduct()
        used = after_the_run(fleet, header.own_fleet, conductor)
        evidence = HttpEvidence(
            plan=plan,
            fleet=used,
            intake=intake,
            measured_ns=conductor.timeline.measured_ns(time.monotonic_ns()),
            complete=0 in run.complete,
            interrupted=run.interrupted,
            lost=dict(run.lost),
            began_ns=conductor.timeline.began_ns,
            shared=tuple(conductor.shared),
            notes=(*self.notices, *stall_notes(conductor)),
        )
        return dataclasses.replace(header, fleet=used), judge(evidence)


def http_assignments(plan: HttpPlan, placement: Placement, tape: OpTape) -> list[Assignment]:
    """What each worker gets.  Raises FleetError when one lacks a connection for its part of a rate."""
    parts = len(placement.workers)
    return [
        Assignment(
            worker=worker,
            shard=placement.shard(worker),
            targets=plan.targets,
            shares=tuple(plan.shares),
            tape=tape,
            load=_load(plan, part, parts),
        )
        for part, worker in enumerate(_each_with_all_targets(plan, placement))
    ]


def _each_with_all_targets(plan: HttpPlan, placement: Placement) -> tuple[str, ...]:
    if plan.rate_per_s:
        target_of = [target for target, share in enumerate(plan.shares) for _ in range(share)]
        for number, worker in enumerate(placement.workers):
            reached = {target for target, of in zip(target_of, placement.worker_of, strict=True) if of == number}
            if missing := set(range(len(plan.targets))) - reached:
                name = plan.targets[min(missing)].name
                raise FleetError(
                    f"engine {worker} has no connection to {name}, and has to send requests there",
                    hint="give more connections (-c) or fewer engines",
                )
    return placement.workers


def _demand(plan: HttpPlan) -> Demand:
    """What the plan asks of load machines; how often servers close connections is theirs to know."""
    return Demand(hosts=tuple(target.host for target in plan.targets), shares=tuple(plan.shares), sources=plan.sources)


def _load(plan: HttpPlan, part: int, parts: int) -> Load:
    arrivals = Arrivals(
        rate_per_s=plan.rate_per_s,
        poisson=plan.poisson,
        seed=plan.seed,
        part=part,
        parts=parts,
        max_backlog=plan.max_backlog,
    )
    return Load(
        line_bps=0,
        bound=ANY_TIME,
        timeout_ns=plan.timeout_ns,
        arrivals=arrivals if plan.rate_per_s else None,
        timestamps=Timestamps(plan.timestamps),
        sources=plan.sources,
        tls_verify=plan.tls_verify,
        engine=EngineKind(plan.engine),
    )


def title(plan: HttpPlan) -> str:
    """What is run, in a line."""
    what = plan.requests[0].name if len(plan.requests) == 1 else f"{len(plan.requests)} requests"
    how = f"{plan.rate_per_s:,g}/s{' Poisson' if plan.poisson else ''} over " if plan.rate_per_s else ""
    return f"loadgen http · {what} · {how}{plan.connections} connections"


async def _nothing(iteration: int) -> None:
    """Servers of this kind are not reset, and have no log to compare."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
