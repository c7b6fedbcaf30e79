"""The fairness of a run between its VMs or targets: see docs/reading-results.md."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from coordinator.record.schema.common import Index, Positive
from coordinator.record.schema.span import Interval

Share = Annotated[float, Meta(ge=0)]
Indexes = Annotated[list[Index], Meta(description="Indexes of iterations.")]
Explained = Annotated[
    Annotated[float, Meta(ge=0, le=1)] | None,
    Meta(
        description="Share of the variance between connections that they explain beyond chance; null when it cannot be "
        "told.",
    ),
]


class Differing(Struct, kw_only=True):
    """A VM or an engine that is slower or faster than the median one, beyond chance and by more than 1 %."""

    name: Annotated[str, Meta(description="Name of the VM, the target or the engine.")]
    share: Annotated[Share, Meta(description="Its bits over time in operations, over those of the median one.")]
    chance: Annotated[Share, Meta(description="By how much chance alone lets a share differ from 1.")]
    iterations: Annotated[Indexes, Meta(description="Indexes of the iterations in which it differs.")]


class Starved(Struct, kw_only=True):
    """A VM that received less than half of its share of the bits."""

    name: Annotated[str, Meta(description="Name of the VM or target.")]
    received: Annotated[
        Share, Meta(description="Bits per connection over those of the mean VM, in the worst iteration.")
    ]
    iterations: Annotated[Indexes, Meta(description="Indexes of the iterations in which it was starved.")]


class WorstP99(Struct, kw_only=True):
    """The VM with the highest 99th percentile of the response time, over all complete iterations."""

    name: Annotated[str, Meta(description="Name of the VM or target.")]
    p99_ms: Annotated[Interval, Meta(description="Its 99th percentile, in milliseconds.")]
    by_chance_ms: Annotated[
        float,
        Meta(description="What it exceeds once in 10,000 runs if its operations are drawn from those of all VMs."),
    ]


class VmShare(Struct, kw_only=True):
    """The share of one VM."""

    name: Annotated[str, Meta(description="Name of the VM or target.")]
    share: Annotated[
        Share | None,
        Meta(description="Its rate over that of the median VM, over all complete iterations; null without operations."),
    ]
    received: Annotated[Share, Meta(description="Bits per connection over those of the mean VM.")]
    by_iteration: Annotated[
        list[Share | None], Meta(description="Its rate over that of the median VM, in each complete iteration.")
    ]


class Clients(Struct, kw_only=True):
    """The engines, compared on the same VMs at the same time."""

    slowest_over_fastest: Annotated[Share, Meta(description="The ratio of the rates of the two extreme engines.")]
    slowest_over_fastest_by_chance: Annotated[
        Share | None, Meta(description="Equal engines have at least this in 9,999 of 10,000 runs; null: not known.")
    ]
    differing: Annotated[list[Differing], Meta(description="The engines that differ from the median one.")]
    explained: Explained


class Fairness(Struct, kw_only=True):
    """How evenly the VMs served, by bits over time in operations.

    Over all complete iterations; records of earlier versions have that of the median iteration, and only the first
    three fields. Those of 0.1.0 compare operations per second.
    """

    jain: Annotated[float | None, Meta(description="Jain's index of the VMs' rates: 1 is even.")]
    slowest_over_fastest: Annotated[float | None, Meta(description="The ratio of the rates of the two extreme VMs.")]
    slowest_over_fastest_by_chance: Annotated[
        float | UnsetType | None,
        Meta(
            description="Equal VMs have at least this in 9,999 of 10,000 runs (369 of 370 in records of earlier "
            "versions); null when chance cannot be told."
        ),
    ] = UNSET
    jain_by_chance: Annotated[float | UnsetType | None, Meta(description="The same of Jain's index.")] = UNSET
    verdict: Annotated[
        Literal["fair", "unfair", "not known"] | UnsetType,
        Meta(
            description="unfair: a VM is in `differing` or `starved`. not known: none is, and chance cannot be told. "
            "It does not change the verdict of the run."
        ),
    ] = UNSET
    slowest: Annotated[str | UnsetType, Meta(description="Name of the slowest VM.")] = UNSET
    iterations: Annotated[Positive | UnsetType, Meta(description="The number of iterations that count.")] = UNSET
    differing: Annotated[
        list[Differing] | UnsetType, Meta(description="VMs that differ in all of these iterations.")
    ] = UNSET
    passing: Annotated[
        list[Differing] | UnsetType, Meta(description="VMs that differ in some of these iterations only.")
    ] = UNSET
    starved: Annotated[list[Starved] | UnsetType, Meta(description="VMs that received less than half.")] = UNSET
    worst_p99: Annotated[WorstP99 | UnsetType | None, Meta(description="Null without operations of two VMs.")] = UNSET
    explained: Annotated[Explained | UnsetType, Meta(description="Share of the variance that the VMs explain.")] = UNSET
    clients: Annotated[Clients | UnsetType | None, Meta(description="Null with a single engine.")] = UNSET
    vms: Annotated[list[VmShare] | UnsetType, Meta(description="The VMs that had connections, in order.")] = UNSET
