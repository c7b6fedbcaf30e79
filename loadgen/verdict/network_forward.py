"""The verdict of `loadgen forward`: rates by path, window and flows, latencies, and trust in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadgen.measure.forwarding import Passage
from loadgen.measure.throughput import NO_LATENCY, UNKNOWN
from loadgen.model.probe import Direction, ForwardPlan, Kind, Link, Mode
from loadgen.verdict.checks.catalog import FORWARD_CHECKS, run_checks
from loadgen.verdict.network_ends import busy_end, busy_here, busy_there
from loadgen.verdict.network_evidence import ForwardEvidence
from loadgen.verdict.network_nics import (
    direct_elsewhere,
    must_be_proven,
    other_traffic,
    prove,
    proxied_bytes,
)
from loadgen.verdict.network_result import ForwardResult, ForwardRow, LatencyRow
from loadgen.verdict.network_rules import NETWORK_RULES, NetworkRules
from loadgen.verdict.network_sums import (
    MBIT,
    conclude,
    cores_of,
    latency_of,
    median_of,
    s_per_gb,
    silenced,
    total_of,
    unanswered,
)

_NAMED = 3
"""The number of cells that a note names."""

_UNLIMITED = (Link.NONE, Link.LOOPBACK)
"""Links without a rate limit of their own: the direct path can be slower than the proxied one."""


def judge_forward(
    plan: ForwardPlan,
    passages: Sequence[Passage],
    *,
    others: tuple[float, str],
    interrupted: bool = False,
    problems: Sequence[str] = (),
    notes: Sequence[str] = (),
    rules: NetworkRules = NETWORK_RULES,
) -> ForwardResult:
    """The tables and the verdict; arguments as for :func:`loadgen.verdict.network_iperf.judge_iperf`.

    `at_least_bps` of the plan applies to the proxied rows of the sweep over windows.  It does not apply to rows with
    several flows: chance decides how flows share a NIC's queues, with or without a proxy.
    """
    rows = tuple(_rows(plan, passages, rules))
    latencies = tuple(_latencies(plan, passages, rules))
    proofs = tuple(prove(passage) for passage in passages if must_be_proven(passage))
    results = [one.result for one in passages]
    swept = [row for row in rows if row.flows == 1 and row.window_bytes in plan.windows_bytes]
    proxied = [row for row in swept if row.mode is not Mode.DIRECT] or swept
    missed = [row for row in proxied if row.mbit_per_s * MBIT < plan.at_least_bps]
    evidence = ForwardEvidence(results=results, others=others, rows=rows, missed=missed, proofs=proofs, rules=rules)
    trust = run_checks(evidence, FORWARD_CHECKS)
    verdict, reasons = conclude(
        trust.checks,
        done=len(passages),
        planned=len(passages) + _missing(plan, passages),
        at_least_bps=plan.at_least_bps,
        reached=[(row.name, row.mbit_per_s) for row in proxied],
        problems=problems,
        interrupted=interrupted,
        faults=[*_stopped(rows, passages, rules), *_unanswered(latencies, rules)],
    )
    found = (direct_elsewhere(passages), other_traffic(passages, rules))
    more = (*_statements(rows, rules), *_limited(rows, latencies), *_failures(latencies), *filter(None, found))
    return ForwardResult(
        verdict=verdict,
        reasons=reasons,
        rows=rows,
        latencies=latencies,
        proofs=proofs,
        trust=trust,
        asked=plan.at_least_bps > 0,
        notes=(*notes, *more),
        measured=tuple(passages),
    )


def _cells(plan: ForwardPlan) -> list[tuple[int, int]]:
    """(window_bytes, flows) of the rows in the plan's order: the sweep over windows, then the one over flows."""
    swept = [(window_bytes, 1) for window_bytes in plan.windows_bytes]
    return list(dict.fromkeys([*swept, *((plan.flows_window_bytes, flows) for flows in plan.flows)]))


