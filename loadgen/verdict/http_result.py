"""What `loadgen http` ends with.  Every number that convicts is in here; reports only print it."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.measure.histogram import Histogram
from loadgen.model.errors import ExitCode
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.result import Check, Trust, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Mean, percentiles and maximum in milliseconds; all None without any operation."""

    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    p99_9: float | None
    max: float | None

    @classmethod
    def of(cls, histogram: Histogram) -> Times:
        """Those of a histogram."""

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
    """One target, or all of them, in the measured window.

    `ok`, `errors` (by Outcome name, those that occurred) and `cut` are operations that were due in the window; `cut`
    were not over when the run was.  Rates are of the ok ones, and of all bytes that were received.  `response_ms` is
    from due to done, `service_ms` from sent to done, of the ok ones.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """How often one of the requests was answered well and badly."""

    name: str
    ok: int
    bad: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResult:
    """The end of `loadgen http`.

    `sent` are all requests that went out, in the warm-up too: what the servers should have counted.
    `lateness_ms` is sent - due: in an open loop the wait for a connection, and for us.
    `slos` are the objectives; without any, CONFORMING only means that the measurement is valid.
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
        """What the command exits with."""
        return self.verdict.exit_code
