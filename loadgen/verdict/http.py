"""The verdict of a `loadgen http` run: measured numbers, objectives, and the reasons behind the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadgen.measure.cells import BAD, OK, Cell
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from loadgen.verdict.checks.tape.engine_cpu import ENGINE_CPU, ENGINE_RUNNABLE
from loadgen.verdict.http_result import HttpResult, HttpRow, RequestRow, Times
from loadgen.verdict.result import Check, Trust, Verdict
from loadgen.verdict.rules import Asked
from loadgen.verdict.run import LostWorker, say_failed, say_lost
from loadgen.verdict.slo import Slo

_UNSENT = (Outcome.SHED, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.LOCAL_LIMIT, Outcome.BAD_TLS)
"""Outcomes of requests that were never sent, and that did not wait for a connection at the end either."""


def judge_http(
    cells: Mapping[tuple[int, int], Cell],
    asked: Asked,
    slos: Sequence[Slo],
    trust: Trust,
    *,
    open_loop: bool,
    measured_ns: int,
    complete: bool,
    interrupted: bool = False,
    lost: Sequence[LostWorker] = (),
    notes: Sequence[str] = (),
) -> HttpResult:
    """The result with its verdict: the first verdict in this list that applies; the reasons name all that apply.

    1. INTERRUPTED: the user stopped the run.  2. DEGRADED: a worker was lost.  3. INVALID: a trust check fails, or the
    window was not measured completely.  4. NOT_CONFORMING: an objective is missed, or no request was answered.
    5. CONFORMING.

    A closed loop at full speed saturates something.  If it saturates an engine, the rate is only a lower bound of what
    the servers can do, and the times include the engine's own queue: the run is INVALID, and a reason gives the bound.
    `cells` are keyed by (window, target) as in the ledger; `measured_ns` is the length of the window.
    """
    nothing = Cell.empty(len(asked.kinds), len(asked.groups))
    own = {target: cell for (window, target), cell in cells.items() if window == 0}
    window = Cell.merge_all([nothing, *own.values()])
    whole = Cell.merge_all([nothing, *cells.values()])
    measured_s = measured_ns / NS_PER_S
    total = _row("all", window, asked.connections, measured_s)
    checks = tuple(slo.judge(window, measured_s) for slo in slos)
    reasons = _reasons(total, checks, trust, open_loop, complete, interrupted, lost, asked.connections)
    shares = [int((asked.target_of == number).sum()) for number in range(len(asked.targets))]
    return HttpResult(
        verdict=reasons[0][0],
        reasons=tuple(text for _, text in reasons),
        measured_s=measured_s,
        sent=whole.lateness.total,
        total=total,
        targets=tuple(
            _row(target.name, own.get(number, nothing), shares[number], measured_s)
            for number, target in enumerate(asked.targets)
        ),
        requests=_requests(window, asked.kinds),
        lateness_ms=Times.of(window.lateness),
        slos=checks,
        trust=trust,
        notes=(*notes, *_notes(window, open_loop)),
    )


def _row(name: str, cell: Cell, connections: int, measured_s: float) -> HttpRow:
    return HttpRow(
        name=name,
        connections=connections,
        ok=cell.ok,
        errors=cell.errors,
        cut=cell.cut,
        per_s=cell.ok / measured_s if measured_s else 0.0,
        mbit_per_s=8e-6 * cell.bytes / measured_s if measured_s else 0.0,
        response_ms=Times.of(cell.response),
        service_ms=Times.of(cell.service),
        retries=cell.retries,
    )


def _requests(window: Cell, kinds: Sequence[str]) -> tuple[RequestRow, ...]:
    counts = window.counts.sum(axis=1)
    return tuple(
        RequestRow(name=name, ok=int(counts[number, OK]), bad=int(counts[number, BAD]))
        for number, name in enumerate(kinds)
    )


def _reasons(
    total: HttpRow,
    slos: Sequence[Check],
    trust: Trust,
    open_loop: bool,
    complete: bool,
    interrupted: bool,
    lost: Sequence[LostWorker],
    connections: int,
) -> list[tuple[Verdict, str]]:
    reasons: list[tuple[Verdict, str]] = []
    if interrupted:
        reasons.append((Verdict.INTERRUPTED, "The run was interrupted before its window was measured completely."))
    reasons += [(Verdict.DEGRADED, say_lost(one, connections)) for one in lost]
    failed = [check for check in trust.checks if not check.ok]
    if not open_loop and any(check.name in (ENGINE_CPU, ENGINE_RUNNABLE) for check in failed):
        limit = f"The client was the limit: the servers can do {total.per_s:,.0f} requests/s or more."
        reasons.append((Verdict.INVALID, limit))
    reasons += [(Verdict.INVALID, f"Load generator: {say_failed(check)}.") for check in failed]
    if not complete and not interrupted:
        reasons.append((Verdict.INVALID, "The window was not measured completely."))
    reasons += [(Verdict.NOT_CONFORMING, f"Objective missed: {say_failed(check)}.") for check in slos if not check.ok]
    if not total.ok and total.errors:
        worst = max(total.errors, key=total.errors.__getitem__)
        name = worst.lower().replace("_", " ")
        reasons.append((Verdict.NOT_CONFORMING, f"No request succeeded; most ended as {name}."))
    if not reasons:
        reasons.append((Verdict.CONFORMING, _conforming(total, len(slos))))
    return reasons


def _conforming(total: HttpRow, slos: int) -> str:
    bad = sum(total.errors.values())
    counted = f"{total.ok:,} requests, {total.per_s:,.0f} per second, {bad:,} errors"
    if not slos:
        return f"Measured: {counted}. No objective was given."
    return f"{'The objective holds' if slos == 1 else f'All {slos} objectives hold'}: {counted}."


def _notes(window: Cell, open_loop: bool) -> list[str]:
    """Notes on requests that no percentile includes."""
    failed = sum(window.errors.get(outcome.name, 0) for outcome in _UNSENT)
    # At most the cut ones: a request whose handshake timed out was not sent either.
    never_sent = min(window.cut, window.issued - window.lateness.total - failed)
    if not open_loop or never_sent <= 0:
        return []
    return [f"{never_sent:,} requests still waited for a connection at the end; no percentile includes them"]
