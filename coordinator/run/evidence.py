"""The evidence of a tape run about its load generator, as the trust checks take it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coordinator.fleet.api import say_machine_lost
from coordinator.fleet.local import LOCAL
from coordinator.record.fleet import FleetRecord
from coordinator.run.intake import Intake
from loadgen.measure.canary import CanariesHeard
from loadgen.measure.cells import Cell
from loadgen.measure.events import UNKNOWN, CoresShared
from loadgen.measure.histogram import Histogram
from loadgen.measure.ledger import Played, Totals
from loadgen.model.machine import Machine
from loadgen.schedule.timings import Timings
from loadgen.verdict.canary import CanaryRow, canary_row, unknown_row
from loadgen.verdict.connection import lost_in
from loadgen.verdict.evidence import (
    Loop,
    NeighbourEvidence,
    PortEvidence,
    StartEvidence,
    TrustEvidence,
    WorkerEvidence,
)
from loadgen.verdict.ports import LocalPorts, is_loopback, usable_sources
from loadgen.verdict.result import Check
from loadgen.verdict.rules import Asked
from loadgen.verdict.run import LostWorker
from loadgen.verdict.time_shares import unaccounted_share

_NAMED = 6  # number of targets that are named; the others are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeMeasured:
    """The measurements of a tape run.

    `measured_ns` is the length of each window that was begun, by iteration; `complete` holds the iterations that every
    remaining worker finished.  `lost` says why each lost worker is lost; `gone` are, by iteration, those that were lost
    before they had reported the whole window.  `log_checks` compares the servers' logs with
    what was sent, by iteration.  `began_ns` is when each worker began (CLOCK_MONOTONIC of the coordinator), by
    iteration.  `shared` is the use of the engines' cores by other processes, by segment and machine.  `left_out` are
    intervals that are not judged: `measured_ns` is shorter by them.
    `canaries` is what the canaries measured, by segment and machine.  `done` holds the iterations that ended because
    the given number of operations was done: after that, connections had nothing to do.  `handshakes` counts those of
    TLS: full ones, resumed ones.
    `early` says why the run was stopped before its planned end, because its verdict was certain; "" otherwise.
    """

    intake: Intake
    measured_ns: Mapping[int, int]
    complete: frozenset[int]
    lost: Mapping[str, str] = field(default_factory=dict)
    gone: Mapping[int, frozenset[str]] = field(default_factory=dict)
    log_checks: Mapping[int, Check] = field(default_factory=dict)
    began_ns: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    shared: Sequence[CoresShared] = ()
    left_out: frozenset[int] = frozenset()

    @property
    def totals(self) -> Totals:
        """The sum of all intervals that are judged."""
        return self.intake.ledger.undisturbed() if self.left_out else self.intake.ledger.totals()

    canaries: Sequence[CanariesHeard] = ()
    done: frozenset[int] = frozenset()
    handshakes: tuple[int, int] = (0, 0)
    early: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeEvidence:
    """A tape run as evidence about its load generator.

    `sources` are the source addresses of connections; () for the kernel's choice.  `timings` and `line_bps`: see
    :class:`loadgen.verdict.evidence.TrustEvidence`.  `canary`: the run has canaries.
    `emulated_vms`: how many VMs had an emulated CPU.
    """

    asked: Asked
    fleet: FleetRecord
    measured: TapeMeasured
    sources: Sequence[str]
    timings: Timings | None = None
    line_bps: int = 0
    canary: bool = False
    emulated_vms: int = 0


def trust_evidence(
    run: TapeEvidence, totals: Totals, loop: Loop, windows: Collection[int] | None = None
) -> TrustEvidence:
    """Return the input of the trust checks for `windows` together; None means all measured windows.

    `totals` are the sums of everything that the engines reported.
    """
    windows = run.measured.measured_ns.keys() if windows is None else windows
    nothing = Cell.empty(len(run.asked.kinds), len(run.asked.groups))
    cells = [cell for window in windows for cell in totals.window(window).values()]
    return TrustEvidence(
        loop=loop,
        asked=run.asked,
        workers=_worker_evidence(run, totals, windows),
        whole=Cell.merge_all([nothing, *totals.cells.values()]),
        window=Cell.merge_all([nothing, *cells]),
        measured_ns=sum(run.measured.measured_ns[window] for window in windows),
        ports=_port_evidence(run),
        neighbours=_neighbour_evidence(run, windows),
        starts=_start_evidence(run, windows),
        timings=run.timings,
        line_bps=run.line_bps,
        canaries=canary_rows(run, windows),
        emulated_vms=run.emulated_vms,
    )


def canary_rows(run: TapeEvidence, windows: Collection[int] | None = None) -> tuple[CanaryRow, ...]:
    """Return what the canaries measured in `windows`, or in all of them: a row for each window and engine.

    Workers that were lost are left out where nothing is known about them.  With seconds left out there are none: a
    canary is known for whole windows only.
    """
    if not run.canary or run.measured.left_out:
        return ()
    measured = run.measured
    heard = {(one.segment, worker): one for one in measured.canaries for worker in _workers_of(run, one)}
    seen = {(one.segment, row.worker): row for one in measured.canaries for row in one.engines}
    rows = []
    for window in sorted(measured.measured_ns.keys() if windows is None else windows):
        for worker in run.fleet.placement.workers:
            if (window, worker) in seen:
                rows.append(canary_row(window, seen[window, worker]))
            elif worker not in measured.lost:
                event = heard.get((window, worker))
                rows.append(unknown_row(window, worker, event.why if event is not None else _NOT_REPORTED))
    return tuple(rows)


_NOT_REPORTED = "the machine did not report it"


def _workers_of(run: TapeEvidence, heard: CanariesHeard) -> Sequence[str]:
    return next((machine.workers for machine in _machines(run) if machine.name == heard.machine), ())


def _worker_evidence(run: TapeEvidence, totals: Totals, windows: Collection[int]) -> list[WorkerEvidence]:
    """Return the figures that each worker reported about itself for `windows`, without workers lost before."""
    intake = run.measured.intake
    judged = frozenset[int]().union(*(intake.intervals_of(window) for window in windows)) - run.measured.left_out
    played_by: dict[str, list[Played]] = {worker: [] for worker in intake.ledger.workers}
    for (window, worker), played in totals.played.items():
        if window in windows:
            played_by[worker].append(played)
    return [
        WorkerEvidence(
            worker=worker,
            connections=_connections(run, worker),
            judged_ns=sum(run.measured.measured_ns[window] for window in windows),
            operations=sum(one.operations for one in played_here),
            lateness=Histogram.merge_all(one.lateness for one in played_here),
            health=[health for n, health in intake.ledger.health(worker) if n in judged],
            unaccounted_share=_unaccounted_share(run, totals, windows, worker),
        )
        for worker, played_here in played_by.items()
        if played_here or worker not in run.measured.lost
    ]


def _unaccounted_share(run: TapeEvidence, totals: Totals, windows: Collection[int], worker: str) -> float | None:
    """Return the share of the time of a worker's connections that no operation has, in the worst of `windows`.

    Returns None for a lost worker, and without complete windows: the length of others is known to a second only.  Also
    with seconds left out: an operation is reported in the second in which it ends, with all of its time.  And for
    windows that ended when a given number of operations was done: connections had nothing to do at their end.
    """
    placement, measured = run.fleet.placement, run.measured
    if measured.left_out or worker in measured.lost or worker not in placement.workers:
        return None
    mine = placement.worker_of == placement.workers.index(worker)
    shares = []
    for window in (measured.complete - measured.done).intersection(windows):
        tallies = totals.window_tallies(window)
        own = np.take(tallies, np.flatnonzero(mine[tallies["connection"]]))
        shares.append(unaccounted_share(own, int(mine.sum()), measured.measured_ns[window]))
    known = [share for share in shares if share is not None]
    return max(known, default=None)


def _start_evidence(run: TapeEvidence, windows: Collection[int]) -> list[StartEvidence]:
    """Return the differences between the workers' starts in the segments of `windows`; () for one machine."""
    if len(_machines(run)) < 2:
        return []
    return [_start(run, began_ns) for window, began_ns in run.measured.began_ns.items() if window in windows]


