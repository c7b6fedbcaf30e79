"""The fairness of a run: how evenly the VMs served, what chance alone explains, and what the clients did."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.verdict.span import Span

FAIR, UNFAIR, UNKNOWN = "fair", "unfair", "not known"
"""The words of :attr:`Fairness.verdict`."""

ALARM = 0.0001
"""Probability that equal VMs are called unfair, and that equal clients are said to differ: once in 10,000 runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """A VM or a client that differs from the median one beyond chance.

    `share`: its rate over that of the median one.  `chance`: by how much chance alone lets a share differ from 1.
    `iterations`: the indexes of those in which it differs in the same direction.
    """

    name: str
    share: float
    chance: float
    iterations: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Starved:
    """A VM that received less than half of its share of the bits in some iterations (indexes).

    `received`: the lowest of these, bits per connection over those of the mean VM.
    """

    name: str
    received: float
    iterations: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstTime:
    """The VM with the highest 99th percentile of the response time, over all iterations.

    `by_chance_ms`: what the VM's percentile exceeds once in 10,000 runs if its operations are drawn from those of all
    VMs.
    """

    name: str
    p99_ms: Span
    by_chance_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VmShare:
    """One VM: its rate over that of the median VM, in all iterations together and in each of them (by index).

    `received`: bits per connection over those of the mean VM.  A rate is None without any time in operations.
    """

    name: str
    share: float | None
    received: float
    by_iteration: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The engines, compared on the same VMs at the same time.

    `slowest_over_fastest_by_chance`: None when chance cannot be told.  `explained`: the share of the variance between
    connections that the engines explain beyond chance, 0..1; None when it cannot be told.
    """

    slowest_over_fastest: float
    slowest_over_fastest_by_chance: float | None
    differing: tuple[Differing, ...]
    explained: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """How evenly the VMs served, over the complete iterations, by bits over time in operations.

    Only connections of the same engine in the same iteration are compared (loadgen.verdict.strata).  `by_chance`: equal
    VMs have at least this once in all but 1 of 10,000 runs; None when chance cannot be told.  `differing`: the VMs that
    are slower or faster than the median VM in all iterations; with one of them, or with a starved one, the verdict is
    "unfair".  `passing`: VMs that differ in some iterations only.  `explained`: the share of the variance between
    connections that the VMs explain beyond chance.  `clients`: None with a single engine.

    Of records of earlier versions only the first three are known; `verdict` is "" then.
    """

    jain: float | None
    slowest_over_fastest: float | None
    slowest_over_fastest_by_chance: float | None = None
    jain_by_chance: float | None = None
    verdict: str = ""
    slowest: str = ""
    iterations: int = 1
    differing: tuple[Differing, ...] = ()
    passing: tuple[Differing, ...] = ()
    starved: tuple[Starved, ...] = ()
    worst_p99: WorstTime | None = None
    explained: float | None = None
    clients: Clients | None = None
    vms: tuple[VmShare, ...] = ()
