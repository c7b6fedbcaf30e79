"""Plays one run of a kind that plays a tape of operations."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Generic, TypeVar

from coordinator.fleet.api import Fleet
from coordinator.fleet.choice import FleetChoice
from coordinator.fleet.make import make_fleet
from coordinator.record.fleet import FleetRecord
from coordinator.run.api import Stage
from coordinator.run.conductor import Conductor
from coordinator.run.evidence import TapeMeasured
from coordinator.run.machines import open_fleet, place_on
from coordinator.run.own_cost import OwnCost
from coordinator.run.state import Interrupted
from coordinator.run.tapes import TapePlan, Tapes
from coordinator.run.traffic import Traffic
from coordinator.run.vm_watch import VmWatch
from deploy.ask import load_client
from deploy.vms.api import Deployment
from loadgen.model.target import Target
from loadgen.schedule.optape import OpTape

P = TypeVar("P", bound=TapePlan)


class TapePlayer(Generic[P]):
    """Plays a plan's tape: starts servers, prepares load machines, plays the traffic, compares the servers' logs."""

    def __init__(self, tapes: Tapes[P], choice: FleetChoice) -> None:
        self._tapes = tapes
        self._choice = choice
        self._conductor: Conductor | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped the run."""
        return self._conductor is not None and self._conductor.run.interrupted

    def interrupt(self) -> bool:
        """Stop the traffic and judge what was measured; returns False while there is no traffic to stop."""
        if self._conductor is None:
            return False
        self._conductor.post(Interrupted())
        return True

    async def play(self, stage: Stage[P]) -> TapeMeasured:
        """Play the plan.  Raises LoadgenError when the run cannot start."""
        fleet = self._fleet(stage)
        tape, deployment = await self._start_servers(stage)
        targets = deployment.targets
        stage.stack.callback(lambda: stage.notices.extend(fleet.problems))  # complete once the fleet is closed
        stage.stack.push_async_callback(fleet.close)
        await open_fleet(fleet, self._choice, stage.around.say)
        placed = await asyncio.to_thread(self._place, stage, fleet, targets)
        stage.learn(fleet=placed)
        traffic = Traffic(self._tapes, stage, fleet, placed, targets)
        await traffic.prepare(tape)
        self._conductor = traffic.conductor
        names = [target.name for target in targets]
        places = await asyncio.to_thread(deployment.places)
        async with VmWatch(places, names, self._conductor.timeline, traffic.observe) as watch:
            measured = await traffic.play()
        stage.notices += watch.notes
        if self._watching is not None:
            self._watching.cancel()  # a VM that dies after the traffic changes nothing that was measured
        return measured

    def _fleet(self, stage: Stage[P]) -> Fleet:
        return make_fleet(
            self._choice,
            stage.plan.engines,
            stage.plan.on_loss,
            run_id=stage.header.own_fleet.run_id,
            say=stage.around.say,
            on_log=stage.writer.log,
            early=stage.around.early,
        )

    async def _start_servers(self, stage: Stage[P]) -> tuple[asyncio.Task[OpTape], Deployment]:
        """Start the servers, and begin to compile the tape at the same time."""
        plan, around = stage.plan, stage.around
        deployment = self._tapes.deployment(plan, around.cache)
        await self._tapes.before_servers(plan, around, deployment.facts)
        tape = asyncio.create_task(asyncio.to_thread(self._compile, plan))
        stage.stack.push_async_callback(_give_up, tape)
        with OwnCost() as cost:
            await stage.stack.enter_async_context(deployment)
        servers = len(deployment.targets)
        stage.notices += cost.notes(f"the start of {servers} servers", servers)
        stage.notices += deployment.notices
        self._watching = asyncio.create_task(_watch(deployment, stage.notices))
        stage.stack.callback(self._watching.cancel)
        server = self._tapes.server_facts(deployment.facts)
        environment = dataclasses.replace(stage.header.environment, server=server)
        stage.header = dataclasses.replace(stage.header, targets=deployment.targets, environment=environment)
        return tape, deployment

    def _compile(self, plan: P) -> OpTape:
        workload = self._tapes.workload(plan)
        if workload.check(plan) is not None:
            load_client()
        return workload.compile(plan)

    def _place(self, stage: Stage[P], fleet: Fleet, targets: Sequence[Target]) -> FleetRecord:
        """Return which worker plays what.

        Machines that cannot carry their share are left out, or the run does not start.
        """
        plan = stage.plan
        placed, notices = place_on(
            fleet,
            stage.header.own_fleet,
            self._tapes.demand(plan, targets),
            phases=plan.phases,
            seed=plan.seed,
            on_loss=plan.on_loss,
        )
        stage.notices += notices
        return placed


async def _give_up(task: asyncio.Task[OpTape]) -> None:
    """Wait for a task that may have failed and whose result is not needed any more."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _watch(deployment: Deployment, notices: list[str]) -> None:
    async for death in deployment.deaths():
        notices.append(f"{death.name} died: {death.reason}")
