"""How far was the load generator from being the limit?  The answer follows from three runs of the same plan.

The first run is the one that is asked about.  In the second, the load generator has one engine more on each machine: if
the rate rises, the load generator was the limit.  The third is played in a closed loop, without pacing, against a null
responder: its rate is what the load generator can do when the servers cost next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from loadgen.verdict.rules import RULES

MIN_TIMES = 1.1
"""Below this multiple of the rate of the run, the load generator alone does no more than in the run.

A run at the limit of an engine also shows in the engine's share of the time, because two such runs differ by up to 18 %
(benchmarks/RESULTS.md, "Headroom").
"""

AMPLE_TIMES = 1.5
"""From this multiple on, the load generator was far from the limit; between the two, the limit is near."""

MAX_GAIN = 0.10
"""A share by which the rate may rise with one engine more without a reason: beyond, the engine was missing."""

MIN_SATURATED = 0.85
"""Share of the time that the busiest engine works or waits for a core, from which on the engine is the limit of a run
against a null responder.  Below it, the responder or the number of connections is, and the multiple is a lower bound.
"""


class Limit(Enum):
    """The distance of the load generator from its limit."""

    GENERATOR = "generator"
    """The load generator was the limit of the run."""
    NEAR = "near"
    """The load generator was not the limit, but has little headroom."""
    FAR = "far"
    """The load generator was far from its limit."""
    UNKNOWN = "unknown"
    """The runs do not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The pace of a run: completed requests per second, and the share of the time (0..1) in which its busiest engine
    worked or waited for a core; None where it is not known.
    """

    per_s: float
    busy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """The answer.

    `times`: the rate of the load generator alone, as a multiple of the rate of the run; None when not known.  With
    `at_least`, that is a lower bound.  `gain`: the share by which the rate rises with one engine more; None when not
    known.
    """

    limit: Limit
    times: float | None = None
    at_least: bool = False
    gain: float | None = None


def judge_headroom(run: Pace | None, more: Pace | None, alone: Pace | None) -> Headroom:
    """Return how far the load generator was from its limit.

    `run`: the run itself; `more`: the run with one engine more; `alone`: the run against a null responder.  None for
    runs that were not played, or say nothing.
    """
    if run is None or run.per_s <= 0:
        return Headroom(limit=Limit.UNKNOWN)
    gain = more.per_s / run.per_s - 1 if more else None
    times = alone.per_s / run.per_s if alone else None
    at_least = alone is not None and (alone.busy is None or alone.busy < MIN_SATURATED)
    return Headroom(limit=_limit(run, gain, times, at_least=at_least), times=times, at_least=at_least, gain=gain)


def _limit(run: Pace, gain: float | None, times: float | None, *, at_least: bool) -> Limit:
    if run.busy is not None and run.busy > RULES.max_runnable_share:
        return Limit.GENERATOR
    idle = run.busy is not None and run.busy <= 1 / AMPLE_TIMES
    if times is not None and times < MIN_TIMES and not at_least:
        # Idle engines were not the limit.  Alone they were slower: the null responder took their cores, for example.
        return Limit.UNKNOWN if idle else Limit.GENERATOR
    if gain is not None and gain > MAX_GAIN:
        # Idle engines were not missing, and with ample headroom alone neither: something else changed between the runs.
        return Limit.UNKNOWN if idle or (times is not None and times >= AMPLE_TIMES) else Limit.GENERATOR
    if times is None:
        # An engine more that changes nothing may as well have found no core, so the engines must have been idle, too.
        return Limit.FAR if idle and gain is not None else Limit.UNKNOWN
    if times >= AMPLE_TIMES:
        # An engine that is busy for most of its time has little left, whatever it did against the responder.
        return Limit.FAR if idle or run.busy is None else Limit.NEAR
    return Limit.UNKNOWN if at_least else Limit.NEAR  # at least: the responder was the limit
