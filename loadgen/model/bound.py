"""Bounds by which a request is judged.

Both kinds of bound use one formula.  A request is *good* when its response time is at most
`good_ns + good_ns_per_byte * bytes`, *tolerable* when it is at most the tolerable bound (good ones
are tolerable too), *failed* otherwise.  An operation that ended in an error is failed.

* rate (SPECweb99 style): the time that the bytes take at the floor, nothing fixed.
* time (SPECweb2005 style): fixed times, needing 95 % good and 99 % tolerable.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from loadgen.model.errors import PlanError
from loadgen.model.units import MOST_NS, NS_PER_S, format_duration, parse_duration_ns, parse_rate_bps


class BoundKind(enum.Enum):
    """The kind of a bound; it decides how a connection is judged."""

    RATE = "rate"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The bound that a request must keep to conform.

    `floor_bps` is the rate that a connection must reach (rate bounds only; 0 for time bounds).
    `good_share` and `tolerable_share` are the shares of a connection's requests that must be good
    and tolerable, 0 to 1 (time bounds only).
    """

    kind: BoundKind
    floor_bps: int = 0
    good_ns: int = 0
    good_ns_per_byte: float = 0.0
    tolerable_ns: int = 0
    tolerable_ns_per_byte: float = 0.0
    good_share: float = 0.0
    tolerable_share: float = 0.0

    def __post_init__(self) -> None:
        if self.kind is BoundKind.RATE and self.floor_bps < 1:
            raise PlanError(f"a rate bound needs a floor of at least 1 bit/s, got {self.floor_bps}")
        if self.kind is BoundKind.TIME and not 0 < self.good_ns <= self.tolerable_ns:
            got = f"{format_duration(self.good_ns)} and {format_duration(self.tolerable_ns)}"
            raise PlanError(f"a time bound needs 0 < good <= tolerable, got {got}", hint="write it like time:2s/4s")
        if (longest_ns := max(self.good_ns, self.tolerable_ns)) > MOST_NS:
            raise PlanError(f"the times of a bound must be below a hundred years, got {format_duration(longest_ns)}")
        if not (0 <= self.good_share <= 1 and 0 <= self.tolerable_share <= 1):
            got = f"{self.good_share:g} and {self.tolerable_share:g}"
            raise PlanError(f"the shares of a bound must be between 0 and 1, got {got}")
        slopes = (self.good_ns_per_byte, self.tolerable_ns_per_byte)
        if not all(math.isfinite(slope) and slope >= 0 for slope in slopes):
            got = f"{slopes[0]:g} and {slopes[1]:g}"
            raise PlanError(f"the times per byte of a bound must be finite and not negative, got {got}")

    @classmethod
    def rate(cls, floor_bps: int) -> Bound:
        """SPECweb99's rule: bits over time in operations is at least `floor_bps`."""
        ns_per_byte = 8 * NS_PER_S / floor_bps if floor_bps > 0 else 0.0
        return cls(
            kind=BoundKind.RATE,
            floor_bps=floor_bps,
            good_ns_per_byte=ns_per_byte,
            tolerable_ns_per_byte=ns_per_byte,
        )

    @classmethod
    def time(cls, good_ns: int, tolerable_ns: int) -> Bound:
        """SPECweb2005's rule: 95 % of requests within `good_ns`, 99 % within `tolerable_ns`."""
        return cls(
            kind=BoundKind.TIME,
            good_ns=good_ns,
            tolerable_ns=tolerable_ns,
            good_share=0.95,
            tolerable_share=0.99,
        )

    @classmethod
    def rates(cls, good_bytes_per_s: float, tolerable_bytes_per_s: float) -> Bound:
        """SPECweb2005's rule for downloads: a good one has at least the first rate, a tolerable one the second.

        The floor of a connection is the tolerable rate.
        """
        return cls(
            kind=BoundKind.RATE,
            floor_bps=int(8 * tolerable_bytes_per_s),
            good_ns_per_byte=NS_PER_S / good_bytes_per_s,
            tolerable_ns_per_byte=NS_PER_S / tolerable_bytes_per_s,
        )

    def to_wire(self) -> dict[str, Any]:
        """The bound as strings and numbers, for msgpack."""
        return {**asdict(self), "kind": self.kind.value}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Bound:
        """The inverse of :meth:`to_wire`."""
        return cls(**{**wire, "kind": BoundKind(wire["kind"])})

    @classmethod
    def parse(cls, text: str) -> Bound:
        """The bound of a text: `rate`, `rate:320k` or `time:2s/4s` (good/tolerable).  Raises PlanError."""
        kind, _, rest = text.partition(":")
        if kind == "rate":
            return cls.rate(parse_rate_bps(rest) if rest else 320_000)
        if kind == "time" and "/" in rest:
            good, _, tolerable = rest.partition("/")
            return cls.time(parse_duration_ns(good, bare=False), parse_duration_ns(tolerable, bare=False))
        raise PlanError(f"{text!r} is not a bound", hint="use rate, rate:320k or time:2s/4s")

    def __str__(self) -> str:
        if self.kind is BoundKind.RATE:
            return f"rate:{self.floor_bps}"
        return f"time:{format_duration(self.good_ns)}/{format_duration(self.tolerable_ns)}"
