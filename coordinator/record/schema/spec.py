"""The documents of `loadgen spec`: a run, and a sweep of runs."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from coordinator.record.schema.common import (
    CanaryRows,
    Check,
    Count,
    Document,
    DrivenTarget,
    Environment,
    ErrorCounts,
    ExitCode,
    Fleet,
    Index,
    Moment,
    Port,
    Positive,
    StoppedEarly,
    Trust,
    Verdict,
)
from coordinator.record.schema.disturbance import DisturbanceOrUnset
from coordinator.record.schema.fairness import Fairness
from coordinator.record.schema.margin import Margin
from coordinator.record.schema.span import Interval
from coordinator.record.schema.tcp import NamespacesOrUnset, TcpOrUnset
from coordinator.record.schema.vm_counters import VmCountersOrUnset
from loadgen.model.plan import SpecPlan
from loadgen.verdict.time_shares import TimeShares

IterationFairness = Annotated[
    dict[str, float | None],
    Meta(
        description="How evenly the VMs served, by bits over time in operations: Jain's index, the slowest over the "
        "fastest VM, and the ratio that equal VMs have at least in 369 of 370 iterations. Records of 0.1.0 compare "
        "operations per second."
    ),
]

Cut = Annotated[
    int,
    Meta(
        ge=0,
        description="Operations that were under way when the traffic stopped. With requests_ok and errors they are all "
        "operations that were due in the window, or before it and under way during all of it.",
    ),
]


class SpansMs(Struct, kw_only=True):
    """Percentiles in milliseconds; failed and cut operations count with lower bounds of their times.

    Response is from due to done, service from sent to done.
    """

    p50: Interval
    p90: Interval
    p99: Interval
    max: Interval


class TimesMs(Struct, kw_only=True):
    """Percentiles of the lateness, from due to sent, in milliseconds; null without any operation."""

    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


class OkAndBad(Struct, kw_only=True):
    """Operations that ended well, and operations that ended in an error."""

    ok: Count
    bad: Count


Time = Annotated[
    TimeShares | UnsetType,
    Meta(
        description="Where the time of all connections in the window went, as shares that add up to 1: service (sent "
        "to done of operations that ended well), pacing (from then until the line speed allows the next operation), "
        "lateness (due to sent: the load generator's), rest (after a failure), failed (sent to done of failed "
        "operations), unfinished (of operations cut at the end), absent (no operation), idle (free, in an open loop)."
    ),
]


class ConnectionRates(Struct, kw_only=True):
    """The connections' own rates: bits over time in operations."""

    min: float | None
    mean: float | None
    max: float | None


class TargetPart(Struct, kw_only=True):
    """One VM in one iteration."""

    name: str
    host: str
    port: Port
    requested: Count
    conforming: Annotated[Count | None, Meta(description="Null in a run that has no score.")]
    requests_ok: Count
    requests_conforming: Annotated[Count | None, Meta(description="Requests within the bound; null without a score.")]
    ops_per_s: float | None
    kbit_per_s: Annotated[
        float | None,
        Meta(description="Received by operations due in the measured window, over its length, all connections."),
    ]
    response_ms: SpansMs
    connection_kbit_per_s: ConnectionRates
    errors: Count
    errors_by_outcome: Annotated[ErrorCounts, Meta(description="Failed operations by outcome; only what occurred.")]
    dead_share: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | UnsetType,
        Meta(
            description="Share of the connections' time in the window in failed operations, in the rests after them, "
            "and without any operation."
        ),
    ] = UNSET
    time: Time = UNSET
    cut: Cut | UnsetType = UNSET
    counters: VmCountersOrUnset = UNSET
    tcp: TcpOrUnset = UNSET
    statuses: Annotated[
        dict[str, Count] | UnsetType, Meta(description="Whole replies by status code, right and wrong ones.")
    ] = UNSET


