"""Compiles and plays the operations of a tape run."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from coordinator.faults import say_stopped
from coordinator.fleet.api import Fleet, Prepare
from coordinator.output.terminal.engines import engine_title
from coordinator.output.terminal.runview import Position
from coordinator.record.fleet import FleetRecord
from coordinator.record.writer import VM_COUNTERS
from coordinator.run.api import Played, Stage
from coordinator.run.audit import Auditor
from coordinator.run.conductor import Conductor, Hooks
from coordinator.run.evidence import TapeMeasured, start_skews_ns
from coordinator.run.machines import say_lost, with_engines
from coordinator.run.memory import settle_memory
from coordinator.run.own_cost import OwnCost
from coordinator.run.state import Ready, RunState
from coordinator.run.tapes import TapePlan, Tapes, assignments, empty_intake
from loadgen.measure.events import EngineReady
from loadgen.measure.vm_second import VmSecond, VmWeights
from loadgen.model.target import Target
from loadgen.schedule.optape import OpTape

P = TypeVar("P", bound=TapePlan)

_CUT_OFF = "the traffic was cut off by a bug of loadgen, please report it"


class Traffic(Generic[P]):
    """Compiles the tape, passes it to the engines, and plays it.  Handles all values that are shown or recorded."""

    def __init__(
        self, tapes: Tapes[P], stage: Stage[P], fleet: Fleet, record: FleetRecord, targets: Sequence[Target]
    ) -> None:
        plan = stage.plan
        self._tapes = tapes
        self._stage = stage
        self._fleet = fleet
        self._record = record
        self._asked = tapes.asked(plan, targets)
        self._intake = empty_intake(self._asked, record.placement)
        self._auditor = Auditor(tapes.workload(plan).check(plan), self._asked, self._intake.ledger)
        server = str(stage.header.environment.server.get("kind", ""))
        self._targets = targets
        self._why_early: Callable[[Played[Any, TapeMeasured]], str] | None = None
        self._asked_through = -1  # the last interval after which it was asked whether the run may end early
        self._blind = False  # a bug in what is shown, which was said
        self._builder = tapes.builder(plan, targets, server, record.placement)
        self.conductor = Conductor(
            RunState(frozenset(record.placement.workers), plan.phases.iterations, plan.on_loss),
            fleet,
            self._intake,
            plan.phases,
            Hooks(
                ready=self._on_ready,
                reset=self._auditor.reset,
                audit=self._auditor.audit,
                keep=stage.writer.append,
                observe=stage.writer.observe,
                show=self._show,
                early=self._early,
            ),
        )

    async def prepare(self, tape: Awaitable[OpTape]) -> None:
        """Wait for the compiled tape and pass each engine its assignment.

        Raises LoadgenError when an engine refuses its assignment.
        """
        stage, plan = self._stage, self._stage.plan
        stage.around.say(f"compiling the operations of {self._asked.connections:,} connections (seed {plan.seed})")
        compiled = await tape
        if stage.ends_early:
            self._why_early = await asyncio.to_thread(self._tapes.early_end, plan, self._targets)
        # In a thread, because leases must be renewed at the same time: with hundreds of machines this takes seconds.
        given = await asyncio.to_thread(assignments, self._tapes, plan, self._asked, self._record.placement, compiled)
        # In this order: the engines get ready while the memory of this process settles.
        await asyncio.gather(self._fleet.command(Prepare(given)), _settle_memory())

    async def play(self) -> TapeMeasured:
        """Play all iterations, or until the user, the loss of all workers or a bug of loadgen ends the run."""
        with self._stage.around.view, OwnCost() as cost:
            self.conductor.post(Ready())
            await self.conductor.conduct()
        servers = len(self._asked.targets)
        self._stage.notices += cost.notes(f"the traffic to {servers} servers, with what is asked of them,", servers)
        return self._measured()

    def _measured(self) -> TapeMeasured:
        stage, conductor = self._stage, self.conductor
        run = conductor.run
        stage.notices += self._auditor.problems
        if (error := conductor.broken) is not None:
            stage.notices.append(f"{_CUT_OFF}: {type(error).__name__}: {error}")
            for line in traceback.format_exception(error):
                stage.writer.log("coordinator", line.rstrip())
        if run.stalled:
            stage.notices.append(f"traffic stopped by itself: {run.stalled}")
        stage.notices += [f"{text} ({count:,} times)" for text, count in sorted(conductor.remarks.items())]
        used = dataclasses.replace(
            with_engines(self._record, conductor.engines),
            clocks={**self._record.clocks, **self._fleet.clocks()},
            start_skew_ns=start_skews_ns(conductor.timeline.began_ns),
        )
        stage.header = dataclasses.replace(stage.header, fleet=used)
        return self._so_far()

    def _so_far(self) -> TapeMeasured:
        conductor = self.conductor
        run, timeline = conductor.run, conductor.timeline
        return TapeMeasured(
            intake=self._intake,
            measured_ns=timeline.measured_ns(time.monotonic_ns()),
            complete=frozenset(run.complete),
            lost=dict(run.lost),
            gone={
                iteration: frozenset(one for one in run.lost if self._intake.ledger.reported_through(one) < last)
                for iteration, last in timeline.last_intervals().items()
            },
            log_checks=self._auditor.checks,
            began_ns=timeline.began_ns,
            shared=tuple(conductor.shared),
            canaries=tuple(conductor.canaries),
            handshakes=(
                sum(full for full, _ in conductor.handshakes.values()),
                sum(resumed for _, resumed in conductor.handshakes.values()),
            ),
            done=frozenset(one for one in timeline.segments if timeline.is_done(one)),
            early=run.early,
        )

    def _early(self) -> str:
        """Return why the run may be stopped now; "" while it may not, and when a worker was lost."""
        through = self._intake.ledger.complete_through()
        if self._why_early is None or through <= self._asked_through or self.conductor.run.lost:
            return ""
        self._asked_through = through
        return self._why_early(Played(header=self._stage.header, measured=self._so_far(), interrupted=False))

    def observe(self, read: VmSecond | VmWeights) -> None:
        """File and record what the kernel counted for the VMs."""
        self._intake.observe(read)
        self._stage.writer.observe(read, VM_COUNTERS)

    def _on_ready(self, engines: Mapping[str, EngineReady]) -> None:
        self._stage.learn(fleet=with_engines(self._record, engines))

    def _show(self, position: Position) -> None:
        if self._blind:
            return
        try:
            self._stage.around.view.update(self._seen(position))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with what is shown, the run goes on
            self._blind = True
            say_stopped("the live view", error, self._stage.around.say)

    def _seen(self, position: Position) -> Any:
        conductor, machines = self.conductor, self._fleet.status()
        notices = [*self._stage.notices, *say_lost(machines, conductor.run.lost)]
        engine = engine_title(conductor.engines.values())
        return self._builder.build(self._intake.ledger, position, notices, machines, engine)


async def _settle_memory() -> None:
    settle_memory()
