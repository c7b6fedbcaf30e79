"""The common base of the kinds `spec` and `http`."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from coordinator.fleet.choice import FleetChoice, WayKind
from coordinator.output.terminal.live import View
from coordinator.record.header import Header
from coordinator.run.api import Around, Played, Player
from coordinator.run.evidence import TapeEvidence, TapeMeasured
from coordinator.run.here import settle_here
from coordinator.run.tape_player import TapePlayer
from coordinator.run.tapes import Builder, TapePlan, empty_intake
from deploy.vms.api import Deployment, VmFacts
from loadgen.engine.api import Load
from loadgen.measure.disturbance import MachineSecond
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.vm_second import VmSecond, VmWeights
from loadgen.model.target import Target
from loadgen.model.tls import TlsSettings
from loadgen.model.units import NS_PER_S
from loadgen.schedule.placement import Placement
from loadgen.verdict.ports import Demand
from loadgen.verdict.result import Check, Verdict
from loadgen.verdict.rules import Asked
from loadgen.verdict.run import say_failed
from workloads.api import Workload
from workloads.catalog import choose

LEAST_NS = 3 * NS_PER_S
"""How much of a window is played in any case: figures of less than that vary."""


class _Judged(Protocol):
    @property
    def verdict(self) -> Verdict: ...


P = TypeVar("P", bound=TapePlan)
R = TypeVar("R", bound=_Judged)


class TapeKind(abc.ABC, Generic[P, R]):
    """A kind of run that plays operation tapes.  See coordinator.run.tapes.Tapes."""

    name: str

    def workload(self, plan: P) -> Workload[P]:
        """The workload that has the name of this kind."""
        return choose(self.name)

    @abc.abstractmethod
    def planned_targets(self, plan: P) -> Sequence[Target]:
        """Return the targets that the plan names; () when the run starts its servers itself."""

    @abc.abstractmethod
    def shares(self, plan: P, targets: Sequence[Target]) -> Sequence[int]:
        """Return the number of connections to each target."""

    @abc.abstractmethod
    def hosts(self, plan: P, targets: Sequence[Target]) -> Sequence[str]:
        """Return the address of each target."""

    @abc.abstractmethod
    def load(self, plan: P, part: int, parts: int) -> Load:
        """Return how engine number `part` of `parts` plays."""

    def tls(self, plan: P) -> TlsSettings:
        """Return the defaults: by default, a kind has no certificates of its own."""
        return TlsSettings()

    @abc.abstractmethod
    def deployment(self, plan: P, cache: Path) -> Deployment:
        """Return the servers, not started.  Raises PlanError when this machine cannot run them."""

    @abc.abstractmethod
    def builder(self, plan: P, targets: Sequence[Target], server: str, placement: Placement) -> Builder:
        """Return the builder of the live view's values."""

    @abc.abstractmethod
    def judge(self, played: Played[P, TapeMeasured]) -> R:
        """Return the result of a run."""

    @abc.abstractmethod
    def missed(self, plan: P, targets: Sequence[Target]) -> Callable[[TapeMeasured], Check | None]:
        """Return a function that names a check of the servers that will fail, whatever follows; as it is at best."""

    def early_end(self, plan: P, targets: Sequence[Target]) -> Callable[[Played[P, TapeMeasured]], str]:
        """Return a function that says why a run in progress will not conform, whatever follows; "" while it may.

        A run whose load generator cannot be trusted so far is not stopped: that may change.
        """
        missed = self.missed(plan, targets)

        def why(played: Played[P, TapeMeasured]) -> str:
            if (check := missed(played.measured)) is None:
                return ""
            said = f"at best, {say_failed(check)}"
            ended = dataclasses.replace(played, measured=dataclasses.replace(played.measured, early=said))
            return said if self.judge(ended).verdict is Verdict.NOT_CONFORMING else ""

        return why

    @abc.abstractmethod
    def open_view(self, console: Console) -> View[Any]:
        """Return the live view on a terminal; elsewhere, a view that prints plain lines."""

    async def before_servers(self, plan: P, around: Around, facts: VmFacts) -> None:
        """Do nothing: servers that run already need no preparation."""

    def server_facts(self, facts: VmFacts) -> Mapping[str, Any]:
        """Return the facts of servers that run already: nothing is known about them."""
        return {}

    def demand(self, plan: P, targets: Sequence[Target] = ()) -> Demand:
        """Return what the plan needs from load machines; `targets` are set when they are known."""
        targets = targets or self.planned_targets(plan)
        workload = self.workload(plan)
        lanes = workload.counting(plan).lanes
        return Demand(
            hosts=tuple(self.hosts(plan, targets)),
            shares=tuple(self.shares(plan, targets)),
            connects_per_s=workload.connects_per_s(plan) / lanes,
            sources=plan.sources,
            lanes=lanes,
        )

    def asked(self, plan: P, targets: Sequence[Target]) -> Asked:
        """Return the part of the plan that the judge compares with the measurements."""
        targets = targets or self.planned_targets(plan)
        shares, counting = self.shares(plan, targets), self.workload(plan).counting(plan)
        return Asked(
            targets=targets,
            target_of=np.repeat(np.arange(len(shares), dtype=np.int32), shares),
            kinds=counting.kinds,
            groups=counting.groups,
            kind_shares=counting.kind_shares,
            bound=self.load(plan, 0, 1).bound,
            connects=counting.connects,
            unmixed=counting.unmixed,
        )

    def settle(self, plan: P, fleet: FleetChoice | None) -> tuple[P, tuple[str, ...]]:
        """When this machine makes the load, choose source addresses that have enough ports."""
        if fleet is None or fleet.way is not WayKind.LOCAL:
            return plan, ()
        tls = any(target.tls for target in self.planned_targets(plan))
        found, notices = settle_here(self.demand(plan), self.load(plan, 0, 1), plan.engines, tls=tls)
        return dataclasses.replace(plan, sources=found.sources), tuple(notices)

    def player(self, plan: P, fleet: FleetChoice | None, around: Around) -> Player[P, TapeMeasured]:
        """Return a player of the plan's tape."""
        return TapePlayer(self, fleet or FleetChoice())

    def rows(self, played: Played[P, TapeMeasured]) -> NDArray[np.void] | None:
        """Return None: by default, a kind records no rows of connections."""
        return None

    def evidence(self, played: Played[P, TapeMeasured]) -> TapeEvidence:
        """Return the run as evidence about its load generator."""
        header = played.header
        return TapeEvidence(
            asked=self.asked(header.plan, header.targets),
            fleet=header.own_fleet,
            measured=played.measured,
            sources=header.plan.sources,
            timings=self.workload(header.plan).timings(header.plan),
            line_bps=self.load(header.plan, 0, 1).line_bps,
            canary=header.plan.canary,
            emulated_vms=len(header.targets) if header.environment.server.get("emulated") else 0,
        )

    def restore(
        self, header: Header[P], measured: Iterable[MachineSecond | VmSecond | VmWeights | Snapshot]
    ) -> Played[P, TapeMeasured]:
        """Rebuild what an unfinished run measured from the seconds of its load machines and VMs, and its snapshots.

        The last window that was begun is incomplete; every worker has finished the windows before it.  Raises
        ValueError when a snapshot does not match the plan.
        """
        intake = empty_intake(self.asked(header.plan, header.targets), header.own_fleet.placement)
        seen: dict[int, list[int]] = {}
        for snapshot in measured:
            if isinstance(snapshot, MachineSecond | VmSecond | VmWeights):
                intake.observe(snapshot)
            elif snapshot.worker in intake.ledger.workers:
                intake.receive(snapshot)
                # Not by the tallies: an operation before a window may reach into it.
                for window in {window for window, _ in snapshot.cells}:
                    seen.setdefault(window, []).append(snapshot.interval)
        windows, whole_ns = range(max(seen, default=-1) + 1), header.plan.phases.measure_ns
        seen_ns = {w: (max(seen[w]) - min(seen[w]) + 1) * NS_PER_S for w in windows if w in seen}
        return Played(
            header=header,
            measured=TapeMeasured(
                intake=intake,
                measured_ns={w: whole_ns if w < windows[-1] else min(whole_ns, seen_ns[w]) for w in windows},
                complete=frozenset(windows[:-1]),
            ),
            interrupted=True,
        )