class Iteration(Struct, kw_only=True):
    """One measured window, over all VMs."""

    index: Index
    measured_s: Annotated[float, Meta(ge=0)]
    complete: Annotated[bool, Meta(description="False when the window was cut short.")]
    conforms: Annotated[bool | None, Meta(description="Whether every check holds; null in a run that has no score.")]
    requested: Count
    conforming: Annotated[Count | None, Meta(description="Null in a run that has no score.")]
    ops_per_s: float | None
    kbit_per_s: float | None
    requests_ok: Count
    requests_conforming: Annotated[
        Count | None, Meta(description="Requests within the plan's bound; null in a run that has no score.")
    ]
    errors: Count
    errors_by_outcome: Annotated[
        ErrorCounts, Meta(description="Failed operations by outcome; only outcomes that occurred.")
    ]
    by_kind: dict[str, OkAndBad]
    by_group: dict[str, OkAndBad]
    response_ms: SpansMs
    service_ms: SpansMs
    lateness_ms: TimesMs
    checks: Annotated[list[Check], Meta(description="Checks of the servers; empty in a run that has no score.")]
    targets: list[TargetPart]
    trust: Annotated[Trust | UnsetType, Meta(description="Checks of the load generator in this window.")] = UNSET
    fairness: IterationFairness | UnsetType = UNSET
    time: Time = UNSET
    cut: Cut | UnsetType = UNSET
    tcp: TcpOrUnset = UNSET
    namespaces: NamespacesOrUnset = UNSET


class RunPart(Struct, kw_only=True):
    """The common fields of a run and of a point of a sweep."""

    started_at: Moment
    verdict: Verdict
    exit_code: ExitCode
    reasons: Annotated[list[str], Meta(description="The sentences behind the verdict, most important first.")]
    notes: list[str]
    requested_connections: Annotated[int, Meta(ge=1, description="Simultaneous connections asked for, of all VMs.")]
    conforming_connections: Annotated[
        Count | None,
        Meta(
            description="Conforming connections in the median iteration; null when unfinished, and in a run that has "
            "no score because it is INVALID or a trust check failed. Connections of a load machine do not conform in a "
            "window before whose end it was lost."
        ),
    ]
    median_iteration: Annotated[Index | None, Meta(description="Index into iterations; null when none was measured.")]
    iterations: list[Iteration]
    targets: Annotated[list[TargetPart], Meta(description="The VMs in the median iteration.")]
    fairness: Annotated[
        Fairness | None,
        Meta(description="Between the VMs; null with fewer than two VMs, or in a run that has no score."),
    ]
    trust: Trust
    disturbance: DisturbanceOrUnset = UNSET
    canary: CanaryRows | UnsetType = UNSET
    stopped_early: StoppedEarly | UnsetType = UNSET
    plan: Annotated[SpecPlan, Meta(description="The plan of the run, with everything that is needed to repeat it.")]
    seed: int
    driven_targets: Annotated[
        list[DrivenTarget],
        Meta(description="The servers that were driven, in the order of the target numbers in intervals.msgpack."),
    ]
    fleet: Fleet
    margin: Annotated[
        Margin | UnsetType,
        Meta(description="Absent in a run that has no score or no complete iteration, and in earlier versions."),
    ] = UNSET


class SpecDocument(RunPart, kw_only=True, tag_field="kind", tag="spec"):
    """The result of a `loadgen spec` run."""

    schema_version: Literal[1]
    finished_at: Moment | None
    environment: Environment


class Point(RunPart, kw_only=True):
    """A point of a sweep: one number of VMs."""

    vms: Positive
    record: Annotated[str, Meta(description="Directory of the point's own record, relative to the sweep's.")]


class SweepDocument(Document, kw_only=True, tag="spec-sweep"):
    """The result of a sweep of `loadgen spec` over numbers of VMs."""

    vms: Annotated[list[Positive], Meta(description="The numbers of VMs that were asked for.")]
    plan: Annotated[SpecPlan, Meta(description="The plan of the first point; the others differ in their VMs.")]
    seed: int
    fleet: Fleet
    points: Annotated[list[Point], Meta(description="The points that are done, in the order in which they ran.")]
