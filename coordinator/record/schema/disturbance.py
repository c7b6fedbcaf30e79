"""The disturbed seconds of a run with load machines."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, UnsetType

from coordinator.record.schema.common import Count, Verdict


class WithoutDisturbed(Struct, kw_only=True):
    """The run judged without the disturbed seconds, and without the second after each of them."""

    verdict: Annotated[Verdict | None, Meta(description="Null in an INVALID run, which has no score.")]
    trusted: Annotated[bool, Meta(description="Whether the load generator passes its checks then.")]
    changes: Annotated[list[str], Meta(description="The checks that come out differently.")]


class MachineObserved(Struct, kw_only=True):
    """One load machine: seconds of the measured windows that were watched, and those that were disturbed."""

    machine: str
    seconds: Count
    disturbed: Count


class DisturbedSpan(Struct, kw_only=True):
    """Consecutive seconds of the run that one cause disturbed; the values are those of the worst second."""

    machine: str
    first_s: Annotated[Count, Meta(description="Seconds after the start of the run.")]
    last_s: Annotated[Count, Meta(description="The last second, included.")]
    what: Annotated[str, Meta(description="The cause, such as other processes, hypervisor, CPU quota.")]
    value: float
    limit: float
    unit: str
    where: Annotated[str, Meta(description="The cores or the engine; empty for the whole machine.")]
    who: Annotated[str, Meta(description="The process that used the most, where it is known.")]


class Disturbance(Struct, kw_only=True):
    """What disturbed the load machines, second by second (disturbance.msgpack has every second)."""

    measured_s: Annotated[Count, Meta(description="Seconds of the measured windows that were watched.")]
    disturbed_s: Annotated[Count, Meta(description="Of these, seconds that were disturbed on any machine.")]
    left_out_s: Annotated[float, Meta(ge=0, description="Length of what was left out to judge the run again.")]
    verdict_depends: Annotated[
        Literal["none", "not known", "same", "other"],
        Meta(
            description="none: nothing was disturbed; not known: nothing is left without the disturbed seconds; same: "
            "without them the verdict is the same; other: it would be another."
        ),
    ]
    sentence: Annotated[str, Meta(description="The same in words; empty when nothing was disturbed.")]
    without: WithoutDisturbed | None
    machines: list[MachineObserved]
    spans: list[DisturbedSpan]


DisturbanceOrUnset = Annotated[
    Disturbance | UnsetType,
    Meta(description="Missing when no second was watched, and in records of version 0.1.0."),
]
