"""From everything that came in during a run to its result: collects the evidence, asks loadgen.verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coordinator.fleet.api import Machine, say_machine_lost
from coordinator.fleet.local import LOCAL
from coordinator.record.connections import CONNECTION_DTYPE
from coordinator.record.document import Header
from coordinator.record.fleet import FleetRecord
from loadgen.measure.cells import Cell
from loadgen.measure.events import CoresShared
from loadgen.measure.histogram import Histogram
from loadgen.measure.ledger import Ledger, Totals
from loadgen.measure.snapshot import Snapshot
from loadgen.model.plan import SpecPlan
from loadgen.model.shard import share_out
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from loadgen.verdict.connection import judge_connections
from loadgen.verdict.iteration import judge_iteration
from loadgen.verdict.result import Check, IterationResult, RunResult, Trust
from loadgen.verdict.rules import Asked
from loadgen.verdict.run import LostWorker, judge_run
from loadgen.verdict.trust import (
    NeighbourEvidence,
    PortEvidence,
    StartEvidence,
    WorkerEvidence,
    judge_trust,
)
from workloads.specweb99.mix import CLASS_SHARES, GROUPS, KINDS

_TIME_WAIT_S = 60  # TCP_TIMEWAIT_LEN of Linux
_REUSE_S = 1  # tcp_tw_reuse lets a port go after a second
_NAMED = 6  # so many targets are named before the rest is counted


@dataclass(slots=True)
class Intake:
    """All snapshots of a run of so many connections and targets, and which intervals hold judged operations."""

    ledger: Ledger
    connections: int
    targets: int
    judged: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, workers: Iterable[str], *, connections: int, targets: int) -> Intake:
        """An empty one."""
        return cls(Ledger(workers, len(KINDS), len(GROUPS)), connections, targets)

    def receive(self, snapshot: Snapshot) -> None:
        """File one snapshot.  Raises ValueError when it cannot be of this run."""
        if snapshot.tallies["connection"].max(initial=0) >= self.connections:
            raise ValueError(f"a snapshot has more connections than the run's {self.connections}")
        if max((target for _, target in snapshot.cells), default=0) >= self.targets:
            raise ValueError(f"a snapshot has more targets than the run's {self.targets}")
        self.ledger.receive(snapshot)
        if (snapshot.tallies["window"] >= 0).any():
            self.judged.add(snapshot.interval)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a run is judged by.

    `measured_ns` is the length of each window that was begun, by iteration; `complete` holds those that were
    played to their end.  `began_ns` is when each worker began, by iteration; `shared` is what others used of
    the engines' cores, segment by segment and machine by machine.
    """

    plan: SpecPlan
    targets: Sequence[Target]
    fleet: FleetRecord
    intake: Intake
    measured_ns: Mapping[int, int]
    complete: frozenset[int]
    interrupted: bool
    lost: Mapping[str, str]
    log_checks: Mapping[int, Check]
    began_ns: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    shared: Sequence[CoresShared] = ()
    notes: tuple[str, ...] = ()

    @property
    def asked(self) -> Asked:
        """What was asked for."""
        weights = [target.weight for target in self.targets] or [1] * self.plan.vms  # none were started yet
        shares = share_out(self.plan.total_connections, weights)
        return Asked(
            targets=self.targets,
            target_of=np.repeat(np.arange(len(shares), dtype=np.int32), shares),
            kinds=KINDS,
            groups=GROUPS,
            kind_shares=CLASS_SHARES,
            bound=self.plan.bound,
        )


def judge(evidence: Evidence) -> RunResult:
    """The result of a run."""
    asked, totals = evidence.asked, evidence.intake.ledger.totals()
    iterations = _iterations(evidence, asked, totals)
    return judge_run(
        iterations,
        _trust(evidence, asked, totals) if iterations else Trust(checks=()),
        requested_connections=asked.connections,
        planned_iterations=evidence.plan.phases.iterations,
        interrupted=evidence.interrupted,
        lost=_lost(evidence, asked),
        notes=evidence.notes,
    )


def judge_snapshots(header: Header, snapshots: Iterable[Snapshot]) -> RunResult:
    """The result of a run of which only snapshots are left: it was cut.

    Raises ValueError when a snapshot cannot be of this plan.
    """
    plan = header.plan
    intake = Intake.of(header.fleet.placement.workers, connections=plan.total_connections, targets=len(header.targets))
    seen: dict[int, list[int]] = {}
    for snapshot in snapshots:
        if snapshot.worker in intake.ledger.workers:
            intake.receive(snapshot)
            for window in set(snapshot.tallies["window"].tolist()):
                seen.setdefault(window, []).append(snapshot.interval)
    windows = sorted(window for window in seen if window >= 0)
    # Whoever has begun the next window has finished the one before.
    measured_ns = {
        window: plan.phases.measure_ns
        if window < windows[-1]
        else min(plan.phases.measure_ns, (max(seen[window]) - min(seen[window]) + 1) * NS_PER_S)
        for window in windows
    }
    return judge(
        Evidence(
            plan=plan,
            targets=header.targets,
            fleet=header.fleet,
            intake=intake,
            measured_ns=measured_ns,
            complete=frozenset(windows[:-1]),
            interrupted=True,
            lost={},
            log_checks={},
        )
    )


