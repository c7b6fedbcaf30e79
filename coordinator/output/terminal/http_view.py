"""The value that the live view of a `loadgen http` run shows, made from the ledger.  No I/O and no clock."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coordinator.output.terminal.build import engine_rows, interval_s, lateness_p99_ms
from coordinator.output.terminal.failures import Failures
from coordinator.output.terminal.figures import Figures
from coordinator.output.terminal.machines import Status, machine_rows
from coordinator.output.terminal.runview import EngineRow, MachineRow, Position
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
        # Of the newest interval, as the next values.
        self._rows: tuple[HttpTargetRow, ...] = ()
        self._total: HttpTargetRow | None = None
        self._engines: tuple[EngineRow, ...] = ()
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
        if newest > self._seen or self._total is None:
            self._late_ms = lateness_p99_ms(self._newest)
            self._engines = engine_rows(ledger, newest, self._late_ms)
            self._rows, self._total = self._all_rows(interval_s(ledger, newest))
        self._seen = newest
        return HttpView(
            title=f"{self._title} · {engine}" if engine else self._title,
            position=position,
            interval=newest,
            targets=self._rows,
            total=self._total,
            engines=self._engines,
            machines=machine_rows(machines, self._late_ms),
            notices=tuple(notices),
            statuses=self._failures.statuses(),
        )

    def _all_rows(self, length_s: float) -> tuple[tuple[HttpTargetRow, ...], HttpTargetRow]:
        """The rows of the targets, and that of all together."""
        figures = Figures(self._newest.cells, len(self._targets), length_s)
        p50_ms, p99_ms, max_ms = (figures.percentiles_ms(q) for q in (50, 99, 100))
        names = [*(target.name for target in self._targets), f"all {len(self._targets)}"]
        counts = range(len(self._targets))
        errors = [self._failures.bad(at) for at in counts]
        shed = [self._failures.shed(at) for at in counts]
        connections, errors, shed = ([*one, sum(one)] for one in (self._shares, errors, shed))
        rows = [
            HttpTargetRow(
                name=name,
                connections=connections[at],
                per_s=figures.per_s[at],
                mbit_per_s=figures.mbit_per_s[at],
                p50_ms=p50_ms[at],
                p99_ms=p99_ms[at],
                max_ms=max_ms[at],
                errors=errors[at],
                shed=shed[at],
                operations=self._failures.answered(at),
                received_bytes=self._failures.received_bytes(at),
            )
            for at, name in enumerate(names)
        ]
        return tuple(rows[:-1]), rows[-1]
