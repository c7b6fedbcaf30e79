"""Does an iteration conform?  Judges and sums up one measured window."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import BAD, CUT, OK, Cell
from loadgen.measure.censored import Times
from loadgen.measure.codes import codes_of
from loadgen.measure.histogram import Histogram
from loadgen.measure.ledger import Totals
from loadgen.measure.slot_time import are_known
from loadgen.measure.tally import operations_of
from loadgen.model.bound import BoundKind
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.connection import State, judge_connections
from loadgen.verdict.each_target import check_connections, check_connects, check_errors
from loadgen.verdict.fairness import fairness
from loadgen.verdict.fates import with_those_throughout
from loadgen.verdict.mix import check_mix
from loadgen.verdict.result import Check, IterationResult, ResponseTimes, TargetResult
from loadgen.verdict.rules import RULES, Asked, Rules
from loadgen.verdict.span import PercentileSpans
from loadgen.verdict.tcp_result import judge_tcp
from loadgen.verdict.time_shares import time_shares


def judge_iteration(
    index: int,
    totals: Totals,
    asked: Asked,
    *,
    measured_ns: int,
    complete: bool = True,
    lost: NDArray[np.bool_] | None = None,
    more_checks: Iterable[Check] = (),
    rules: Rules = RULES,
) -> IterationResult:
    """The result of window `index`, which was measured for `measured_ns`.

    `complete` is False for a window that was cut short.  `more_checks` are checks made elsewhere, from more than
    measurements: the comparison of the servers' POST logs.  `lost` says of each connection whether its engine was lost
    in this window or before; None: no engine was lost.
    """
    tallies = totals.window_tallies(index)
    found = judge_connections(tallies, asked.connections, asked.bound, rules, lost=lost)
    by_target = asked.target_of[tallies["connection"]]
    cells = totals.window(index)
    by_name = {target.name: cells[number] for number, target in enumerate(asked.targets) if number in cells}
    nothing = Cell.empty(len(asked.kinds), len(asked.groups))
    whole = Cell.merge_all([nothing, *cells.values()])
    seconds = measured_ns / NS_PER_S
    outside, fates = totals.window(-1), []
    for number in range(len(asked.targets)):
        cell, before = cells.get(number, nothing), outside.get(number, nothing)
        fates.append(with_those_throughout(cell, before, tallies, asked.target_of == number, measured_ns))
    everything = Cell.merge_all([nothing, *fates])
    targets = tuple(
        _target_result(
            target,
            fates[number],
            found[asked.target_of == number],
            tallies[by_target == number],
            measured_ns,
        )
        for number, target in enumerate(asked.targets)
    )
    tcp = judge_tcp(totals.tcp, index, asked.target_of, len(asked.targets), found["state"])
    if tcp is not None:
        targets = tuple(dataclasses.replace(one, tcp=row) for one, row in zip(targets, tcp.targets, strict=True))
    conforming = int((found["state"] == State.CONFORMING).sum())
    checks = [
        *check_connections(found, asked, rules),
        check_errors(by_name, whole, asked.kinds, rules),
    ]
    # With unmixed groups, a few connections may be within operations for a whole window, in which nothing is due.
    has_requests = bool(whole.counts.any()) or not asked.unmixed
    if asked.bound.kind is BoundKind.TIME and has_requests:
        checks += _check_times(whole, asked.bound.good_share, asked.bound.tolerable_share)
    # Cut requests count too: the end of a segment cuts mostly long requests, and leaving them out would skew the mix.
    if has_requests:
        checks += check_mix(asked.mixed(whole.counts[..., [OK, CUT]]), asked.kinds, asked.kind_shares, rules)
    if asked.connects is not None:
        checks.append(check_connects(by_name, whole, asked, asked.connects, rules))
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
        response_ms=PercentileSpans.of(Times.response_of(everything)),
        service_ms=PercentileSpans.of(Times.service_of(everything)),
        lateness_ms=percentiles_ms(whole.lateness),
        checks=(*checks, *more_checks),
        targets=targets,
        fairness=fairness(found, asked.target_of, len(asked.targets)),
        time=time_shares(tallies, asked.connections, measured_ns),
        cut=everything.cut,
        tcp=None if tcp is None else tcp.all,
    )


def percentiles_ms(histogram: Histogram) -> ResponseTimes:
    """The percentiles of times that are known, from a histogram of nanoseconds."""

    def at(q: float) -> float | None:
        value = histogram.percentile_ns(q)
        return None if value is None else value / NS_PER_MS

    return ResponseTimes(p50=at(50), p90=at(90), p99=at(99), max=at(100))


def _target_result(
    target: Target, cell: Cell, found: NDArray[np.void], tallies: NDArray[np.void], measured_ns: int
) -> TargetResult:
    seconds = measured_ns / NS_PER_S
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
        response_ms=PercentileSpans.of(Times.response_of(cell)),
        connection_kbit_per_s=(float(kbit_per_s.min()), float(kbit_per_s.mean()), float(kbit_per_s.max()))
        if len(found)
        else (0.0, 0.0, 0.0),
        errors=cell.errors,
        dead_share=_dead_share(found, tallies, measured_ns),
        time=time_shares(tallies, len(found), measured_ns),
        cut=cell.cut,
        statuses=codes_of(cell.statuses),
    )


def _dead_share(found: NDArray[np.void], tallies: NDArray[np.void], measured_ns: int) -> float | None:
    """The share of the time lost to failures and the rests after them, and to connections without any operation.

    The time before the first operation of a connection, which is pacing, is not lost: in the window of an interrupted
    run, a connection may not have come to an operation.  The time of connections that were lost is not that of the VM.
    Returns None for records of versions that did not measure it.
    """
    if not are_known(tallies):
        return None
    have = operations_of(tallies) > 0
    silent = found["connection"][found["state"] == State.NO_REQUESTS]
    before_ns = np.minimum(tallies["pacing_ns"][np.isin(tallies["connection"], silent)], measured_ns).sum()
    without_ns = len(silent) * measured_ns - before_ns
    of_others = tallies[have]
    lost_ns = without_ns + of_others["failed_ns"].sum() + of_others["rest_ns"].sum()
    # The window of an interrupted run may be known to a second only.
    return min(1.0, float(lost_ns) / (len(found) * measured_ns)) if len(found) and measured_ns else 0.0


def _ok_and_bad(names: Sequence[str], counts: NDArray[np.int64]) -> dict[str, tuple[int, int]]:
    return {name: (int(row[OK]), int(row[BAD])) for name, row in zip(names, counts, strict=True)}


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
            detail=f"{count:,} of {requests:,} requests were {name}",
        )
        for name, count, share in (("good", whole.good, good_share), ("tolerable", whole.tolerable, tolerable_share))
    ]
