"""The times of a request/response test as percentiles, with the waits that had not ended when the test did.  Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from loadgen.measure.histogram import Histogram
from loadgen.measure.throughput import UNKNOWN, Latency

_PERCENTILES = {"p50_ns": 50.0, "p90_ns": 90.0, "p99_ns": 99.0, "max_ns": 100.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one connection (or `at_once` of them together) measured.

    `answered`: times of the answered transactions.  `given_up`: when each unanswered one began, and when the wait ended
    (CLOCK_MONOTONIC in ns).
    """

    answered: Histogram
    given_up: Sequence[tuple[int, int]] = ()
    failed: int = 0
    at_once: int = 1


@dataclass(frozen=True, slots=True)
class _Stall:
    """A wait of `age_ns` without an answer.  It stands for `count` transactions, one each `pace_ns`."""

    age_ns: int
    pace_ns: float
    count: int
    within_ns: int

    def at_least(self, value_ns: float) -> int:
        """How many of its transactions waited `value_ns` or longer."""
        if value_ns > self.age_ns:
            return 0
        return min(self.count, int((self.age_ns - value_ns) // self.pace_ns) + 1)


def latency(asked: Collection[Asked], from_ns: int, to_ns: int) -> Latency:
    """The times of all connections together, measured between `from_ns` and `to_ns` (CLOCK_MONOTONIC).

    An unanswered transaction that has not waited longer than the slowest answered one says nothing: it was under way.
    """
    answered = Histogram.merge_all(one.answered for one in asked)
    stalls = [stall for one in asked for stall in _stalls(one, answered.max_ns, from_ns, to_ns)]
    total = answered.total + sum(stall.count for stall in stalls)
    times: dict[str, int] = dict.fromkeys(_PERCENTILES, UNKNOWN)
    bounds = []
    for name, q in _PERCENTILES.items():
        # Rounded first: otherwise a floating-point error could make 99 % of 100 values rank 100.
        rank = max(1, math.ceil(round(q / 100 * total, 6)))
        if rank > answered.total and stalls:
            times[name] = _from_top(stalls, total - rank)
            bounds.append(name)
        elif answered.total:
            times[name] = answered.percentile_ns(100 * rank / answered.total) or 0
    return Latency(
        transactions=answered.total,
        failed=sum(one.failed for one in asked),
        wall_ns=to_ns - from_ns,
        **times,
        unanswered=len(stalls),
        stalled_ns=sum(stall.within_ns for stall in stalls),
        lower_bounds=tuple(bounds),
    )


def _stalls(one: Asked, slowest_ns: int, from_ns: int, to_ns: int) -> list[_Stall]:
    stalls = []
    for began_ns, ended_ns in one.given_up:
        age_ns = ended_ns - began_ns
        within_ns = max(0, min(ended_ns, to_ns) - max(began_ns, from_ns))
        if age_ns <= slowest_ns:
            continue
        pace_ns = (to_ns - from_ns) * one.at_once / one.answered.total if one.answered.total else float(age_ns)
        count = max(1, math.ceil(min(age_ns - slowest_ns, within_ns) / pace_ns)) if one.answered.total else 1
        stalls.append(_Stall(age_ns, pace_ns, count, within_ns))
    return stalls


def _from_top(stalls: Sequence[_Stall], above: int) -> int:
    """The largest value that more than `above` of the transactions in `stalls` reached."""
    low, high = 0, max(stall.age_ns for stall in stalls)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(stall.at_least(middle) for stall in stalls) > above:
            low = middle
        else:
            high = middle - 1
    return low