def _of(passages: Sequence[Passage], link: Link, mode: Mode, kind: Kind) -> list[Passage]:
    return [one for one in passages if (one.link, one.mode, one.result.test.kind) == (link, mode, kind)]


def _missing(plan: ForwardPlan, passages: Sequence[Passage]) -> int:
    """The number of tests that the tables need and that were not measured."""
    missing = 0
    for link in plan.links:
        for mode in plan.modes:
            streams = [(one.window_bytes, one.flows) for one in _of(passages, link, mode, Kind.STREAM)]
            for window_bytes, flows in _cells(plan):
                wanted = plan.repeats if flows == 1 and window_bytes in plan.windows_bytes else 1
                missing += max(0, wanted - streams.count((window_bytes, flows)))
            missing += sum(not _of(passages, link, mode, kind) for kind in (Kind.RR, Kind.CRR))
    return missing


def _rows(plan: ForwardPlan, passages: Sequence[Passage], rules: NetworkRules) -> Iterator[ForwardRow]:
    for link in plan.links:
        for window_bytes, flows in _cells(plan):
            direct: float = UNKNOWN
            # The direct path comes first: the others are compared with it.
            for mode in sorted(plan.modes, key=lambda mode: mode is not Mode.DIRECT):
                runs = [
                    one
                    for one in _of(passages, link, mode, Kind.STREAM)
                    if (one.window_bytes, one.flows) == (window_bytes, flows)
                ]
                if runs:
                    row = _row(runs, direct, rules)
                    direct = row.mbit_per_s if mode is Mode.DIRECT else direct
                    yield row


def _row(runs: Sequence[Passage], direct: float, rules: NetworkRules) -> ForwardRow:
    first, results = runs[0], [one.result for one in runs]
    source_busy, sink_busy = (median_of(busy(one) for one in results) for busy in (busy_here, busy_there))
    rates = [sum(one.received_bps(way) for way in (Direction.SEND, Direction.RECEIVE)) / MBIT for one in results]
    rate = median_of(rates)
    share = rate / direct if direct > 0 and first.mode is not Mode.DIRECT else UNKNOWN
    limit = busy_end(source_busy, sink_busy, rules)
    if not limit and first.link not in _UNLIMITED and share >= rules.link_share:
        limit = "link"
    return ForwardRow(
        link=first.link,
        mode=first.mode,
        window_bytes=first.window_bytes,
        flows=first.flows,
        repeats=len(runs),
        mbit_per_s=rate,
        min_mbit_per_s=min(rates),
        max_mbit_per_s=max(rates),
        runs_mbit_per_s=tuple(rates),
        proxy_cpu_s_per_gb=median_of(_proxy_cpu(one) for one in runs),
        source_cores=median_of(cores_of(one.local_cpu_ns, one) for one in results),
        sink_cores=median_of(cores_of(one.remote_cpu_ns, one) for one in results),
        share_of_direct=share,
        slowest_over_fastest=median_of(_evenness(one) for one in runs),
        retransmits=median_of(total_of(s.retransmits for s in one.streams) for one in results),
        source_busy=source_busy,
        sink_busy=sink_busy,
        limited_by=limit,
    )


def _proxy_cpu(passage: Passage) -> float:
    """CPU-seconds per 10^9 bytes, over all bytes forwarded between both readings of the CPU time, also omitted ones."""
    if passage.mode is Mode.DIRECT or not passage.before.version or not passage.after.version:
        return UNKNOWN
    return s_per_gb(passage.after.cpu_ns - passage.before.cpu_ns, sum(proxied_bytes(passage)))


def _evenness(passage: Passage) -> float:
    rates = [stream.received_bps for stream in passage.result.streams]
    return min(rates) / max(rates) if len(rates) > 1 and max(rates) > 0 else UNKNOWN


