"""How much does a score mean: what chance does to it, and how far it is from another one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.model.bound import Bound, BoundKind
from loadgen.model.plan import Phases
from loadgen.model.units import NS_PER_S
from loadgen.schedule.timings import Timings
from loadgen.verdict.connection import State, judge_connections, states_of
from loadgen.verdict.ideal import Line, play_window
from loadgen.verdict.rules import RULES, Asked, Rules

FLOOR_CHANGES = (-0.05, 0.0, 0.05)
"""The floors at which conforming connections are counted, relative to that of the plan."""

_MIDDLE = 0.95
"""The share of the deals that a spread holds."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The lowest and the highest of some values, or of most of them."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ideal:
    """A window on ideal servers, which answer at once: see :mod:`loadgen.verdict.ideal`.

    `conforming` and `ops_per_s`: with the operations of the median iteration.  The spreads: of `deals` windows with
    operations that other seeds deal.  `conforming_spread` holds all of them, `ops_per_s_spread` 95 %; the latter is
    wider by what is not known about the length of replies.
    """

    conforming: int
    ops_per_s: float
    deals: int
    conforming_spread: Spread
    ops_per_s_spread: Spread


@dataclass(frozen=True, slots=True)
class AtFloor:
    """The connections that conform if the floor is changed by `change` (relative); None where no line is so fast."""

    change: float
    floor_bps: int
    conforming: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """What stands beside the score of a run.

    `ideal` is None when the length of the replies is not known.  `floors`: the median iteration at FLOOR_CHANGES;
    () with a time bound, because only the numbers of good and tolerable requests are kept.  `near_floor`: the
    connections between the lowest and the highest of these floors; None without floors.  `is_edge`: whether these are
    more than an iteration may lose.  `conforming` and `ops_per_s`: over the complete iterations.
    """

    ideal: Ideal | None
    floors: tuple[AtFloor, ...]
    conforming: Spread
    ops_per_s: Spread
    near_floor: int | None = None
    is_edge: bool = False


def ideal_of(own: Timings, iteration: int, deals: Iterable[Timings], asked: Asked, phases: Phases, line: Line) -> Ideal:
    """What the operations of an iteration give on ideal servers, and what other deals of it give.

    `phases` are those of `own`.  `deals`: at least one, of plans with the phases of :func:`alone`.
    """
    conforming, ops_per_s = _on_ideal_servers(own, iteration, asked, phases, line)
    others = [_on_ideal_servers(one, 0, asked, alone(phases, iteration), line) for one in deals]
    counts, rates = zip(*others, strict=True)
    low, high = np.quantile(rates, ((1 - _MIDDLE) / 2, (1 + _MIDDLE) / 2)).tolist()
    doubt = own.doubt_bytes / float(own.reply_bytes.mean())
    return Ideal(
        conforming=conforming,
        ops_per_s=ops_per_s,
        deals=len(others),
        conforming_spread=Spread(min(counts), max(counts)),
        ops_per_s_spread=Spread(low / (1 + doubt), high * (1 + doubt)),
    )


def alone(phases: Phases, iteration: int) -> Phases:
    """The phases of a run that consists of this iteration only.

    The first iteration differs from the others by its warm-up.  In windows that are shorter than the longest operation
    this matters, because a connection may not be in one operation for the whole window: see
    :mod:`workloads.specweb99.compile`.
    """
    warmup_ns = phases.lead_ns(iteration) - phases.ramp_up_ns
    return dataclasses.replace(phases, warmup_ns=warmup_ns, iterations=1)


def _on_ideal_servers(timings: Timings, iteration: int, asked: Asked, phases: Phases, line: Line) -> tuple[int, float]:
    """Conforming connections, and operations per second."""
    played = play_window(timings, iteration, phases, line, asked.bound)
    found = judge_connections(played.tallies, asked.connections, asked.bound)
    return int((found["state"] == State.CONFORMING).sum()), played.ops * NS_PER_S / phases.measure_ns


def at_floors(found: NDArray[np.void], bound: Bound, line_bps: int) -> tuple[AtFloor, ...]:
    """The conforming connections of an iteration (FINDING_DTYPE) at FLOOR_CHANGES; () with a time bound."""
    if bound.kind is not BoundKind.RATE:
        return ()
    floors = [(change, round(bound.floor_bps * (1 + change))) for change in FLOOR_CHANGES]
    return tuple(AtFloor(change, floor, _conforming(found, floor, line_bps)) for change, floor in floors)


def _conforming(found: NDArray[np.void], floor_bps: int, line_bps: int) -> int | None:
    if not 0 < floor_bps <= line_bps:
        return None
    return int((states_of(found, Bound.rate(floor_bps)) == State.CONFORMING).sum())


def near_floor(floors: Sequence[AtFloor]) -> int | None:
    """The number of connections that conform at the lowest of these floors, but not at the highest; None without."""
    counts = [one.conforming for one in floors if one.conforming is not None]
    return max(counts) - min(counts) if len(counts) > 1 else None


def is_edge(near: int | None, requested: int, rules: Rules = RULES) -> bool:
    """Whether a small change of the floor, or of the servers, could decide whether an iteration conforms."""
    return near is not None and near > (1 - rules.min_conforming_share) * requested
