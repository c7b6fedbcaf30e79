"""Judges `loadgen isolate`: the latency of a quiet VM beside antisocial ones, and whether it may be trusted.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from loadgen.measure.censored import Times
from loadgen.measure.histogram import EMPTY, Histogram, lowest_of
from loadgen.measure.isolation import Held, HostSeen, Isolated, Phase, Probed, times_of
from loadgen.model.isolate import Hog, IsolatePlan
from loadgen.model.units import NS_PER_MS, NS_PER_S, counted
from loadgen.verdict.isolate_result import EDGES_MS, HostRow, IsolateResult, IsolateRow, Latency
from loadgen.verdict.result import Verdict
from loadgen.verdict.span import Span

MAX_LATE_NS = 20 * NS_PER_MS
"""The lateness of the probes, 99th percentile: a prober that is not there when it is slow misses what it looks for."""

MAX_OTHERS = 0.20
"""The share of all cores that others may use meanwhile, as for the load generators of other commands."""


def judge_isolate(plan: IsolatePlan, isolated: Isolated, *, notes: Sequence[str] = ()) -> IsolateResult:
    """The result of what was measured.  INTERRUPTED: the run was stopped before all phases were.

    CONFORMING: each hog ran as long as it should, and the quiet VM kept serving beside it.  NOT_CONFORMING: a server of
    the quiet VM ended or fell silent, or a phase was broken off.  INVALID: a hog did not run, the probes were late,
    or others used the machine, so that the numbers do not say what the hog did.
    """
    wrong = [*_disturbed(isolated.phases), *(text for phase in isolated.phases for text in _untrusted(phase))]
    rows = tuple(_row(phase) for phase in isolated.phases)
    rows = tuple(map(_without_score, rows)) if wrong else _with_losses(rows)
    bad = [text for row in rows for text in _unserved(row)]
    measured = {row.hog for row in rows}
    missing = [hog.value for hog in plan.phases if hog not in measured]
    if missing:
        verdict = Verdict.INTERRUPTED
        reasons = [f"the run was stopped before these were measured: {', '.join(missing)}", *wrong, *bad]
    elif wrong:
        verdict, reasons = Verdict.INVALID, [*wrong, *bad]
    elif bad:
        verdict, reasons = Verdict.NOT_CONFORMING, bad
    else:
        verdict = Verdict.CONFORMING
        reasons = [f"the quiet VM served all the time, idle and beside {counted(len(rows) - 1, 'hog')}"]
    return IsolateResult(
        verdict=verdict, reasons=tuple(reasons), notes=tuple(notes), rows=rows, about=dict(isolated.about)
    )


def latency_of(probed: Probed) -> Latency:
    """The latency that the probes of a service measured."""
    lost = times_of([probed.timeout_ns] * probed.lost)
    times = Times(known=probed.answered, failed=lost, cut=EMPTY)
    total = probed.sent
    bins = _bins(probed)
    return Latency(
        sent=total,
        lost=probed.lost,
        p50=Span.of(times.percentile(50)),
        p95=Span.of(times.percentile(95)),
        p99=Span.of(times.percentile(99)),
        max=Span.of(times.percentile(100)),
        below_1ms=sum(bins[: EDGES_MS.index(1.0) + 1]) if total else None,
        bins=bins,
    )


def _bins(probed: Probed) -> tuple[float, ...]:
    """The shares of all probes between the edges; those without a reply are in the last bin."""
    if not probed.sent:
        return ()
    answered = probed.answered
    edges_ns = np.array([edge * NS_PER_MS for edge in EDGES_MS])
    bins = np.searchsorted(edges_ns, lowest_of(answered.indexes.astype(np.int64)), side="right")
    counts = np.bincount(bins, weights=answered.counts, minlength=len(EDGES_MS) + 1)
    counts[-1] += probed.lost
    return tuple(float(count) / probed.sent for count in counts)


def _row(phase: Phase) -> IsolateRow:
    return IsolateRow(
        hog=phase.hog,
        game=latency_of(phase.game) if phase.game else None,
        echo=latency_of(phase.echo) if phase.echo else None,
        web=phase.web,
        held=phase.held,
        host=_host(phase.host) if phase.host else None,
        deaths=phase.deaths,
        failed=phase.failed,
        end_s=None if phase.end_ns is None else phase.end_ns / NS_PER_S,
    )


def _host(seen: HostSeen) -> HostRow:
    return HostRow(
        spawn_p50_ms=_millis(seen.spawn, 50),
        spawn_max_ms=_millis(seen.spawn, 100),
        free_bytes=seen.free_bytes,
        others_share=seen.others_share,
    )


def _millis(times: Histogram, q: float) -> float | None:
    found = times.percentile_ns(q)
    return None if found is None else found / NS_PER_MS


def _with_losses(rows: Sequence[IsolateRow]) -> tuple[IsolateRow, ...]:
    """The rows with the loss of conforming connections against the idle case, where both are known."""
    idle = next((row.web.conforming for row in rows if row.hog is Hog.NONE and row.web), None)
    found = []
    for row in rows:
        now = row.web.conforming if row.web and row.hog is not Hog.NONE else None
        loss = max(0.0, 1 - now / idle) if idle and now is not None else None
        found.append(dataclasses.replace(row, conforming_loss=loss))
    return tuple(found)


def _without_score(row: IsolateRow) -> IsolateRow:
    return dataclasses.replace(row, web=dataclasses.replace(row.web, conforming=None)) if row.web else row


def _untrusted(phase: Phase) -> Iterator[str]:
    """Why the numbers of a phase do not say what the hog did."""
    name = _named(phase.hog)
    if phase.failed:
        return
    if phase.held is not None:
        yield from _idle_hogs(phase.held, name)
    for what, probed in (("game", phase.game), ("echo", phase.echo)):
        late_ns = probed.late.percentile_ns(99) if probed else None
        if late_ns is not None and late_ns > MAX_LATE_NS:
            yield (
                f"{name}: the probes of the {what} server were late themselves: {late_ns / NS_PER_MS:.0f} ms in the "
                f"99th percentile, but at most {MAX_LATE_NS / NS_PER_MS:.0f} ms are allowed"
            )
    if phase.web is not None and phase.web.invalid and not phase.deaths and not _is_disturbed(phase):
        yield f"{name}: the load on the web server cannot be trusted: {phase.web.invalid}"


def _is_disturbed(phase: Phase) -> bool:
    return phase.host is not None and phase.host.others_share > MAX_OTHERS


def _disturbed(phases: Sequence[Phase]) -> Iterator[str]:
    """One sentence on others that used the machine, whichever phases they disturbed."""
    disturbed = [(phase.hog, phase.host) for phase in phases if phase.host is not None and _is_disturbed(phase)]
    if disturbed:
        _, worst = max(disturbed, key=lambda one: one[1].others_share)
        most = f" (largest user: {worst.others_most})" if worst.others_most else ""
        names = ", ".join(_named(hog) for hog, _ in disturbed)
        yield (
            f"other processes used up to {worst.others_share:.0%} of all cores, but at most {MAX_OTHERS:.0%} are "
            f"allowed{most}; disturbed: {names}"
        )


def _idle_hogs(held: Held, name: str) -> Iterator[str]:
    if held.running < held.hogs:
        why = f": {held.ended}" if held.ended else ""
        yield f"{name}: {held.hogs - held.running} of {counted(held.hogs, 'hog')} ended too early{why}"
    elif held.hogs and held.did == 0:
        yield f"{name}: the hogs did nothing"


def _unserved(row: IsolateRow) -> Iterator[str]:
    """What went wrong for the quiet VM."""
    name = _named(row.hog)
    if row.failed:
        yield f"{name}: broken off: {row.failed}"
    for death in row.deaths:
        yield f"{name}: the quiet VM lost a server: {death}"
    for what, latency in (("game server", row.game), ("UDP echo", row.echo)):
        if latency is not None and latency.sent and latency.lost == latency.sent:
            yield f"{name}: the {what} of the quiet VM answered none of {counted(latency.sent, 'probe')}"


def _named(hog: Hog) -> str:
    return "idle" if hog is Hog.NONE else f"hog {hog.value}"
