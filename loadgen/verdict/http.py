"""The verdict of a `loadgen http` run: measured numbers, objectives, and the reasons behind the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import BAD, OK, Cell
from loadgen.measure.censored import Times as Censored
from loadgen.measure.codes import codes_of
from loadgen.model.units import NS_PER_S, number
from loadgen.verdict.checks.tape.engine_cpu import ENGINE_CPU, ENGINE_RUNNABLE
from loadgen.verdict.fates import Fates, fates_by_target, sum_of
from loadgen.verdict.http_result import HttpResult, HttpRow, RequestRow, Times, TimeSpans
from loadgen.verdict.overload import Asking, OfRun, say_limit
from loadgen.verdict.result import Trust, Verdict
from loadgen.verdict.rules import Asked
from loadgen.verdict.run import LostWorker, say_early, say_failed, say_lost
from loadgen.verdict.seen import say_codes
from loadgen.verdict.slo import Slo, SloCheck
from loadgen.verdict.time_shares import TimeShares, time_shares


def judge_http(
    cells: Mapping[tuple[int, int], Cell],
    tallies: NDArray[np.void],
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
    done: bool = False,
    early: str = "",
    slots: str = "connections",
) -> HttpResult:
    """The result with its verdict: the first verdict in this list that applies; the reasons name all that apply.

    1. INTERRUPTED: the user stopped the run.  2. INVALID: a trust check fails, or the window was not measured
    completely.  3. DEGRADED: a worker was lost.  4. NOT_CONFORMING: an objective is missed, or no request was answered,
    or the run was stopped because an objective will be missed whatever follows: `early` says which.  5. CONFORMING.
    The objectives of an INVALID run are not judged.

    A closed loop at full speed saturates something.  If it saturates an engine, the rate is only a lower bound of what
    the servers can do, and the times include the engine's own queue: the run is INVALID, and a reason gives the bound.
    `cells` are keyed by (window, target) as in the ledger; `tallies` (TALLY_DTYPE) are those of the window, and
    `measured_ns` is its length.  `done`: it ended because the given number of requests was done.  `slots` is the word
    for what plays one request at a time.  After the reasons of the verdict follows what limited the run, where that is
    known (loadgen.verdict.overload).
    """
    nothing = Cell.empty(len(asked.kinds), len(asked.groups))
    fates = fates_by_target(cells, len(asked.targets), nothing, measured_ns)
    window = sum_of(fates, nothing)
    sent = [
        sum(cells.get((at, number), nothing).lateness.total for at in (-1, 0)) for number in range(len(asked.targets))
    ]
    measured_s = measured_ns / NS_PER_S
    by_target = asked.target_of[tallies["connection"]]
    idles = open_loop or done  # connections without an operation are idle, not absent
    whole = time_shares(tallies, asked.connections, measured_ns, open_loop=idles)
    total = _row("all", window, asked.connections, measured_s, sum(sent), whole)
    is_judged = trust.valid and bool(complete or interrupted or lost or early)
    closed = 0 if open_loop else asked.connections
    checks = tuple(slo.judge(window, measured_s, closed_connections=closed) for slo in slos) if is_judged else ()
    whole_or_early = complete or bool(early)
    reasons = _reasons(window, total, checks, trust, open_loop, whole_or_early, interrupted, lost, asked.connections)
    if early and trust.valid:
        at = sum(verdict in (Verdict.INTERRUPTED, Verdict.INVALID, Verdict.DEGRADED) for verdict, _ in reasons)
        reasons.insert(at, (Verdict.NOT_CONFORMING, say_early(early, measured_s)))
    shares = [int((asked.target_of == number).sum()) for number in range(len(asked.targets))]
    times = [
        time_shares(tallies[by_target == number], share, measured_ns, open_loop=idles)
        for number, share in enumerate(shares)
    ]
    run = OfRun(measured_s, open_loop, slots)
    limit = () if lost else _limit(cells, asked, fates, shares, times, run, checks, trust)
    return HttpResult(
        verdict=reasons[0][0],
        reasons=(*(text for _, text in reasons), *limit),
        measured_s=measured_s,
        sent=sum(sent),
        total=total,
        targets=tuple(
            _row(
                target.name,
                fates[number],
                shares[number],
                measured_s,
                sent[number],
                times[number],
            )
            for number, target in enumerate(asked.targets)
        ),
        requests=_requests(window.cell, asked.kinds),
        lateness_ms=Times.of(window.cell.lateness),
        slos=checks,
        trust=trust,
        notes=(*notes, *_notes(window, open_loop, trust)),
        stopped_early=early,
    )


def _limit(
    cells: Mapping[tuple[int, int], Cell],
    asked: Asked,
    fates: Sequence[Fates],
    shares: Sequence[int],
    times: Sequence[TimeShares | None],
    run: OfRun,
    slos: Sequence[SloCheck],
    trust: Trust,
) -> tuple[str, ...]:
    """The sentence on what limited the run; () when it is not known, or nothing did."""
    each = [
        Asking(target.name, cells[0, at].issued if (0, at) in cells else 0, fate.cell, share, time)
        for at, (target, fate, share, time) in enumerate(zip(asked.targets, fates, shares, times, strict=True))
    ]
    said = say_limit(each, run, slos, trust)
    return (said,) if said else ()


def _row(name: str, fates: Fates, connections: int, measured_s: float, sent: int, time: TimeShares | None) -> HttpRow:
    cell = fates.cell
    return HttpRow(
        name=name,
        connections=connections,
        ok=cell.ok,
        errors=cell.errors,
        cut=cell.cut,
        per_s=cell.ok / measured_s if measured_s else 0.0,
        mbit_per_s=8e-6 * cell.bytes / measured_s if measured_s else 0.0,
        response_ms=TimeSpans.of(Censored.response_of(cell)),
        service_ms=TimeSpans.of(Censored.service_of(cell)),
        due=cell.issued,
        sent=sent,
        unanswered=fates.unanswered.total,
        retries=cell.retries,
        statuses=codes_of(cell.statuses),
        surplus=cell.surplus,
        time=time,
    )


def _requests(window: Cell, kinds: Sequence[str]) -> tuple[RequestRow, ...]:
    counts = window.counts.sum(axis=1)
    return tuple(
        RequestRow(name=name, ok=int(counts[number, OK]), bad=int(counts[number, BAD]))
        for number, name in enumerate(kinds)
    )


def _reasons(
    window: Fates,
    total: HttpRow,
    slos: Sequence[SloCheck],
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
    failed = [check for check in trust.checks if not check.ok]
    if total.ok and not open_loop and any(check.name in (ENGINE_CPU, ENGINE_RUNNABLE) for check in failed):
        limit = f"The client was the limit: the servers can do {_rate(total.per_s)} requests/s or more."
        reasons.append((Verdict.INVALID, limit))
    reasons += [(Verdict.INVALID, f"Load generator: {say_failed(check)}.") for check in failed]
    reasons += [(Verdict.DEGRADED, say_lost(one, connections)) for one in lost]
    if not complete and not interrupted:  # a lost worker explains it
        verdict = Verdict.DEGRADED if lost else Verdict.INVALID
        reasons.append((verdict, "The window was not measured completely."))
    reasons += [(Verdict.NOT_CONFORMING, _missed(check)) for check in slos if not check.ok]
    if not total.ok and (total.due or not reasons):
        reasons.append((Verdict.NOT_CONFORMING, _no_answer(window)))
    elif total.unanswered:
        # The sentence names what happened in any verdict; on its own it leaves a measurement valid.
        reasons.append((Verdict.CONFORMING, _unanswered(window)))
    if all(verdict is Verdict.CONFORMING for verdict, _ in reasons):
        reasons.insert(0, (Verdict.CONFORMING, _conforming(total, len(slos))))
    return reasons


def _missed(check: SloCheck) -> str:
    if not check.known:
        return f"Objective missed: {check.name} is not known, because {check.detail}."
    if not check.at_least:
        return f"Objective missed: {say_failed(check)}."
    need = {"<": "less than", "<=": "at most"}[check.relation]
    value, limit = (f"{number(one)} {check.unit}" for one in (check.value, check.limit))
    return f"Objective missed: {check.name} is at least {value}, but {need} {limit} is required ({check.detail})."


def _no_answer(window: Fates) -> str:
    errors, cut = window.cell.errors, window.cell.cut
    worst = max(errors, key=errors.__getitem__).lower().replace("_", " ") if errors else ""
    if worst == "bad status":
        worst += f" ({say_codes(window.cell)})"
    if not cut:
        return f"No request succeeded; most ended as {worst}." if worst else "No request was answered: none was due."
    failed = f"; {window.cell.bad:,} failed, most as {worst}" if worst else ""
    return f"No request was answered: {cut:,} had no complete reply at the end, after {_longest(window)}{failed}."


def _unanswered(window: Fates) -> str:
    number = window.unanswered.total
    return f"{number:,} request{'s' * (number != 1)} had no complete reply at the end, after {_longest(window)}."


def _longest(window: Fates) -> str:
    return f"up to {window.cell.response_cut.max_ns / NS_PER_S:.3g} s"


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.3g}"


def _conforming(total: HttpRow, slos: int) -> str:
    bad = sum(total.errors.values())
    counted = f"{total.ok:,} requests, {_rate(total.per_s)} per second, {bad:,} errors"
    if total.unanswered:
        counted += f", {total.unanswered:,} unanswered"
    if not slos:
        return f"Measured: {counted}. No objective was given."
    return f"{'The objective holds' if slos == 1 else f'All {slos} objectives hold'}: {counted}."


def _notes(window: Fates, open_loop: bool, trust: Trust) -> list[str]:
    """Notes on requests that some percentiles do not include."""
    never_sent = window.cell.cut - window.cell.service_cut.total
    if not open_loop or never_sent <= 0:
        return []
    why = ", because replies came more slowly than requests were due" if trust.valid else ""
    return [
        f"{never_sent:,} of {window.cell.issued:,} requests still waited for a connection at the end{why}: the "
        "response times include their waits as lower bounds, service times and lateness do not"
    ]
