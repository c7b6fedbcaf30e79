"""What was gathered during a run of any kind, as evidence on its load generator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coordinator.fleet.api import say_machine_lost
from coordinator.fleet.local import LOCAL
from coordinator.record.fleet import FleetRecord
from loadgen.measure.cells import CellTable
from loadgen.measure.events import CoresShared
from loadgen.measure.histogram import Histogram
from loadgen.measure.ledger import Ledger, Totals
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import Snapshots
from loadgen.model.machine import Machine
from loadgen.model.target import Target
from loadgen.verdict.ports import LocalPorts, is_loopback, usable_sources
from loadgen.verdict.rules import Asked
from loadgen.verdict.run import LostWorker
from loadgen.verdict.trust import NeighbourEvidence, PortEvidence, StartEvidence, WorkerEvidence

_NAMED = 6  # so many targets are named before the rest is counted


@dataclass(slots=True)
class Intake:
    """All snapshots of a run of so many connections and targets, and which intervals hold judged operations."""

    ledger: Ledger
    connections: int
    targets: int
    judged: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, workers: Iterable[str], kinds: int, groups: int, *, connections: int, targets: int) -> Intake:
        """An empty one, for a tape of so many kinds and groups."""
        return cls(Ledger(workers, kinds, groups), connections, targets)

    def receive(self, snapshot: Snapshot) -> None:
        """File one snapshot.  Raises ValueError when it cannot be of this run."""
        self._check(snapshot.tallies, CellTable.of(snapshot.cells))
        self.ledger.receive(snapshot)
        if (snapshot.tallies["window"] >= 0).any():
            self.judged.add(snapshot.interval)

    def receive_all(self, together: Snapshots) -> None:
        """File several at once.  Raises ValueError when one of them cannot be of this run; then none is filed."""
        self._check(together.tallies, together.cells)
        self.ledger.receive_all(together)
        judged = together.tallies["window"] >= 0
        if judged.any():
            found = np.repeat(together.intervals, together.tally_parts)[judged]
            self.judged.update(found[np.flatnonzero(np.diff(found, prepend=-1))].tolist())

    def _check(self, tallies: NDArray[np.void], cells: CellTable) -> None:
        if tallies["connection"].max(initial=0) >= self.connections:
            raise ValueError(f"a snapshot has more connections than the run's {self.connections}")
        if cells.targets.max(initial=0) >= self.targets:
            raise ValueError(f"a snapshot has more targets than the run's {self.targets}")


class Gathered(Protocol):
    """What the evidence of every kind of run has.

    `strangers_serve` says whether the servers, should they run on this machine, are processes that are not ours.
    """

    @property
    def targets(self) -> Sequence[Target]:
        """The servers."""

    @property
    def sources(self) -> Sequence[str]:
        """Addresses of the load machines that connections come from; () for the kernel's own choice."""

    @property
    def fleet(self) -> FleetRecord:
        """The load machines, and who played what."""

    @property
    def intake(self) -> Intake:
        """All snapshots."""

    @property
    def measured_ns(self) -> Mapping[int, int]:
        """The length of each window that was begun, by iteration."""

    @property
    def lost(self) -> Mapping[str, str]:
        """Why each lost worker is gone."""

    @property
    def began_ns(self) -> Mapping[int, Mapping[str, int]]:
        """When each worker began, by iteration."""

    @property
    def shared(self) -> Sequence[CoresShared]:
        """What others used of the engines' cores, segment by segment and machine by machine."""

    @property
    def strangers_serve(self) -> bool:
        """See the class."""

    @property
    def asked(self) -> Asked:
        """What was asked for."""


def worker_evidence(evidence: Gathered, totals: Totals) -> list[WorkerEvidence]:
    """What each worker says of itself in the judged windows."""
    ledger = evidence.intake.ledger
    workers = []
    for worker in ledger.workers:
        played = [p for (window, who), p in totals.played.items() if who == worker and window >= 0]
        workers.append(
            WorkerEvidence(
                worker=worker,
                connections=_connections(evidence, worker),
                judged_ns=sum(evidence.measured_ns.values()),
                operations=sum(p.operations for p in played),
                lateness=Histogram.merge_all(p.lateness for p in played),
                health=[health for n, health in ledger.health(worker) if n in evidence.intake.judged],
            )
        )
    return workers


def start_evidence(evidence: Gathered) -> list[StartEvidence]:
    """How far apart the workers began each segment; nothing of a single machine."""
    if len(_machines(evidence)) < 2:
        return []
    return [_start(evidence, began_ns) for began_ns in evidence.began_ns.values()]


