"""The numbers of a run by which it is compared with other runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from loadgen.model.relative import Better
from loadgen.model.units import NS_PER_MS, format_window
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.network_result import ForwardResult, IperfResult
from loadgen.verdict.result import RunResult, Verdict
from loadgen.verdict.span import Span

CONFORM = "conforming connections"
OPERATIONS = "operations/s"
REQUESTS = "requests/s"
P50, P99 = "response p50", "response p99"
FAILED = "failed"

NAMES = {"spec": (CONFORM, OPERATIONS, P50, P99, FAILED), "http": (REQUESTS, P50, P99, FAILED)}
"""The names of all numbers that a run can have, by kind; those of network runs depend on their plans."""

COUNTED = (Verdict.CONFORMING, Verdict.NOT_CONFORMING)
"""The verdicts of runs that count.  An INVALID or DEGRADED run says nothing about the servers."""

_EXACT = 1.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number of a run; names are unique in a run.

    `values` has one value, or one for each test of a network run.  `at_least`: the value is only a lower bound.
    """

    name: str
    values: tuple[float, ...]
    unit: str = ""
    better: Better = Better.HIGHER
    at_least: bool = False


def figures_of(result: Any) -> tuple[Figure, ...]:
    """The numbers of a run, the most important one first; none of a run that does not count, or of another kind."""
    if getattr(result, "verdict", None) not in COUNTED:
        return ()
    match result:
        case RunResult():
            return tuple(_of_spec(result))
        case HttpResult():
            return tuple(_of_http(result))
        case IperfResult():
            return tuple(_of_iperf(result))
        case ForwardResult():
            return tuple(_of_forward(result))
    return ()


def _of_spec(result: RunResult) -> Iterator[Figure]:
    """Those of the median iteration; none without a score."""
    if not result.has_score or not result.iterations or result.conforming_connections is None:
        return
    median = result.iterations[result.median]
    yield Figure(name=CONFORM, values=(float(result.conforming_connections),))
    yield Figure(name=OPERATIONS, values=(median.ops_per_s,), unit="1/s")
    yield from _times(median.response_ms.p50, median.response_ms.p99)
    yield _failed(sum(median.errors.values()), median.requests_ok)


def _of_http(result: HttpResult) -> Iterator[Figure]:
    total = result.total
    yield Figure(name=REQUESTS, values=(total.per_s,), unit="1/s")
    yield from _times(total.response_ms.p50, total.response_ms.p99)
    yield _failed(sum(total.errors.values()), total.ok)


def _times(p50: Span | None, p99: Span | None) -> Iterator[Figure]:
    for name, span in ((P50, p50), (P99, p99)):
        if span is not None:
            bound = span.high is None or span.high > _EXACT * span.low
            yield Figure(name=name, values=(span.low,), unit="ms", better=Better.LOWER, at_least=bound)


def _failed(failed: int, ok: int) -> Figure:
    return Figure(name=FAILED, values=(100 * failed / max(failed + ok, 1),), unit="%", better=Better.LOWER)


def _of_iperf(result: IperfResult) -> Iterator[Figure]:
    for row in result.rows:
        if row.rates:
            name = f"{row.direction.value} {format_window(row.window_bytes)}"
            yield Figure(name=name, values=row.runs_mbit_per_s, unit="Mbit/s", at_least=row.limited_here)
            continue
        for word in ("p50", "p99"):
            value_ns = getattr(row.latency, f"{word}_ns")
            if value_ns >= 0:
                bound = f"{word}_ns" in row.latency.lower_bounds
                ms = value_ns / NS_PER_MS
                yield Figure(
                    name=f"{row.direction.value} {word}", values=(ms,), unit="ms", better=Better.LOWER, at_least=bound
                )


def _of_forward(result: ForwardResult) -> Iterator[Figure]:
    for row in result.rows:
        yield Figure(name=row.name, values=row.runs_mbit_per_s, unit="Mbit/s", at_least=row.limited_by_end)
