"""The value that the live view of a `loadgen http` run shows, made from the ledger.  No I/O and no clock."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coordinator.output.terminal.build import INTERVAL_S, engine_rows, interval_s, lateness_p99_ms, response_of_all
from coordinator.output.terminal.failures import Failures
from coordinator.output.terminal.machines import Status, machine_rows
from coordinator.output.terminal.runview import EngineRow, MachineRow, Position
from loadgen.measure.cells import Cell
from loadgen.measure.ledger import Ledger, Totals
from loadgen.measure.tally import empty_tallies
from loadgen.model.http2 import slots_of
from loadgen.model.http_plan import HttpPlan
from loadgen.verdict.span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTargetRow:
    """One target, or all.

    Rates and times are those of the newest complete interval; errors and shed requests those of the measured window, or
    of the warm-up before it.  `operations` and `received_bytes` are those of all time so far.
    """

    name: str
    connections: int
    per_s: float
    mbit_per_s: float
    p50_ms: Span | None
    p99_ms: Span | None
    max_ms: Span | None
    errors: int
    shed: int
    operations: int = 0
    received_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpView:
    """A `loadgen http` run at one moment.  `interval` is the newest complete interval, or -1 when there is none.

    `statuses` has the replies of the time that the errors are of, by status code.
    """

    title: str
    position: Position
    interval: int
    targets: tuple[HttpTargetRow, ...]
    total: HttpTargetRow
    engines: tuple[EngineRow, ...]
    machines: tuple[MachineRow, ...] = ()
    notices: tuple[str, ...] = ()
    statuses: Mapping[int, int] = field(default_factory=dict)


class HttpViewBuilder:
    """Makes the HttpViews of one run, one after the other."""

    def __init__(self, plan: HttpPlan, *, title: str) -> None:
        self._title = title
        self._targets = plan.targets
        self._shares = slots_of(plan.shares, plan.streams)
        self._seen = -1
        self._newest = Totals({}, empty_tallies(), {})
        self._failures = Failures(window=0)
        self._length_s = float(INTERVAL_S)  # of the newest interval
        self._engines: tuple[EngineRow, ...] = ()  # of the newest interval, as the next value
        self._late_ms: Mapping[str, float] = {}  # by worker and by machine

    def build(
        self,
        ledger: Ledger,
        position: Position,
        notices: Sequence[str] = (),
        machines: Sequence[Status] = (),
        engine: str = "",
    ) -> HttpView:
        """The view of the run at `position`; `engine` says which engine plays, and is empty while that is not known."""
        newest = ledger.complete_through()
        for n in range(self._seen + 1, newest + 1):
            with contextlib.suppress(LookupError):  # too old: the ledger no longer holds it
                self._newest = ledger.interval(n)
                self._failures.add(self._newest.cells)
        if newest > self._seen:
            self._late_ms = lateness_p99_ms(self._newest)
            self._engines = engine_rows(ledger, newest, self._late_ms)
            self._length_s = interval_s(ledger, newest)
        self._seen = newest
        cells: defaultdict[int, list[Cell]] = defaultdict(list)
        for (_, target), cell in self._newest.cells.items():
            cells[target].append(cell)
        rows = tuple(
            dataclasses.replace(
                self._row(target.name, self._shares[at], cells[at], self._failures.bad(at), self._failures.shed(at)),
                operations=self._failures.answered(at),
                received_bytes=self._failures.received_bytes(at),
            )
            for at, target in enumerate(self._targets)
        )
        everything = [cell for some in cells.values() for cell in some]
        bad, shed = sum(row.errors for row in rows), sum(row.shed for row in rows)
        return HttpView(
            title=f"{self._title} · {engine}" if engine else self._title,
            position=position,
            interval=newest,
            targets=rows,
            total=self._row(f"all {len(rows)}", sum(self._shares), everything, bad, shed),
            engines=self._engines,
            machines=machine_rows(machines, self._late_ms),
            notices=tuple(notices),
            statuses=self._failures.statuses(),
        )

    def _row(self, name: str, connections: int, cells: Sequence[Cell], errors: int, shed: int) -> HttpTargetRow:
        response = response_of_all(cells)
        return HttpTargetRow(
            name=name,
            connections=connections,
            per_s=sum(cell.ok for cell in cells) / self._length_s,
            mbit_per_s=8e-6 * sum(cell.bytes for cell in cells) / self._length_s,
            p50_ms=Span.of(response.percentile(50)),
            p99_ms=Span.of(response.percentile(99)),
            max_ms=Span.of(response.percentile(100)),
            errors=errors,
            shed=shed,
        )
