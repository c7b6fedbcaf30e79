"""Does an iteration conform?  Judges and sums up one measured window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import BAD, CUT, OK, Cell
from loadgen.measure.histogram import Histogram
from loadgen.measure.ledger import Totals
from loadgen.model.bound import BoundKind
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.connection import State, judge_connections
from loadgen.verdict.mix import check_mix
from loadgen.verdict.result import Check, IterationResult, ResponseTimes, TargetResult
from loadgen.verdict.rules import RULES, Asked, Rules


def judge_iteration(
    index: int,
    totals: Totals,
    asked: Asked,
    *,
    measured_ns: int,
    complete: bool = True,
    more_checks: Iterable[Check] = (),
    rules: Rules = RULES,
) -> IterationResult:
    """The result of window `index`, which was measured for `measured_ns`.

    `complete` is False for a window that was cut short.  `more_checks` are checks made elsewhere, from more than
    measurements: the comparison of the servers' POST logs.
    """
    found = judge_connections(totals.window_tallies(index), asked.connections, asked.bound, rules)
    cells = totals.window(index)
    nothing = Cell.empty(len(asked.kinds), len(asked.groups))
    whole = Cell.merge_all([nothing, *cells.values()])
    seconds = measured_ns / NS_PER_S
    targets = tuple(
        _target_result(target, cells.get(number, nothing), found[asked.target_of == number], seconds)
        for number, target in enumerate(asked.targets)
    )
    conforming = int((found["state"] == State.CONFORMING).sum())
    checks = [_check_conforming(targets, found, rules), _check_errors(whole, asked.kinds, rules)]
    if asked.bound.kind is BoundKind.TIME:
        checks += _check_times(whole, asked.bound.good_share, asked.bound.tolerable_share)
    # Cut requests count too: the end of a segment cuts mostly long requests, and leaving them out would skew the mix.
    checks += check_mix(whole.counts[..., [OK, CUT]].sum(axis=(1, 2)), asked.kinds, asked.kind_shares, rules)
    return IterationResult(
        index=index,
        measured_s=seconds,
        complete=complete,
        requested=asked.connections,
        conforming=conforming,
        ops_per_s=whole.ok / seconds,
        kbit_per_s=sum(target.kbit_per_s for target in targets),
        requests_ok=whole.ok,
        requests_conforming=whole.good,
        errors=whole.errors,
        by_kind=_ok_and_bad(asked.kinds, whole.counts.sum(axis=1)),
        by_group=_ok_and_bad(asked.groups, whole.counts.sum(axis=0)),
        response_ms=percentiles_ms(whole.response),
        service_ms=percentiles_ms(whole.service),
        lateness_ms=percentiles_ms(whole.lateness),
        checks=(*checks, *more_checks),
        targets=targets,
    )


def percentiles_ms(histogram: Histogram) -> ResponseTimes:
    """The percentiles that reports show, from a histogram of nanoseconds."""

    def at(q: float) -> float | None:
        value = histogram.percentile_ns(q)
        return None if value is None else value / NS_PER_MS

    return ResponseTimes(p50=at(50), p90=at(90), p99=at(99), max=at(100))


def _target_result(target: Target, cell: Cell, found: NDArray[np.void], seconds: float) -> TargetResult:
    kbit_per_s = found["bits_per_s"] / 1000
    return TargetResult(
        name=target.name,
        host=target.host,
        port=target.port,
        requested=len(found),
        conforming=int((found["state"] == State.CONFORMING).sum()),
        requests_ok=cell.ok,
        requests_conforming=cell.good,
        ops_per_s=cell.ok / seconds,
        kbit_per_s=8 * cell.bytes / 1000 / seconds,
        response_ms=percentiles_ms(cell.response),
        connection_kbit_per_s=(float(kbit_per_s.min()), float(kbit_per_s.mean()), float(kbit_per_s.max()))
        if len(found)
        else (0.0, 0.0, 0.0),
        errors=cell.errors,
    )


def _ok_and_bad(names: Sequence[str], counts: NDArray[np.int64]) -> dict[str, tuple[int, int]]:
    return {name: (int(row[OK]), int(row[BAD])) for name, row in zip(names, counts, strict=True)}


def _check_conforming(targets: Sequence[TargetResult], found: NDArray[np.void], rules: Rules) -> Check:
    conforming, requested = int((found["state"] == State.CONFORMING).sum()), len(found)
    detail = f"{conforming} of {requested} requested connections conformed"
    causes = [
        f"{count} {text}"
        for state, text in (
            (State.SLOW, "too slow"),
            (State.ERRORS, "with too many errors"),
            (State.NO_REQUESTS, "without any request"),
        )
        if (count := int((found["state"] == state).sum()))
    ]
    if causes:
        worst = min(targets, key=lambda t: (t.conforming or 0) / t.requested if t.requested else 1.0)
        detail += f" ({', '.join(causes)}); worst: {worst.name} with {worst.conforming} of {worst.requested}"
    return Check(
        name="conforming connections",
        value=100 * conforming / requested,
        limit=100 * rules.min_conforming_share,
        ok=conforming >= rules.min_conforming_share * requested,
        unit="%",
        relation=">=",
        detail=detail,
    )


def _check_errors(whole: Cell, kinds: Sequence[str], rules: Rules) -> Check:
    """The highest error share among all requests together and the requests of each kind.

    A kind may always have one failure: with fewer than 100 requests, a single one would exceed 1 %.
    """
    by_kind = whole.counts.sum(axis=1)
    asked = [("all requests", whole.bad, whole.ok + whole.bad, 0)]
    asked += [(kind, int(row[BAD]), int(row[OK] + row[BAD]), 1) for kind, row in zip(kinds, by_kind, strict=True)]
    limits = [max(rules.max_error_share, spare / n if n else 0.0) for _, _, n, spare in asked]
    shares = [bad / n if n else 0.0 for _, bad, n, _ in asked]
    worst = max(range(len(asked)), key=lambda i: (shares[i] > limits[i], shares[i]))
    name, bad, n, _ = asked[worst]
    detail = f"{bad} of {n} failed: {name}"
    if whole.errors:
        detail += "; " + ", ".join(f"{name} {count}" for name, count in whole.errors.items())
    return Check(
        name="errors",
        value=100 * shares[worst],
        limit=100 * limits[worst],
        ok=shares[worst] <= limits[worst],
        unit="%",
        detail=detail,
    )


def _check_times(whole: Cell, good_share: float, tolerable_share: float) -> list[Check]:
    requests = whole.ok + whole.bad + whole.overdue
    return [
        Check(
            name=f"{name} requests",
            value=100 * count / requests if requests else 0.0,
            limit=100 * share,
            ok=requests > 0 and count >= share * requests,
            unit="%",
            relation=">=",
            detail=f"{count} of {requests} requests were {name}",
        )
        for name, count, share in (("good", whole.good, good_share), ("tolerable", whole.tolerable, tolerable_share))
    ]
