"""Makes the live view of a spec run from the ledger.  No I/O and no clock: the time comes with the position.

Rates and percentiles are those of the newest *complete* interval: with an incomplete one, a late worker would look
like a slow server.  Counts over an iteration are added up here, one interval at a time, because summing the whole
ledger once a second would take CPU from the engines on this machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from coordinator.output.terminal.failures import Failures
from coordinator.output.terminal.figures import Figures
from coordinator.output.terminal.machines import Status, machine_rows
from coordinator.output.terminal.runview import EngineRow, Position, RunView, TargetRow
from loadgen.measure.ledger import Ledger, PlayedTable, Totals
from loadgen.measure.tally import TALLY_DTYPE, add_tallies, empty_tallies
from loadgen.model.plan import SpecPlan
from loadgen.model.shard import share_out
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.placement import Placement
from loadgen.verdict.connection import State, states_of

INTERVAL_S = 1
"""The length of an interval of the ledger (Snapshot.interval counts seconds).  The last one of a segment is shorter."""


class ViewBuilder:
    """Makes the RunViews of one run, one after the other."""

    def __init__(self, plan: SpecPlan, targets: Sequence[Target], placement: Placement, *, title: str) -> None:
        self._plan = plan
        self._placement = placement
        self._lost = frozenset[str]()  # workers
        self._targets = tuple(targets)
        self._title = title
        self._requested = share_out(plan.total_connections, [target.weight for target in targets])
        self._target_of = np.repeat(np.arange(len(self._requested)), self._requested)
        self._seen = -1
        self._newest = Totals({}, empty_tallies(), {})
        self._iteration = -1
        self._tallies = self._no_tallies()
        self._failures = Failures(self._iteration)
        self._length_s = float(INTERVAL_S)  # of the newest interval
        # Whether the values below are out of date: a newer interval is complete, or another iteration has begun.
        self._stale = True
        self._rows: tuple[TargetRow, ...] = ()
        self._total: TargetRow | None = None
        self._engines: tuple[EngineRow, ...] = ()
        self._late_ms: Mapping[str, float] = {}  # by worker and by machine

    def build(
        self,
        ledger: Ledger,
        position: Position,
        notices: Sequence[str] = (),
        machines: Sequence[Status] = (),
        engine: str = "",
    ) -> RunView:
        """The view of the run at `position`; `engine` says which engine plays, and is empty while that is not known."""
        newest = ledger.complete_through()
        if position.iteration != self._iteration:
            self._iteration = position.iteration
            self._tallies = self._no_tallies()
            self._failures = Failures(self._iteration)
            self._stale = True
        interval = self._catch_up(ledger, newest)
        if ledger.lost_workers != self._lost:
            self._lost = ledger.lost_workers
            self._stale = True
        if self._stale:
            self._stale = False
            self._length_s = interval_s(ledger, newest)
            self._rows, self._total = self._all_rows(interval)
            self._late_ms = lateness_p99_ms(interval)
            self._engines = engine_rows(ledger, newest, self._late_ms)
        assert self._total is not None
        return RunView(
            **asdict(position),
            title=f"{self._title} · {engine}" if engine else self._title,
            interval=newest,
            targets=self._rows,
            totals=self._total,
            engines=self._engines,
            machines=machine_rows(machines, self._late_ms),
            notices=tuple(notices),
        )

    def _catch_up(self, ledger: Ledger, newest: int) -> Totals:
        """Add up the intervals that were completed since the last call; returns the newest interval."""
        for n in range(self._seen + 1, newest + 1):
            self._stale = True
            with contextlib.suppress(LookupError):  # too old: the ledger no longer holds it
                self._newest = ledger.interval(n)
                self._add(self._newest)
        self._seen = newest
        return self._newest

    def _no_tallies(self) -> NDArray[np.void]:
        """Empty tallies: one row for each connection, in the order of their numbers."""
        tallies = np.zeros(len(self._target_of), TALLY_DTYPE)
        tallies["connection"] = np.arange(len(tallies))
        return tallies

    def _add(self, interval: Totals) -> None:
        add_tallies(self._tallies, interval.window_tallies(self._iteration))
        self._failures.add(interval.cells)

    def _all_rows(self, interval: Totals) -> tuple[tuple[TargetRow, ...], TargetRow]:
        """The rows of the VMs, and that of all together."""
        figures = Figures(interval.cells, len(self._targets), self._length_s)
        p50_ms, p99_ms = figures.percentiles_ms(50), figures.percentiles_ms(99)
        conforming = self._conforming()
        rows = tuple(
            TargetRow(
                name=target.name,
                address=target.authority,
                requested=self._requested[at],
                conforming=conforming[at],
                ops_per_s=figures.per_s[at],
                mbit_per_s=figures.mbit_per_s[at],
                p50_ms=p50_ms[at],
                p99_ms=p99_ms[at],
                errors=self._failures.bad(at),
                operations=self._failures.answered(at),
                received_bytes=self._failures.received_bytes(at),
            )
            for at, target in enumerate(self._targets)
        )
        known = any(row.conforming is not None for row in rows)
        # All connections of a VM of which nothing is known yet count as conforming.
        kept = (row.requested if row.conforming is None else row.conforming for row in rows)
        total = TargetRow(
            name=f"all {len(rows)}",
            address="",
            requested=sum(row.requested for row in rows),
            conforming=sum(kept) if known else None,
            ops_per_s=figures.per_s[-1],
            mbit_per_s=figures.mbit_per_s[-1],
            p50_ms=p50_ms[-1],
            p99_ms=p99_ms[-1],
            errors=sum(row.errors for row in rows),
        )
        return rows, total

    def _conforming(self) -> list[int | None]:
        """By target: the connections that conform so far; None while no connection of the target has done anything.

        A connection without a finished request counts as conforming here, for it may be in the middle of a long
        request.  Only the verdict, at the end, counts it as one that did nothing.  The connections of a lost worker do
        not conform.
        """
        states = states_of(self._tallies, self._plan.bound)
        if self._lost:
            states[self._placement.of_any(self._lost)] = State.LOST
        places = np.bincount(self._target_of * len(State) + states, minlength=len(self._targets) * len(State))
        counts = places.reshape(-1, len(State))
        silent = counts[:, State.NO_REQUESTS]
        kept = silent + counts[:, State.CONFORMING]
        return [
            None if quiet == requested else int(good)
            for quiet, good, requested in zip(silent, kept, self._requested, strict=True)
        ]


def lateness_p99_ms(interval: Totals) -> dict[str, float]:
    """The 99th percentile of lateness in an interval: by worker, and by machine for its worst worker."""
    played = PlayedTable.of(interval.played)
    workers = {worker: at for at, worker in enumerate(sorted({worker for _, worker in played}))}
    late = played.lateness
    if len(workers) < len(played):
        late = late.add_up(np.array([workers[worker] for _, worker in played]), len(workers))
    else:
        workers = {worker: at for at, (_, worker) in enumerate(played)}
    late_ns = late.percentiles_ns(99)
    found: dict[str, float] = {}
    for worker, ns in zip(workers, late_ns, strict=True):
        if ns is not None:
            machine = worker.rpartition("/")[0]
            found[worker] = ns / NS_PER_MS
            found[machine] = max(found.get(machine, 0.0), found[worker])
    return found


def interval_s(ledger: Ledger, newest: int) -> float:
    """The length of the interval, in which rates are given: that of the engine that played for longest in it."""
    played = (ledger.health_at(worker, newest) for worker in ledger.workers)
    longest_ns = max((health.wall_ns for health in played if health is not None), default=0)
    return min(INTERVAL_S, longest_ns / NS_PER_S) or INTERVAL_S


def engine_rows(ledger: Ledger, newest: int, late_ms: Mapping[str, float]) -> tuple[EngineRow, ...]:
    """One row for each engine that reported the interval; a lost engine has none."""
    rows = []
    for worker in ledger.workers:
        health = ledger.health_at(worker, newest)
        if health is None:
            continue
        wall_ns = max(1, health.wall_ns)
        rows.append(
            EngineRow(
                worker=worker,
                connections=health.active_connections,
                cpu_share=health.cpu_ns / wall_ns,
                runqueue_share=None if health.runqueue_ns < 0 else health.runqueue_ns / wall_ns,
                lateness_p99_ms=late_ms.get(worker),
            )
        )
    return tuple(rows)
