"""The interface of the kinds of tape runs, and the assignment of each engine."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from coordinator.fleet.api import MachineStatus
from coordinator.output.terminal.runview import Position
from coordinator.record.header import Plan
from coordinator.run.api import Around, Played
from coordinator.run.evidence import TapeMeasured
from coordinator.run.intake import Intake
from deploy.vms.api import Deployment, VmFacts
from loadgen.engine.api import MAX_ARRIVALS_PER_S, Arrivals, Assignment, Load
from loadgen.measure.ledger import Ledger
from loadgen.model.errors import FleetError, PlanError
from loadgen.model.plan import OnLoss, Phases
from loadgen.model.shard import share_out
from loadgen.model.target import Target
from loadgen.model.tls import TlsSettings
from loadgen.schedule.optape import OpTape
from loadgen.schedule.placement import Placement
from loadgen.verdict.ports import Demand
from loadgen.verdict.rules import Asked
from workloads.api import Workload


class TapePlan(Plan, Protocol):
    """The fields that the plans of all tape runs have.  Plans are dataclasses."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def phases(self) -> Phases:
        """The duration of each phase of the run."""

    @property
    def engines(self) -> int:
        """The number of engine processes on this machine, when this machine makes the load."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The source addresses of connections; () for the kernel's choice."""

    @property
    def canary(self) -> bool:
        """Whether each engine has a canary."""

    @property
    def on_loss(self) -> OnLoss:
        """The policy for the loss of a load machine."""

    @property
    def seed(self) -> int:
        """The seed of the tape and of the placement."""


P = TypeVar("P", bound=TapePlan)
P_contra = TypeVar("P_contra", bound=TapePlan, contravariant=True)


class Builder(Protocol):
    """Makes the values of the live view."""

    def build(
        self,
        ledger: Ledger,
        position: Position,
        notices: Sequence[str],
        machines: Sequence[MachineStatus],
        engine: str,
    ) -> Any:
        """Return the values for the run at `position`; `engine` names the engine, "" while it is not known."""


class Tapes(Protocol[P_contra]):
    """The interface of a kind of tape run."""

    def workload(self, plan: P_contra) -> Workload[P_contra]:
        """The workload that compiles the plan."""

    def demand(self, plan: P_contra, targets: Sequence[Target] = ()) -> Demand:
        """Return what the plan needs from load machines; `targets` are set when they are known."""

    def tls(self, plan: P_contra) -> TlsSettings:
        """Return what engines do in TLS.  Raises PlanError when a file of the plan cannot be read."""

    def load(self, plan: P_contra, part: int, parts: int) -> Load:
        """Return how engine number `part` of `parts` plays."""

    def asked(self, plan: P_contra, targets: Sequence[Target]) -> Asked:
        """Return the part of the plan that the judge compares with the measurements."""

    def deployment(self, plan: P_contra, cache: Path) -> Deployment:
        """Return the servers, not started.  Raises PlanError when this machine cannot run them."""

    async def before_servers(self, plan: P_contra, around: Around, facts: VmFacts) -> None:
        """Prepare what the servers need, and tell the user what is started."""

    def server_facts(self, facts: VmFacts) -> Mapping[str, Any]:
        """Return the facts about the servers, for the record."""

    def early_end(self, plan: P_contra, targets: Sequence[Target]) -> Callable[[Played[Any, TapeMeasured]], str]:
        """Return a function that says why a run in progress will not conform, whatever follows; "" while it may."""

    def builder(self, plan: P_contra, targets: Sequence[Target], server: str, placement: Placement) -> Builder:
        """Return the builder of the live view's values."""


def empty_intake(asked: Asked, placement: Placement) -> Intake:
    """Return an empty intake for a run in which the workers of `placement` play the plan."""
    return Intake.of(
        placement.workers,
        len(asked.kinds),
        len(asked.groups),
        connections=asked.connections,
        targets=len(asked.targets),
    )


def assignments(tapes: Tapes[P], plan: P, asked: Asked, placement: Placement, tape: OpTape) -> list[Assignment]:
    """Return the assignment of each worker.  A given number of operations is shared out by connections.

    Raises FleetError when an engine of an open loop has no connection to a target to which it must send, or and
    PlanError when the rate is too high for the engines.
    """
    shares = tuple(np.bincount(asked.target_of, minlength=len(asked.targets)).tolist())
    tls, parts = tapes.tls(plan), len(placement.workers)
    loads = [dataclasses.replace(tapes.load(plan, part, parts), tls=tls) for part in range(parts)]
    shards = [placement.shard(worker) for worker in placement.workers]
    if requests := max(load.requests for load in loads):
        own = share_out(requests, [len(shard.connections) for shard in shards])
        loads = [dataclasses.replace(load, requests=one) for load, one in zip(loads, own, strict=True)]
    if any(load.arrivals for load in loads):
        _check_reach(asked, placement)
        _check_rate([load.arrivals for load in loads if load.arrivals])
    return [
        Assignment(
            worker=worker,
            shard=shard,
            targets=tuple(asked.targets),
            shares=shares,
            tape=tape,
            load=load,
        )
        for worker, load, shard in zip(placement.workers, loads, shards, strict=True)
    ]


def _check_rate(of_engines: Sequence[Arrivals]) -> None:
    """Check the rate of an open loop: each engine counts the operations of its part, also those that it cannot send."""
    arrivals = of_engines[0]
    rate_per_s = max([max(begin, end) for _, begin, end in arrivals.ramps] or [arrivals.rate_per_s])
    if rate_per_s > len(of_engines) * MAX_ARRIVALS_PER_S:
        needed = math.ceil(rate_per_s / MAX_ARRIVALS_PER_S)
        engines = f"{len(of_engines)} engines" if len(of_engines) > 1 else "one engine"
        raise PlanError(
            f"the rate of {rate_per_s:,.12g}/s is too high for {engines}: "
            f"one engine can count {MAX_ARRIVALS_PER_S:,}/s",
            hint=f"use {needed} engines (--engines) or more load machines, or a lower rate",
        )


def _check_reach(asked: Asked, placement: Placement) -> None:
    """Check the connections of an open loop: there, every engine sends to all targets."""
    for number, worker in enumerate(placement.workers):
        reached = set(asked.target_of[placement.worker_of == number].tolist())
        if missing := set(range(len(asked.targets))) - reached:
            name = asked.targets[min(missing)].name
            raise FleetError(
                f"engine {worker} has no connection to {name}, but has to send requests there",
                hint="give more connections (-c) or fewer engines (--engines)",
            )
