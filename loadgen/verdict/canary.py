"""What the client adds to response times, as its canaries measured it: by window and engine, with its uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass

from loadgen.measure.canary import CanarySeen
from loadgen.measure.histogram import Histogram
from loadgen.model.units import NS_PER_MS

_DEVIATIONS = 3.0  # the true percentile is outside of its interval in 3 of 1000 cases


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A percentile in milliseconds, and the interval in which the true one lies.

    `high` is None where there are too few values to bound it above.
    """

    value: float
    low: float
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryTimes:
    """Median and 99th percentile of a time in milliseconds; None without a request."""

    p50: float | None
    p99: float | None

    @classmethod
    def of(cls, histogram: Histogram) -> CanaryTimes:
        """The percentiles of a histogram of nanoseconds."""
        p50, p99 = (histogram.percentile_ns(q) for q in (50, 99))
        return cls(p50=_ms(p50), p99=_ms(p99))


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryAdds:
    """What the client adds to a response time: median and 99th percentile; None without a request."""

    p50: Estimate | None
    p99: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRow:
    """The canary of one engine in one window.

    `requests`: those that were answered and whose truth is known.  `failed`: those without a right reply.
    `response_ms` is what the engine saw (due to done), `truth_ms` what the responder saw (arrival to reply), and
    `added_ms` the part of the response in which the responder held no request, request by request.  `why` says why
    nothing is known; empty otherwise.
    """

    window: int
    engine: str
    requests: int
    failed: int
    response_ms: CanaryTimes
    truth_ms: CanaryTimes
    added_ms: CanaryAdds
    why: str = ""


def canary_row(window: int, seen: CanarySeen) -> CanaryRow:
    """The canary of one engine in `window`, in milliseconds."""
    return CanaryRow(
        window=window,
        engine=seen.worker,
        requests=seen.added.total,
        failed=seen.failed,
        response_ms=CanaryTimes.of(seen.response),
        truth_ms=CanaryTimes.of(seen.truth),
        added_ms=CanaryAdds(p50=estimate(seen.added, 50), p99=estimate(seen.added, 99)),
    )


def unknown_row(window: int, engine: str, why: str) -> CanaryRow:
    """The row of an engine about whose canary nothing is known."""
    none = CanaryTimes(p50=None, p99=None)
    adds = CanaryAdds(p50=None, p99=None)
    return CanaryRow(
        window=window, engine=engine, requests=0, failed=0, response_ms=none, truth_ms=none, added_ms=adds, why=why
    )


def estimate(histogram: Histogram, q: float) -> Estimate | None:
    """Percentile `q` of `histogram` (ns) with its interval, from the binomial spread of its rank; None if empty."""
    total = histogram.total
    if not total:
        return None
    spread = 100 * _DEVIATIONS * math.sqrt(q / 100 * (1 - q / 100) / total)
    value, low = histogram.percentile_ns(q), histogram.percentile_ns(max(q - spread, 100 / total))
    high = histogram.percentile_ns(q + spread) if q + spread < 100 else None
    assert value is not None
    assert low is not None
    return Estimate(value=value / NS_PER_MS, low=low / NS_PER_MS, high=_ms(high))


def _ms(value_ns: float | None) -> float | None:
    return None if value_ns is None else value_ns / NS_PER_MS
