"""The verdict of `loadgen iperf`: rates by window and direction, and trust in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadgen.measure.throughput import UNKNOWN, ProbeResult, StreamResult
from loadgen.model.probe import Direction, IperfPlan, Kind, Transport
from loadgen.model.units import NS_PER_S, format_size, format_window
from loadgen.verdict.checks.catalog import IPERF_CHECKS, run_checks
from loadgen.verdict.network_ends import Limit, busy_there, limit_of, runnable_here
from loadgen.verdict.network_evidence import IperfEvidence
from loadgen.verdict.network_result import IperfResult, IperfRow, Rate
from loadgen.verdict.network_rules import NETWORK_RULES, NetworkRules
from loadgen.verdict.network_sums import (
    MBIT,
    conclude,
    latency_of,
    median_of,
    s_per_gb,
    silenced,
    total_of,
    unanswered,
    ways_of,
)


def judge_iperf(
    plan: IperfPlan,
    results: Sequence[ProbeResult],
    *,
    others: tuple[float, str],
    interrupted: bool = False,
    problems: Sequence[str] = (),
    notes: Sequence[str] = (),
    rules: NetworkRules = NETWORK_RULES,
) -> IperfResult:
    """The table and the verdict.

    `others`: the share (0..1) of this machine's cores that processes without a part in the run used, and the process
    that used the most; (0.0, "") when that is not known.  `problems`: sentences about failures during the run; any of
    them makes the run INVALID.  `notes`: sentences to repeat in the result.
    """
    rows = tuple(
        _row(window_bytes, direction, runs, rules)
        for window_bytes in plan.windows_bytes
        for direction in plan.directions
        if (runs := _runs(results, window_bytes, direction))
    )
    trust = run_checks(IperfEvidence(results=results, others=others, plan=plan, rules=rules), IPERF_CHECKS)
    verdict, reasons = conclude(
        trust.checks,
        done=sum(not one.cut for one in results),
        planned=len(plan.windows_bytes) * len(plan.directions) * plan.repeats,
        at_least_bps=plan.at_least_bps,
        reached=[(cell_name(row, rate), rate.mbit_per_s) for row in rows for rate in row.rates],
        problems=problems,
        interrupted=interrupted,
        faults=[
            *(fault for row in rows for fault in _unanswered(plan, row, rules)),
            *(fault for row in rows for fault in _silenced(row, results, rules)),
        ],
    )
    return IperfResult(
        verdict=verdict,
        reasons=reasons,
        rows=rows,
        trust=trust,
        asked=plan.at_least_bps > 0,
        peer=next((one.peer for one in results if one.peer), ""),
        notes=(*notes, *_notes(plan, rows, results, rules)),
        measured=tuple(results),
    )


def cell_name(row: IperfRow, rate: Rate) -> str:
    """The cell of the table as messages name it: `receive 64K`, `bidir 64K send`."""
    window = format_window(row.window_bytes)
    if row.direction is Direction.BIDIR:
        return f"{row.direction.value} {window} {rate.direction.value}"
    return f"{row.direction.value} {window}"


def _runs(results: Sequence[ProbeResult], window_bytes: int, direction: Direction) -> list[ProbeResult]:
    """The runs that make a row: the complete ones of the cell, or those that were cut if there are no others."""
    cell = [one for one in results if _cell(one) == (window_bytes, direction)]
    return [one for one in cell if not one.cut] or cell


def _cell(result: ProbeResult) -> tuple[int, Direction]:
    return result.test.window_bytes, result.test.direction


def _row(window_bytes: int, direction: Direction, runs: Sequence[ProbeResult], rules: NetworkRules) -> IperfRow:
    streams = [one.streams for one in runs]
    ways = ways_of(direction) if runs[0].test.kind is Kind.STREAM else ()
    rates = tuple(_rate(way, [one.received_bps(way) / MBIT for one in runs]) for way in ways)
    return IperfRow(
        window_bytes=window_bytes,
        direction=direction,
        repeats=len(runs),
        rates=rates,
        runs_mbit_per_s=tuple(sum(one.received_bps(way) for way in ways) / MBIT for one in runs if ways),
        local_cpu_s_per_gb=median_of(s_per_gb(one.local_cpu_ns, one.received_bytes()) for one in runs),
        remote_cpu_s_per_gb=median_of(s_per_gb(one.remote_cpu_ns, one.received_bytes()) for one in runs),
        retransmits=median_of(total_of(s.retransmits for s in each) for each in streams),
        rtt_ns=median_of(_mean([s.rtt_ns for s in each if s.rtt_ns >= 0]) for each in streams),
        cwnd_bytes=median_of(total_of(s.cwnd_max_bytes for s in each if s.cwnd_max_bytes >= 0) for each in streams),
        local_granted=runs[0].local_granted,
        remote_granted=runs[0].remote_granted,
        loss_share=median_of(_loss(each) for each in streams),
        jitter_ns=median_of(_mean([s.jitter_ns for s in each if s.jitter_ns >= 0]) for each in streams),
        out_of_order=median_of(total_of(s.out_of_order for s in each) for each in streams),
        duplicates=median_of(total_of(s.duplicates for s in each) for each in streams),
        latency=latency_of(runs),
        limited_here=any(limit_of(one, rules) is Limit.HERE for one in runs),
        slowest_stream_mbit_per_s=median_of(min(_own_rates(one)) for one in runs),
        fastest_stream_mbit_per_s=median_of(max(_own_rates(one)) for one in runs),
    )


def _own_rates(result: ProbeResult) -> Sequence[float]:
    """The rate of each stream in Mbit/s, over its own time; UNKNOWN with one stream, whose rate is that of the test."""
    if result.test.parallel < 2 or not result.streams:
        return (UNKNOWN,)
    return [one.received_bps / MBIT for one in result.streams]


def _rate(direction: Direction, mbit_per_s: Sequence[float]) -> Rate:
    return Rate(
        direction=direction,
        mbit_per_s=median_of(mbit_per_s),
        min_mbit_per_s=min(mbit_per_s),
        max_mbit_per_s=max(mbit_per_s),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else UNKNOWN


def _loss(streams: Sequence[StreamResult]) -> float:
    lost, packets = total_of(s.lost for s in streams), total_of(s.packets for s in streams)
    return lost / packets if lost >= 0 and packets > 0 else UNKNOWN


def _notes(
    plan: IperfPlan, rows: Sequence[IperfRow], results: Sequence[ProbeResult], rules: NetworkRules
) -> Iterator[str]:
    if plan.transport is Transport.TCP and plan.rate_bps and plan.kind is Kind.STREAM:
        asked = plan.rate_bps * plan.parallel / MBIT
        slow = [rate for row in rows for rate in row.rates if rate.mbit_per_s < rules.min_sent_share * asked]
        if slow:
            reached = min(rate.mbit_per_s for rate in slow)
            yield f"{asked:,.6g} Mbit/s were requested; the slowest cell reached only {reached:,.1f} Mbit/s."
    for one in results:
        if one.cut:
            yield _cut(one, results)
    yield from _capped(results)
    yield from _limits(results, rules)
    if plan.transport is Transport.UDP and any(s.lost == UNKNOWN for one in results for s in one.streams):
        why = (
            "does not say how many of its losses were in the warm-up (--omit)"
            if plan.omit_ns
            else "does not tell losses from duplicates, or does not count datagrams"
        )
        yield f"The far end {why}, so the loss is not known; `loadgen iperf --server` tells it."
    dropped = sum(s.dropped for one in results for s in one.streams if s.direction is Direction.SEND and s.dropped > 0)
    if dropped:
        yield f"The far end dropped {dropped:,} datagrams that had arrived, because it was too slow to take them."
    failed = sum(row.latency.failed for row in rows)
    if failed:
        yield f"{failed:,} of {failed + sum(row.latency.transactions for row in rows):,} transactions failed."


def _capped(results: Sequence[ProbeResult]) -> Iterator[str]:
    """A sentence for each end and buffer for which the kernel granted less than was requested.

    Linux grants twice what is requested, up to twice its limit.
    """
    for end, of in (("this end", "local_granted"), ("the far end", "remote_granted")):
        for what, limit in (("send", "net.core.wmem_max"), ("receive", "net.core.rmem_max")):
            found = [(one.test.window_bytes, getattr(getattr(one, of), f"{what}_bytes")) for one in results]
            less = [(window, granted) for window, granted in found if 0 <= granted < 2 * window]
            if less:
                window, granted = max(less)
                yield (
                    f"The kernel of {end} granted {format_size(granted // 2)} of the {format_size(window)} requested "
                    f"as the {what} window: {limit} there is the limit."
                )


def _cut(cut: ProbeResult, results: Sequence[ProbeResult]) -> str:
    """A sentence about a test that ended in the middle."""
    test = cut.test
    what = test.direction if test.kind is Kind.STREAM else test.kind
    many = f"{cut.wall_ns / NS_PER_S:.1f} s of {test.duration_ns / NS_PER_S:.6g} s"
    if cut in _runs(results, test.window_bytes, test.direction):
        counted = "its row shows what had arrived by then"
    else:
        counted = "it is in no row, because its cell has complete tests"
    return f"A test was cut ({what.value} {format_window(test.window_bytes)}, {many}): {counted}."


def _unanswered(plan: IperfPlan, row: IperfRow, rules: NetworkRules) -> Iterator[str]:
    yield from unanswered(f"{plan.kind.value} {format_window(row.window_bytes)}", row.latency, plan.parallel, rules)


def _silenced(row: IperfRow, results: Sequence[ProbeResult], rules: NetworkRules) -> Iterator[str]:
    name = f"{row.direction.value} {format_window(row.window_bytes)}"
    yield from silenced(name, [one for one in results if _cell(one) == (row.window_bytes, row.direction)], rules)


def _limits(results: Sequence[ProbeResult], rules: NetworkRules) -> Iterator[str]:
    """One sentence for each kind of limit that the ends were at."""
    found = [(one, limit_of(one, rules)) for one in results]
    for limit in (Limit.HERE, Limit.THERE, Limit.BOTH):
        limited = [one for one, its in found if its is limit]
        if not limited:
            continue
        many = f"in {len(limited)} of {len(results)} tests"
        here, there = (100 * max(busy(one) for one in limited) for busy in (runnable_here, busy_there))
        if limit is Limit.HERE:
            yield (
                f"This end used a core or waited for one up to {here:.0f} % of the time {many} while the far end had "
                "CPU to spare: this end was the limit, and the rates are lower bounds."
            )
        elif limit is Limit.THERE:
            yield (
                f"The far end used up to {there:.0f} % of a core {many} while this end had CPU to spare: the far end "
                "may be the limit."
            )
        else:
            yield f"Both ends were at the limit of a core {many}: the rates are those of their CPUs."
