"""May anything be said about the servers?  The generator's own measurements, held against their limits.

What a slow server does must not convict the generator.  Lateness is sent - due, and an operation is due only
when the one before it is over, so a slow server delays both.  The mix is that of the requests *issued*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadgen.measure.cells import Cell
from loadgen.measure.histogram import Histogram
from loadgen.measure.snapshot import Health
from loadgen.model.bound import Bound, BoundKind
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.mix import check_mix
from loadgen.verdict.result import Check, Trust
from loadgen.verdict.rules import RULES, Asked, Rules

ENGINE_CPU, ENGINE_RUNNABLE = "engine CPU", "engine runnable"
"""The names of the checks that say that an engine had no more to give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEvidence:
    """What one worker says of itself in the judged windows.

    `connections` is how many it plays, `judged_ns` the length of the judged windows together, `operations` what
    it issued in them.
    """

    worker: str
    connections: int
    judged_ns: int
    operations: int
    lateness: Histogram
    health: Sequence[Health]


@dataclass(frozen=True, slots=True, kw_only=True)
class PortEvidence:
    """Ephemeral ports of one load machine.

    `available` is the size of its range, for each address to connect from; `peak_connects` by target index are the
    most connections opened to it within the time that a closed one keeps its port (`Ledger.peak_connects`): 60 s of
    TIME_WAIT, or 1 s where the kernel may reuse them (tcp_tw_reuse).
    """

    machine: str
    available: int
    peak_connects: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourEvidence:
    """What other processes used of the cores that the engines of one load machine may run on.

    `share` is of those cores' time; `most` names the greatest user.
    """

    machine: str
    share: float
    most: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartEvidence:
    """How far apart the workers of several machines began a segment.

    `skew_ns` lies between `first` and `last`, right within ± `error_ns` (the errors of both clocks).
    """

    skew_ns: int
    error_ns: int
    first: str
    last: str


def judge_trust(
    workers: Sequence[WorkerEvidence],
    ports: Sequence[PortEvidence],
    whole: Cell,
    asked: Asked,
    *,
    neighbours: Sequence[NeighbourEvidence] = (),
    starts: Sequence[StartEvidence] = (),
    rules: Rules = RULES,
) -> Trust:
    """Every check of the generator; each `detail` names who was worst, with its numbers.

    `whole` is everything that was issued in the *whole run*, outside of windows too: over whole segments the
    mix does not depend on the servers' speed, while a window that a slow server crosses in few long requests
    holds more of the long ones.
    """
    checks = [
        check_issued(workers),
        _check_lateness(workers, asked.bound, rules),
        _check_late_share(workers, rules),
        *check_cpu(workers, rules),
        *check_mix(whole.counts.sum(axis=(1, 2)), asked.kinds, asked.kind_shares, rules, what="mix issued"),
        check_local_limits(whole),
    ]
    if neighbours:
        checks.append(check_neighbours(neighbours, rules))
    if ports:
        checks.append(check_ports(ports, asked))
    if starts:
        checks.append(check_starts(starts, rules))
    files = check_files(workers, rules)
    return Trust(checks=(*checks, *files))


def check_issued(workers: Sequence[WorkerEvidence]) -> Check:
    """Every worker must have issued something."""
    idle = [w.worker for w in workers if not w.operations]
    least = min((w.operations for w in workers), default=0)
    return Check(
        name="operations issued",
        value=least,
        limit=1,
        ok=least >= 1,
        relation=">=",
        detail=f"none by {', '.join(idle)}" if idle else "the least of any engine",
    )


def _check_lateness(workers: Sequence[WorkerEvidence], bound: Bound, rules: Rules) -> Check:
    limit_ns = float(rules.max_lateness_ns)
    if bound.kind is BoundKind.TIME:
        limit_ns = min(limit_ns, rules.max_good_part * bound.good_ns)
    value_ns, detail = 0, "nothing was sent"
    for one in workers:
        sent = one.lateness.total
        if not sent:
            continue
        q = min(99.0, max(100 * (1 - (rules.late_operations - 1) / sent), 0.0))
        late_ns = one.lateness.percentile_ns(q) or 0
        if late_ns >= value_ns:
            value_ns = late_ns
            detail = f"engine {one.worker}: percentile {q:.4g} of {sent} operations, latest {_ms(one.lateness.max_ns)}"
    return Check(
        name="send lateness",
        value=value_ns / NS_PER_MS,
        limit=limit_ns / NS_PER_MS,
        ok=value_ns <= limit_ns,
        unit="ms",
        detail=detail,
    )


def _check_late_share(workers: Sequence[WorkerEvidence], rules: Rules) -> Check:
    shares = {
        w.worker: w.lateness.sum_ns() / (w.connections * w.judged_ns) for w in workers if w.connections and w.judged_ns
    }
    worker, share = _worst(shares)
    return Check.at_most(
        "time lost to lateness",
        share,
        rules.max_late_share,
        detail=f"engine {worker}: of its connections' time, between due and sent" if worker else "nothing was sent",
    )


