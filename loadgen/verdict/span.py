"""Times in milliseconds that may be known by their bounds only; every result of a tape run has such times."""

from __future__ import annotations

import math
from dataclasses import dataclass

from loadgen.measure import censored
from loadgen.model.units import NS_PER_MS


@dataclass(frozen=True, slots=True)
class Span:
    """A time in milliseconds that is known to lie between `low` and `high`; `high` is None without an upper bound."""

    low: float
    high: float | None

    @classmethod
    def of(cls, span: censored.Span | None) -> Span | None:
        """The same interval, given in nanoseconds; None for None."""
        if span is None:
            return None
        return cls(span.low / NS_PER_MS, span.high / NS_PER_MS if math.isfinite(span.high) else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentileSpans:
    """Percentiles and maximum as intervals; all None when there was no operation."""

    p50: Span | None
    p90: Span | None
    p99: Span | None
    max: Span | None

    @classmethod
    def of(cls, times: censored.Times) -> PercentileSpans:
        """The intervals of these times."""
        return cls(
            p50=Span.of(times.percentile(50)),
            p90=Span.of(times.percentile(90)),
            p99=Span.of(times.percentile(99)),
            max=Span.of(times.percentile(100)),
        )
