"""The margin of a spec run: see docs/reading-results.md."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from coordinator.record.schema.common import Count, Positive


class Spread(Struct, kw_only=True):
    """The lowest and the highest value."""

    low: Annotated[float, Meta(ge=0, description="The lowest value.")]
    high: Annotated[float, Meta(ge=0, description="The highest value.")]


class Ideal(Struct, kw_only=True):
    """The same load on ideal servers, which answer at once: only the simulated line takes time."""

    conforming: Annotated[Count, Meta(description="With the operations of the median iteration.")]
    ops_per_s: Annotated[float, Meta(ge=0, description="With the operations of the median iteration.")]
    deals: Annotated[Positive, Meta(description="The number of simulated windows with operations of other seeds.")]
    conforming_spread: Annotated[Spread, Meta(description="Of all these windows.")]
    ops_per_s_spread: Annotated[
        Spread, Meta(description="Of 95 % of these windows; wider by what is not known about the heads of replies.")
    ]


class AtFloor(Struct, kw_only=True):
    """The median iteration, judged with another floor."""

    change: Annotated[float, Meta(description="Relative to the floor of the plan: -0.05, 0 or 0.05.")]
    floor_bps: Annotated[Count, Meta(description="The floor, in bit/s.")]
    conforming: Annotated[Count | None, Meta(description="Null where the floor is above the line speed.")]


class Margin(Struct, kw_only=True):
    """What stands beside a score: the effect of chance, of the floor, and of the iteration."""

    ideal: Annotated[Ideal | None, Meta(description="Null when the length of the replies is not known.")]
    floors: Annotated[list[AtFloor], Meta(description="Empty with a time bound.")]
    near_floor: Annotated[
        Count | None,
        Meta(description="Connections that conform at the lowest of the floors only; null without floors."),
    ]
    is_edge: Annotated[bool, Meta(description="Whether near_floor exceeds 5 % of the requested connections.")]
    conforming: Annotated[Spread, Meta(description="Over the complete iterations.")]
    ops_per_s: Annotated[Spread, Meta(description="Over the complete iterations.")]
