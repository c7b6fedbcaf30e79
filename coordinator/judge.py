"""From everything that came in during a run to its result: collects the evidence, asks loadgen.verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coordinator.record.connections import CONNECTION_DTYPE
from loadgen.host.neighbours import OtherUse
from loadgen.measure.histogram import Histogram
from loadgen.measure.ledger import Ledger, Totals
from loadgen.measure.snapshot import Cell, Snapshot
from loadgen.model.plan import SpecPlan
from loadgen.model.shard import Shard, share_out
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from loadgen.verdict.connection import judge_connections
from loadgen.verdict.iteration import judge_iteration
from loadgen.verdict.result import Check, IterationResult, RunResult, Trust
from loadgen.verdict.rules import Asked
from loadgen.verdict.run import LostWorker, judge_run
from loadgen.verdict.trust import NeighbourEvidence, PortEvidence, WorkerEvidence, judge_trust
from workloads.specweb99.mix import CLASS_SHARES, GROUPS, KINDS

_TIME_WAIT_S = 60  # TCP_TIMEWAIT_LEN of Linux
_REUSE_S = 1  # tcp_tw_reuse lets a port go after a second


@dataclass(slots=True)
class Intake:
    """All snapshots of a run, and which intervals hold judged operations."""

    ledger: Ledger
    judged: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, workers: Iterable[str]) -> Intake:
        """An empty one."""
        return cls(Ledger(workers, len(KINDS), len(GROUPS)))

    def receive(self, snapshot: Snapshot) -> None:
        """File one snapshot."""
        self.ledger.receive(snapshot)
        if (snapshot.tallies["window"] >= 0).any():
            self.judged.add(snapshot.interval)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a run is judged by.

    `measured_ns` is the length of each window that was begun, by iteration; `complete` holds those that were
    played to their end.  `sysctls` are the load machine's; `neighbours` is what others used of the engines'
    cores, segment by segment (empty where that is not known).
    """

    plan: SpecPlan
    targets: Sequence[Target]
    intake: Intake
    measured_ns: Mapping[int, int]
    complete: frozenset[int]
    interrupted: bool
    lost: Mapping[str, str]
    log_checks: Mapping[int, Check]
    sysctls: Mapping[str, str]
    neighbours: Sequence[OtherUse] = ()
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
        lost=[
            LostWorker(
                worker=f"{worker} ({why})",
                connections=_connections(evidence, worker),
                lost_s=evidence.intake.ledger.reported_through(worker) + 1,
            )
            for worker, why in evidence.lost.items()
        ],
        notes=evidence.notes,
    )


def judge_snapshots(
    plan: SpecPlan, targets: Sequence[Target], snapshots: Iterable[Snapshot], *, sysctls: Mapping[str, str]
) -> RunResult:
    """The result of a run of which only snapshots are left: it was cut.

    Raises ValueError when a snapshot cannot be of this plan.
    """
    intake = Intake.of(f"local/{i}" for i in range(plan.engines))
    seen: dict[int, list[int]] = {}
    for snapshot in snapshots:
        if snapshot.worker in intake.ledger.workers:
            if snapshot.tallies["connection"].max(initial=0) >= plan.total_connections:
                raise ValueError(f"a snapshot has more connections than the plan's {plan.total_connections}")
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
            targets=targets,
            intake=intake,
            measured_ns=measured_ns,
            complete=frozenset(windows[:-1]),
            interrupted=True,
            lost={},
            log_checks={},
            sysctls=sysctls,
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
    neighbours = [
        NeighbourEvidence(machine="this machine", share=one.share, most=one.most) for one in evidence.neighbours
    ]
    return judge_trust(workers, _ports(evidence), whole, asked, neighbours=neighbours)


def _ports(evidence: Evidence) -> list[PortEvidence]:
    """The ephemeral ports of this machine, where the kernel says how many there are."""
    words = evidence.sysctls.get("net.ipv4.ip_local_port_range", "").split()
    if len(words) != 2:
        return []
    available = int(words[1]) - int(words[0]) + 1
    loopback = all(target.host in ("localhost", "::1") or target.host.startswith("127.") for target in evidence.targets)
    reuse = evidence.sysctls.get("net.ipv4.tcp_tw_reuse", "0")
    span_s = _REUSE_S if reuse == "1" or (reuse == "2" and loopback) else _TIME_WAIT_S
    peak = evidence.intake.ledger.peak_connects(span_s)
    return [PortEvidence(machine="this machine", available=available, peak_connects=peak)]


def _connections(evidence: Evidence, worker: str) -> int:
    workers = evidence.intake.ledger.workers
    shard = Shard(workers.index(worker), len(workers))
    return len(shard.connections(evidence.plan.total_connections))