def start_skews_ns(began_ns: Mapping[int, Mapping[str, int]]) -> dict[int, int]:
    """Return by iteration: the time between the start of the first worker and the start of the last worker."""
    return {at: max(one.values()) - min(one.values()) for at, one in began_ns.items() if one}


def _start(run: TapeEvidence, began_ns: Mapping[str, int]) -> StartEvidence:
    first, last = min(began_ns, key=began_ns.__getitem__), max(began_ns, key=began_ns.__getitem__)
    clocks = {worker: run.fleet.clocks.get(machine.name) for machine in _machines(run) for worker in machine.workers}
    # One machine has one clock, so it needs no correction.
    both = (clocks.get(first), clocks.get(last)) if _machine_of(first) != _machine_of(last) else ()
    errors = [clock.error_ns for clock in both if clock is not None]
    return StartEvidence(skew_ns=began_ns[last] - began_ns[first], error_ns=sum(errors), first=first, last=last)


def _machine_of(worker: str) -> str:
    return worker.rpartition("/")[0]


def _neighbour_evidence(run: TapeEvidence, windows: Collection[int]) -> list[NeighbourEvidence]:
    """Return the use by other processes of the cores on which the engines ran, in the seconds of `windows`.

    Of machines without a whole second in them, the use in whole segments; with seconds left out, it is not known.
    """
    disturbances = run.measured.intake.disturbances
    disturbances.decide_all()
    found = []
    seen = set[str]()
    for window in windows:
        uses = disturbances.uses(window, rest=bool(run.measured.left_out))
        for machine in sorted({machine for machine, _ in uses}):
            worst = max((use for (at, _), use in uses.items() if at == machine), key=lambda use: use.share or 0.0)
            seen.add(machine)
            found.append(
                NeighbourEvidence(
                    machine=_say_machine(machine),
                    share=worst.share,
                    most=max(worst.by_name, key=worst.by_name.__getitem__),
                    throttled=worst.throttled,
                )
            )
    segments = not run.measured.left_out
    # The segments of a machine that was lost are those before the windows that it did not reach.
    seen |= {one.machine for one in disturbances.machines} & _lost_machines(run)
    found += [
        NeighbourEvidence(
            machine=_say_machine(one.machine),
            share=one.share if segments and one.share != UNKNOWN else None,
            most=one.most,
            throttled=one.throttled if segments and one.throttled != UNKNOWN else None,
        )
        for one in run.measured.shared
        if one.machine not in seen
    ]
    return found


