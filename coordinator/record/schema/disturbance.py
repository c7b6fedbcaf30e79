"""The disturbed seconds of a run with load machines."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from coordinator.record.schema.common import Count, Verdict


class WithoutDisturbed(Struct, kw_only=True):
    """The run judged without the disturbed seconds, and without the second after each of them."""

    verdict: Annotated[Verdict | None, Meta(description="Null in an INVALID run, which has no score.")]
    trusted: Annotated[bool, Meta(description="Whether the load generator passes its checks then.")]
    changes: Annotated[list[str], Meta(description="The checks that come out differently.")]


class MachineObserved(Struct, kw_only=True):
    """One load machine: seconds of the measured windows that were watched, and those that were disturbed."""

    machine: Annotated[str, Meta(description="Name of the load machine.")]
    seconds: Annotated[Count, Meta(description="Seconds of the measured windows that were watched.")]
    disturbed: Annotated[Count, Meta(description="Of these, seconds that were disturbed.")]


class DisturbedSpan(Struct, kw_only=True):
    """Consecutive seconds of the run that one cause disturbed; the values are those of the worst second."""

    machine: Annotated[str, Meta(description="Name of the load machine.")]
    first_s: Annotated[Count, Meta(description="Seconds after the start of the run.")]
    last_s: Annotated[Count, Meta(description="The last second, included.")]
    what: Annotated[str, Meta(description="The cause, such as other processes, hypervisor, CPU quota.")]
    value: Annotated[float, Meta(description="The measured value of the worst second.")]
    limit: Annotated[float, Meta(description="The value from which a second is disturbed.")]
    unit: Annotated[str, Meta(description="Unit of value and limit; empty for a plain number.")]
    where: Annotated[str, Meta(description="The cores or the engine; empty for the whole machine.")]
    who: Annotated[str, Meta(description="The process that used the most in most seconds; empty or unknown otherwise.")]


class Disturbance(Struct, kw_only=True):
    """What disturbed the load machines, second by second (disturbance.msgpack has every second)."""

    measured_s: Annotated[Count, Meta(description="Seconds of the measured windows that were watched.")]
    disturbed_s: Annotated[Count, Meta(description="Of these, seconds that were disturbed on any machine.")]
    left_out_s: Annotated[float, Meta(ge=0, description="Length of what was left out to judge the run again.")]
    verdict_depends: Annotated[
        Literal["none", "not known", "same", "other"],
        Meta(
            description="none: nothing was disturbed; not known: nothing is left without the disturbed seconds, or a "
            "failed check is not known for single seconds; same: without them the verdict is the same; other: it would "
            "be another."
        ),
    ]
    sentence: Annotated[str, Meta(description="The same in words; empty when nothing was disturbed.")]
    without: Annotated[
        WithoutDisturbed | None, Meta(description="The run judged again; null when there is nothing to compare.")
    ]
    machines: Annotated[list[MachineObserved], Meta(description="One entry for each watched load machine.")]
    spans: Annotated[list[DisturbedSpan], Meta(description="What disturbed, in the order of time.")]
    undecided: Annotated[
        list[str] | UnsetType,
        Meta(description="Failed checks that are not known for single seconds, so the run cannot be judged again."),
    ] = UNSET


DisturbanceOrUnset = Annotated[
    Disturbance | UnsetType,
    Meta(description="Missing when no second was watched, and in records of version 0.1.0."),
]