def _latencies(plan: ForwardPlan, passages: Sequence[Passage], rules: NetworkRules) -> Iterator[LatencyRow]:
    for link in plan.links:
        direct_ns = UNKNOWN
        for mode in sorted(plan.modes, key=lambda mode: mode is not Mode.DIRECT):
            pings, connects = (_of(passages, link, mode, kind) for kind in (Kind.RR, Kind.CRR))
            if not pings and not connects:
                continue
            latency = latency_of([one.result for one in pings])
            if mode is Mode.DIRECT and latency != NO_LATENCY:
                direct_ns = latency.p50_ns
            known = mode is not Mode.DIRECT and direct_ns >= 0 and latency.p50_ns >= 0
            yield LatencyRow(
                link=link,
                mode=mode,
                latency=latency,
                added_ns=latency.p50_ns - direct_ns if known else UNKNOWN,
                connections_per_s=median_of(one.result.latency.per_s for one in connects),
                failed=sum(one.result.latency.failed for one in (*pings, *connects)),
                connections_limited_by=busy_end(
                    median_of(busy_here(one.result) for one in connects),
                    median_of(busy_there(one.result) for one in connects),
                    rules,
                ),
            )


def _stopped(rows: Sequence[ForwardRow], passages: Sequence[Passage], rules: NetworkRules) -> Iterator[str]:
    for row in rows:
        key = (row.link, row.mode, row.window_bytes, row.flows)
        runs = [one.result for one in passages if (one.link, one.mode, one.window_bytes, one.flows) == key]
        yield from silenced(row.name, [one for one in runs if one.test.kind is Kind.STREAM], rules)


def _unanswered(latencies: Sequence[LatencyRow], rules: NetworkRules) -> Iterator[str]:
    for row in latencies:
        yield from unanswered(f"{row.link.value} {row.mode.value} ping-pong", row.latency, 1, rules)


def _failures(latencies: Sequence[LatencyRow]) -> Iterator[str]:
    for row in latencies:
        if row.failed:
            yield f"{row.link.value}, {row.mode.value}: {row.failed:,} transactions failed."


def _statements(rows: Sequence[ForwardRow], rules: NetworkRules) -> Iterator[str]:
    """Sentences that explain the comparison with the direct path: one per link and mode."""
    seen = dict.fromkeys((row.link, row.mode) for row in rows if row.share_of_direct >= 0 and row.flows == 1)
    for link, mode in seen:
        compared = [row for row in rows if (row.link, row.mode, row.flows) == (link, mode, 1)]
        shares = [row.share_of_direct for row in compared]
        low, high = 100 * min(shares), 100 * max(shares)
        spread = f"{low:.1f} %" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f} %"
        text = f"{link.value}, {mode.value}: {spread} of the direct path"
        limits = sorted({row.limited_by for row in compared if row.limited_by})
        if min(shares) < rules.link_share:
            yield f"{text}."
        elif not limits:
            yield f"{text}; no link limits the rate here."
        else:
            yield f"{text}; the {' or the '.join(limits)} is the limit, so the proxy can forward at least this much."


def _limited(rows: Sequence[ForwardRow], latencies: Sequence[LatencyRow]) -> Iterator[str]:
    """Which rates are lower bounds because an end was at the limit of its CPU."""
    for end in ("source", "sink"):
        limited = [row for row in rows if row.limited_by == end]
        if limited:
            most = 100 * max(row.source_busy if end == "source" else row.sink_busy for row in limited)
            names = ", ".join(row.name for row in limited[:_NAMED]) + (", ..." if len(limited) > _NAMED else "")
            yield (
                f"The {end} used up to {most:.0f} % of a core in {len(limited)} of {len(rows)} cells, so their rates "
                f"are lower bounds: {names}."
            )
        ways = [f"{row.link.value} {row.mode.value}" for row in latencies if row.connections_limited_by == end]
        if ways:
            yield f"The {end} used a whole core, so the connections per second are lower bounds: {', '.join(ways)}."