def _lost_machines(run: TapeEvidence) -> set[str]:
    """The machines of which each worker is lost."""
    return {one.name for one in _machines(run) if set(one.workers) <= run.measured.lost.keys()}


def _machines(run: TapeEvidence) -> Sequence[Machine]:
    return run.fleet.machines


def _say_machine(name: str) -> str:
    return "this machine" if name == LOCAL else name


def _port_evidence(run: TapeEvidence) -> list[PortEvidence]:
    """Return the ephemeral ports of each machine whose kernel reports them."""
    found = []
    loopback = all(is_loopback(target.host) for target in run.asked.targets)
    # A source address serves only servers of the same family: the server with the fewest source addresses counts.
    sources = min((usable_sources(run.sources, target.host) for target in run.asked.targets), default=1)
    for machine in _machines(run):
        ports = LocalPorts.of(machine.sysctls, on_loopback=loopback)
        if ports is None:
            continue
        workers = set(machine.workers) & set(run.measured.intake.ledger.workers)
        found.append(
            PortEvidence(
                machine=_say_machine(machine.name),
                available=ports.beside(len(workers) + (len(run.asked.targets) if loopback else 0)).each * sources,
                peak_connects=run.measured.intake.ledger.peak_connects(ports.rest_s, workers),
            )
        )
    return found


def lost_connections(run: TapeEvidence, window: int, totals: Totals) -> NDArray[np.bool_] | None:
    """Return of each connection whether its worker was lost before the end of `window`; None if no worker was lost."""
    measured, placement = run.measured, run.fleet.placement
    if not measured.lost:
        return None
    untold = lost_in(totals.window_tallies(window), placement.of_any(measured.lost), measured.measured_ns[window])
    found: NDArray[np.bool_] = untold | placement.of_any(measured.gone.get(window, ()))
    return found


def lost_workers(run: TapeEvidence) -> list[LostWorker]:
    """Return the lost workers; all workers of a lost machine are one entry."""
    asked = run.asked
    groups: dict[str, list[str]] = {}
    for worker, why in run.measured.lost.items():
        machine = next((one.name for one in _machines(run) if worker in one.workers), "")
        of_machine = why.removeprefix(say_machine_lost(machine, ""))
        who = f"Worker {worker} ({why})" if of_machine == why else f"Machine {machine} ({of_machine})"
        groups.setdefault(who, []).append(worker)
    ledger = run.measured.intake.ledger
    found = []
    for who, workers in groups.items():
        counts = np.sum([_per_target(run, asked, worker) for worker in workers], axis=0)
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
    """Return `3 of each of vm01 to vm16`, or `2 of vm01, 1 of vm02`: targets with equal losses are listed together."""
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


def _per_target(run: TapeEvidence, asked: Asked, worker: str) -> NDArray[np.int64]:
    placement = run.fleet.placement
    if worker not in placement.workers:
        return np.zeros(len(asked.targets), np.int64)
    return placement.connections(worker, asked.target_of, len(asked.targets))


def _connections(run: TapeEvidence, worker: str) -> int:
    placement = run.fleet.placement
    return int((placement.worker_of == placement.workers.index(worker)).sum())