def connection_rows(evidence: Evidence) -> NDArray[np.void]:
    """What each connection did in each window, as CONNECTION_DTYPE."""
    asked, totals = evidence.asked, evidence.intake.ledger.totals()
    parts = [np.zeros(0, dtype=CONNECTION_DTYPE)]
    for window in sorted(evidence.measured_ns):
        found = judge_connections(totals.window_tallies(window), asked.connections, asked.bound)
        rows = np.zeros(len(found), dtype=CONNECTION_DTYPE)
        for name in ("connection", "ok", "bad", "bytes", "busy_ns", "state"):
            rows[name] = found[name]
        rows["iteration"] = window
        rows["target"] = asked.target_of
        rows["kbit_per_s"] = found["bits_per_s"] / 1000
        parts.append(rows)
    return np.concatenate(parts)


def _iterations(evidence: Evidence, asked: Asked, totals: Totals) -> list[IterationResult]:
    return [
        judge_iteration(
            window,
            totals,
            asked,
            measured_ns=measured_ns,
            complete=window in evidence.complete,
            more_checks=[evidence.log_checks[window]] if window in evidence.log_checks else [],
        )
        for window, measured_ns in sorted(evidence.measured_ns.items())
        if measured_ns > 0
    ]


def _trust(evidence: Evidence, asked: Asked, totals: Totals) -> Trust:
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
    whole = Cell.merge_all([Cell.empty(len(KINDS), len(GROUPS)), *totals.cells.values()])
    return judge_trust(
        workers,
        _ports(evidence),
        whole,
        asked,
        neighbours=_neighbours(evidence),
        starts=[_start(evidence, began_ns) for began_ns in evidence.began_ns.values()]
        if len(_machines(evidence)) > 1
        else [],
    )


def start_skews_ns(began_ns: Mapping[int, Mapping[str, int]]) -> dict[int, int]:
    """By iteration: how long after the first worker the last one began."""
    return {at: max(one.values()) - min(one.values()) for at, one in began_ns.items() if one}


def _start(evidence: Evidence, began_ns: Mapping[str, int]) -> StartEvidence:
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


def _neighbours(evidence: Evidence) -> list[NeighbourEvidence]:
    # Servers that run here without us look like anybody else's processes.
    return [
        NeighbourEvidence(machine=_say_machine(one.machine), share=one.share, most=one.most)
        for one in evidence.shared
        if not (evidence.plan.targets and one.machine == LOCAL)
    ]


def _machines(evidence: Evidence) -> Sequence[Machine]:
    return evidence.fleet.machines


def _say_machine(name: str) -> str:
    return "this machine" if name == LOCAL else name


def _ports(evidence: Evidence) -> list[PortEvidence]:
    """The ephemeral ports of each machine, where its kernel says how many there are."""
    found = []
    loopback = all(target.host in ("localhost", "::1") or target.host.startswith("127.") for target in evidence.targets)
    for machine in _machines(evidence):
        words = machine.sysctls.get("net.ipv4.ip_local_port_range", "").split()
        if len(words) != 2:
            continue
        reuse = machine.sysctls.get("net.ipv4.tcp_tw_reuse", "0")
        span_s = _REUSE_S if reuse == "1" or (reuse == "2" and loopback) else _TIME_WAIT_S
        workers = set(machine.workers) & set(evidence.intake.ledger.workers)
        found.append(
            PortEvidence(
                machine=_say_machine(machine.name),
                available=int(words[1]) - int(words[0]) + 1,
                peak_connects=evidence.intake.ledger.peak_connects(span_s, workers),
            )
        )
    return found


def _lost(evidence: Evidence, asked: Asked) -> list[LostWorker]:
    """The lost ones; all workers of a machine that was lost are one."""
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


def _per_target(evidence: Evidence, asked: Asked, worker: str) -> NDArray[np.int64]:
    placement = evidence.fleet.placement
    if worker not in placement.workers:
        return np.zeros(len(asked.targets), np.int64)
    return placement.connections(worker, asked.target_of, len(asked.targets))


def _connections(evidence: Evidence, worker: str) -> int:
    placement = evidence.fleet.placement
    return int((placement.worker_of == placement.workers.index(worker)).sum())