def check_still(workers: Sequence[WorkerEvidence], rules: Rules) -> Check:
    """An engine that is stopped, or whose machine is: what came meanwhile looks like a server that is slow."""
    worker, share = _worst(
        {w.worker: sum(h.still_ns for h in w.health) / max(1, sum(h.wall_ns for h in w.health)) for w in workers}
    )
    return Check.at_most(
        "engine stood still",
        share,
        rules.max_still_share,
        detail=f"engine {worker}: of the time, while a timer of its own was due" if worker else "no engine",
    )


def check_cpu(workers: Sequence[WorkerEvidence], rules: Rules) -> list[Check]:
    """How much of a core the busiest engine used, and how much it used or waited for."""
    cpu = {}
    runnable = {}
    for one in workers:
        wall_ns = sum(h.wall_ns for h in one.health)
        if not wall_ns:
            continue
        cpu[one.worker] = sum(h.cpu_ns for h in one.health) / wall_ns
        told = [h for h in one.health if h.runqueue_ns >= 0]
        if told_ns := sum(h.wall_ns for h in told):
            runnable[one.worker] = sum(h.cpu_ns + h.runqueue_ns for h in told) / told_ns
    checks = []
    for name, shares, limit, meaning in (
        (ENGINE_CPU, cpu, rules.max_cpu_share, "ran"),
        (ENGINE_RUNNABLE, runnable, rules.max_runnable_share, "ran or waited for a core"),
    ):
        worker, share = _worst(shares)
        if worker:
            detail = f"engine {worker} {meaning} {100 * share:.1f} % of the time"
            if shares is runnable:
                detail += f" (ran {100 * cpu[worker]:.1f} %)"
        else:
            detail = "not known"
        checks.append(Check.at_most(name, share, limit, detail=detail))
    return checks


def check_neighbours(neighbours: Sequence[NeighbourEvidence], rules: Rules) -> Check:
    """What others used of the cores that engines may run on, where it was most."""
    worst = max(neighbours, key=lambda one: one.share)
    return Check.at_most(
        "other processes",
        worst.share,
        rules.max_neighbour_share,
        detail=f"{worst.machine}: of the engines' cores, most by {worst.most}",
    )


def check_local_limits(whole: Cell) -> Check:
    """Connects that failed for want of something here."""
    failed = int(whole.outcomes[Outcome.LOCAL_LIMIT])
    return Check(
        name="local limits",
        value=failed,
        limit=0,
        ok=failed == 0,
        detail=f"{failed} connects failed for want of a port or a file descriptor here",
    )


def check_ports(ports: Sequence[PortEvidence], asked: Asked) -> Check:
    """Whether closed connections, whose ports are still taken, and open ones had ports enough."""
    machine, target, used = ports[0], -1, 0
    for one in ports:
        for number, connects in one.peak_connects.items():
            if target < 0 or connects * machine.available > used * one.available:
                machine, target, used = one, number, connects
    detail = f"{machine.machine}: no connection was opened"
    if target >= 0:
        name = asked.targets[target].name
        detail = f"{machine.machine}: connections to {name} while closed ones kept their ports"
    return Check(
        name="ephemeral ports", value=used, limit=machine.available, ok=used <= machine.available, detail=detail
    )


def check_starts(starts: Sequence[StartEvidence], rules: Rules) -> Check:
    """How far apart the engines of several machines began, where it was most."""
    worst = max(starts, key=lambda one: one.skew_ns)
    return Check(
        name="start skew",
        value=worst.skew_ns / NS_PER_MS,
        limit=rules.max_start_skew_ns / NS_PER_MS,
        ok=worst.skew_ns <= rules.max_start_skew_ns,
        unit="ms",
        detail=f"{worst.first} to {worst.last}, ± {worst.error_ns / NS_PER_MS:.2f} ms by their clocks",
    )


def check_files(workers: Sequence[WorkerEvidence], rules: Rules) -> list[Check]:
    """How near an engine came to its limit of open files; nothing where that is not known."""
    counted = [(h.open_fds / h.fd_limit, w.worker, h) for w in workers for h in w.health if h.fd_limit]
    if not counted:
        return []
    share, worker, health = max(counted, key=lambda item: item[:2])
    return [
        Check.at_most(
            "open files",
            share,
            rules.max_fd_share,
            detail=f"engine {worker}: {health.open_fds} of {health.fd_limit} allowed",
        )
    ]


def _worst(shares: Mapping[str, float]) -> tuple[str, float]:
    worker = max(shares, key=shares.__getitem__, default="")
    return worker, shares.get(worker, 0.0)


def _ms(duration_ns: int) -> str:
    return f"{duration_ns / NS_PER_MS:.1f} ms"
