"""Sums, medians and the conclusion, as both network verdicts need them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from loadgen.measure.throughput import NO_LATENCY, UNKNOWN, Latency, ProbeResult
from loadgen.model.probe import Direction
from loadgen.model.units import NS_PER_S
from loadgen.verdict.network_result import ForwardRow
from loadgen.verdict.network_rules import NetworkRules
from loadgen.verdict.result import Check, Verdict
from loadgen.verdict.run import say_failed

MBIT = 1e6


def median_of(values: Iterable[float]) -> float:
    """The median; of an even number of values, the mean of the middle two.  UNKNOWN if a value is, or without values.

    (Table 3 of the paper gives the median of four runs.)
    """
    found = list(values)
    return float(median(found)) if found and min(found) >= 0 else UNKNOWN


def total_of(results: Iterable[int]) -> int:
    """The sum of `results`; UNKNOWN if one of them is, or without results."""
    found = list(results)
    return sum(found) if found and min(found) >= 0 else UNKNOWN


def s_per_gb(cpu_ns: int, size_bytes: int) -> float:
    """CPU-seconds per 10^9 bytes; UNKNOWN without a CPU time or without bytes."""
    return cpu_ns / size_bytes if cpu_ns >= 0 and size_bytes > 0 else UNKNOWN


def cores_of(cpu_ns: int, result: ProbeResult) -> float:
    """CPU time of an end over the wall time of the test, in cores; UNKNOWN if the end does not report its CPU time."""
    return cpu_ns / result.wall_ns if cpu_ns >= 0 and result.wall_ns > 0 else UNKNOWN


def latency_of(results: Sequence[ProbeResult]) -> Latency:
    """Runs of a request/response test as one: medians of the percentiles, highest maximum, sums of the counts.

    A median is a lower bound if it would be another number with longer waits than those that were seen.
    """
    found = [one.latency for one in results if one.latency != NO_LATENCY]
    if not found:
        return NO_LATENCY

    # A run without transactions has no percentiles; its failures are in the counts.
    timed = [one for one in found if one.transactions or one.unanswered]
    bounds = []

    def middle(name: str) -> int:
        low = [float(getattr(one, name)) for one in timed]
        high = [math.inf if name in one.lower_bounds else float(getattr(one, name)) for one in timed]
        if median_of(high) != median_of(low):
            bounds.append(name)
        return round(median_of(low))

    p50_ns, p90_ns, p99_ns = (middle(name) for name in ("p50_ns", "p90_ns", "p99_ns"))
    if any("max_ns" in one.lower_bounds for one in found):
        bounds.append("max_ns")
    return Latency(
        transactions=sum(one.transactions for one in found),
        failed=sum(one.failed for one in found),
        wall_ns=sum(one.wall_ns for one in found),
        p50_ns=p50_ns,
        p90_ns=p90_ns,
        p99_ns=p99_ns,
        max_ns=max(one.max_ns for one in found),
        unanswered=sum(one.unanswered for one in found),
        stalled_ns=sum(one.stalled_ns for one in found),
        lower_bounds=tuple(bounds),
    )


def silenced(name: str, results: Sequence[ProbeResult], rules: NetworkRules) -> Iterator[str]:
    """A sentence when nothing arrived any more at the end of a test of the cell `name`, in one of its directions.

    Tests with a byte limit end when the bytes have arrived, and paced streams may pause.
    """
    worst = (0, 0)
    for one in results:
        if one.test.limit_bytes or one.test.rate_bps:
            continue
        for way in ways_of(one.test.direction):
            quiet = [stream.quiet_ns for stream in one.streams if stream.direction is way]
            worst = max(worst, (min(quiet, default=0), one.wall_ns))
    quiet_ns, wall_ns = worst
    if quiet_ns > rules.max_quiet_ns:
        yield (
            f"{name}: nothing arrived in the last {quiet_ns / NS_PER_S:.1f} s of a test of {wall_ns / NS_PER_S:.1f} s; "
            "its rate is the mean over all of the time."
        )


def unanswered(name: str, latency: Latency, at_once: int, rules: NetworkRules) -> Iterator[str]:
    """A sentence when more than a few of the transactions of the cell `name` got no answer, by count or by time."""
    asked = latency.transactions + latency.failed
    stalled = latency.stalled_ns / (latency.wall_ns * at_once) if latency.wall_ns else 0.0
    if latency.unanswered and stalled > rules.max_unanswered_share:
        yield (
            f"{name}: no answer came until the end of the test for {100 * stalled:.1f} % of the connections' time "
            f"({latency.unanswered:,} unanswered, the longest for {latency.max_ns / NS_PER_S:.2f} s)."
        )
    if asked and latency.failed / asked > rules.max_unanswered_share:
        yield f"{name}: {latency.failed:,} of {asked:,} transactions failed."


def ways_of(direction: Direction) -> tuple[Direction, ...]:
    """The directions in which payload goes: both for BIDIR, else `direction` itself."""
    return (Direction.SEND, Direction.RECEIVE) if direction is Direction.BIDIR else (direction,)


def at_full_windows(rows: Sequence[ForwardRow], rules: NetworkRules) -> list[ForwardRow]:
    """The rows with one flow and a window that lets the link be the limit."""
    return [row for row in rows if row.flows == 1 and rules.is_full(row.window_bytes)]


def conclude(
    checks: Sequence[Check],
    *,
    done: int,
    planned: int,
    at_least_bps: int,
    reached: Sequence[tuple[str, float]],
    problems: Sequence[str],
    interrupted: bool,
    faults: Sequence[str] = (),
) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict and its reasons: the first verdict in this list that applies; the reasons name all that apply.

    1. INTERRUPTED: the user stopped the run.  2. INVALID: there are `problems`, a check fails, or fewer tests are
    `done` than `planned`.  3. NOT_CONFORMING: there are `faults` of the far end, or a cell in `reached` (name, Mbit/s)
    is below `at_least_bps`.  4. CONFORMING.
    """
    least = at_least_bps / MBIT
    reasons: list[tuple[Verdict, str]] = []
    if interrupted:
        reasons.append((Verdict.INTERRUPTED, f"The run was interrupted after {done} of {planned} tests."))
    reasons += [(Verdict.INVALID, problem) for problem in problems]
    reasons += [(Verdict.INVALID, f"Measurement: {say_failed(check)}.") for check in checks if not check.ok]
    if not interrupted and done < planned:
        reasons.append((Verdict.INVALID, f"Only {done} of {planned} tests were measured."))
    reasons += [(Verdict.NOT_CONFORMING, fault) for fault in faults]
    missed = [f"{name} {rate:,.1f}" for name, rate in reached if rate < least]
    if missed:
        text = f"{len(missed)} of {len(reached)} cells are below {least:,.6g} Mbit/s: {', '.join(missed)}."
        reasons.append((Verdict.NOT_CONFORMING, text))
    elif not reasons:
        reasons.append((Verdict.CONFORMING, _conforming(least, reached, done)))
    return reasons[0][0], tuple(text for _, text in reasons)


def _conforming(least: float, reached: Sequence[tuple[str, float]], done: int) -> str:
    if least and reached:
        name, rate = min(reached, key=lambda one: one[1])
        return f"All {len(reached)} cells reach {least:,.6g} Mbit/s; the slowest is {name} with {rate:,.1f}."
    return f"{done} of {done} tests were measured, and all checks passed."
