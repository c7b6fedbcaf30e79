"""The result of `loadgen http`, with every number behind its verdict; reports only print it."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.measure.histogram import Histogram
from loadgen.model.errors import ExitCode
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.result import Check, Trust, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Mean, percentiles and maximum in milliseconds; all None when there was no operation."""

    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    p99_9: float | None
    max: float | None

    @classmethod
    def of(cls, histogram: Histogram) -> Times:
        """The times of a histogram of nanoseconds."""

        def ms(value_ns: float | None) -> float | None:
            return None if value_ns is None else value_ns / NS_PER_MS

        return cls(
            mean=ms(histogram.mean_ns),
            p50=ms(histogram.percentile_ns(50)),
            p90=ms(histogram.percentile_ns(90)),
            p99=ms(histogram.percentile_ns(99)),
            p99_9=ms(histogram.percentile_ns(99.9)),
            max=ms(histogram.percentile_ns(100)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRow:
    """One target, or all targets together, in the measured window.

    `ok`, `errors` (by Outcome name; only those that occurred) and `cut` count operations that were due in the window;
    an operation is cut when the run ends before it does.  `per_s` counts ok operations, `mbit_per_s` all bytes
    received.  `retries` counts requests that were sent once more, because the server had closed the kept TCP
    connection; None in records of 0.1.0, which did not count them.  `response_ms` is done - due and `service_ms`
    done - sent, of ok operations.
    """

    name: str
    connections: int
    ok: int
    errors: dict[str, int]
    cut: int
    per_s: float
    mbit_per_s: float
    response_ms: Times
    service_ms: Times
    retries: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """How often one request of the plan succeeded (`ok`) and failed (`bad`)."""

    name: str
    ok: int
    bad: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResult:
    """The result of `loadgen http`.

    `reasons`: the sentences behind the verdict, most important first.  `sent`: all requests sent, also during the
    warm-up, to compare with the servers' own counts.  `lateness_ms`: sent - due; in an open loop, the wait for a
    connection and for the load generator.  `slos`: the objectives; without any, CONFORMING only means that the
    measurement is valid.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    measured_s: float
    sent: int
    total: HttpRow
    targets: tuple[HttpRow, ...]
    requests: tuple[RequestRow, ...]
    lateness_ms: Times
    slos: tuple[Check, ...]
    trust: Trust
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code