def start_skews_ns(began_ns: Mapping[int, Mapping[str, int]]) -> dict[int, int]:
    """By iteration: how long after the first worker the last one began."""
    return {at: max(one.values()) - min(one.values()) for at, one in began_ns.items() if one}


def _start(evidence: Gathered, began_ns: Mapping[str, int]) -> StartEvidence:
    first, last = min(began_ns, key=began_ns.__getitem__), max(began_ns, key=began_ns.__getitem__)
    clocks = {
        worker: evidence.fleet.clocks.get(machine.name) for machine in _machines(evidence) for worker in machine.workers
    }
    # One clock does not differ from itself.
    both = (clocks.get(first), clocks.get(last)) if _machine_of(first) != _machine_of(last) else ()
    errors = [clock.error_ns for clock in both if clock is not None]
    return StartEvidence(skew_ns=began_ns[last] - began_ns[first], error_ns=sum(errors), first=first, last=last)


def _machine_of(worker: str) -> str:
    return worker.rpartition("/")[0]


def neighbour_evidence(evidence: Gathered) -> list[NeighbourEvidence]:
    """What others used of the engines' cores; nothing where those may be the servers."""
    return [
        NeighbourEvidence(machine=_say_machine(one.machine), share=one.share, most=one.most)
        for one in evidence.shared
        if not (evidence.strangers_serve and one.machine == LOCAL)
    ]


def _machines(evidence: Gathered) -> Sequence[Machine]:
    return evidence.fleet.machines


def _say_machine(name: str) -> str:
    return "this machine" if name == LOCAL else name


def port_evidence(evidence: Gathered) -> list[PortEvidence]:
    """The ephemeral ports of each machine, where its kernel says how many there are."""
    found = []
    loopback = all(is_loopback(target.host) for target in evidence.targets)
    # An address of another family than a server's brings it nothing: the server with the fewest counts.
    sources = min((usable_sources(evidence.sources, target.host) for target in evidence.targets), default=1)
    for machine in _machines(evidence):
        ports = LocalPorts.of(machine.sysctls, on_loopback=loopback)
        if ports is None:
            continue
        workers = set(machine.workers) & set(evidence.intake.ledger.workers)
        found.append(
            PortEvidence(
                machine=_say_machine(machine.name),
                available=ports.each * sources,
                peak_connects=evidence.intake.ledger.peak_connects(ports.rest_s, workers),
            )
        )
    return found


def lost_workers(evidence: Gathered) -> list[LostWorker]:
    """The lost ones; all workers of a machine that was lost are one."""
    asked = evidence.asked
    groups: dict[str, list[str]] = {}
    for worker, why in evidence.lost.items():
        machine = next((one.name for one in _machines(evidence) if worker in one.workers), "")
        of_machine = why.removeprefix(say_machine_lost(machine, ""))
        who = f"Worker {worker} ({why})" if of_machine == why else f"Machine {machine} ({of_machine})"
        groups.setdefault(who, []).append(worker)
    ledger = evidence.intake.ledger
    found = []
    for who, workers in groups.items():
        counts = np.sum([_per_target(evidence, asked, worker) for worker in workers], axis=0)
        found.append(
            LostWorker(
                who=who,
                connections=int(counts.sum()),
                lost_s=min(ledger.reported_through(worker) for worker in workers) + 1,
                where=_say_shares(counts.tolist(), [target.name for target in asked.targets]),
            )
        )
    return found


def _say_shares(counts: Sequence[int], names: Sequence[str]) -> str:
    """`3 of each of vm01 to vm16`, or `2 of vm01, 1 of vm02`: targets with the same loss are told together."""
    by_count: dict[int, list[str]] = {}
    for name, count in zip(names, counts, strict=True):
        by_count.setdefault(count, []).append(name)
    parts = []
    for count, named in sorted(by_count.items(), reverse=True):
        if count:
            some = (
                ", ".join(named)
                if len(named) <= _NAMED
                else f"{', '.join(named[:_NAMED])} and {len(named) - _NAMED} more"
            )
            parts.append(f"{count} of {'each of ' * (len(named) > 1)}{some}")
    return "; ".join(parts)


def _per_target(evidence: Gathered, asked: Asked, worker: str) -> NDArray[np.int64]:
    placement = evidence.fleet.placement
    if worker not in placement.workers:
        return np.zeros(len(asked.targets), np.int64)
    return placement.connections(worker, asked.target_of, len(asked.targets))


def _connections(evidence: Gathered, worker: str) -> int:
    placement = evidence.fleet.placement
    return int((placement.worker_of == placement.workers.index(worker)).sum())
