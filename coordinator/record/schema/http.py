"""The document of `loadgen http`."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from coordinator.record.schema.common import (
    CanaryRows,
    Check,
    Count,
    Document,
    ErrorCounts,
    Fleet,
    StoppedEarly,
    Trust,
)
from coordinator.record.schema.disturbance import DisturbanceOrUnset
from coordinator.record.schema.span import Interval
from coordinator.record.schema.spec import Time
from coordinator.record.schema.tcp import NamespacesOrUnset, TcpOrUnset
from loadgen.model.http_plan import HttpPlan
from loadgen.verdict.http_result import Times


class HttpTimes(Struct, kw_only=True):
    """Milliseconds of requests; failed and cut requests count with lower bounds of their times."""

    mean: Interval
    p50: Interval
    p90: Interval
    p99: Interval
    p99_9: Interval
    max: Interval


class HttpSlo(Check, kw_only=True):
    """An objective with what was measured."""

    at_least: Annotated[
        bool | UnsetType, Meta(description="True when value is a lower bound, and nothing bounds it above.")
    ] = UNSET


class HttpPart(Struct, kw_only=True):
    """One target, or the sum of all targets, in the measured window."""

    name: Annotated[str, Meta(description="Host and port; all for the sum.")]
    connections: Count
    ok: Count
    errors: Annotated[int, Meta(ge=0, description="Failed requests; those that were shed count.")]
    errors_by_outcome: ErrorCounts
    cut: Annotated[int, Meta(ge=0, description="Requests without a complete reply when the run ended.")]
    per_s: Annotated[float, Meta(description="Requests per second that ended well.")]
    mbit_per_s: Annotated[float, Meta(description="Heads and bodies received.")]
    response_ms: Annotated[HttpTimes, Meta(description="From due to done.")]
    service_ms: Annotated[HttpTimes, Meta(description="From sent to done; of the requests that were sent.")]
    due: Annotated[
        Count | UnsetType,
        Meta(
            description="Requests of the window: those that were due in it; in a closed loop those under way when it "
            "opened, in an open loop those under way during all of it. The sum of ok, errors and cut."
        ),
    ] = UNSET
    sent: Annotated[
        Count | UnsetType, Meta(description="Requests that went out to it, those of the warm-up included.")
    ] = UNSET
    unanswered: Annotated[
        Count | UnsetType,
        Meta(
            description="Cut requests that had waited more than twice as long as the slowest answered one; all of them "
            "when none was answered. The objective errors counts them."
        ),
    ] = UNSET
    retries: Annotated[
        Count | UnsetType,
        Meta(description="Requests sent once more: the server had closed the kept TCP connection."),
    ] = UNSET
    time: Time = UNSET
    statuses: Annotated[
        dict[str, Count] | UnsetType, Meta(description="Whole replies by status code, right and wrong ones.")
    ] = UNSET
    surplus: Annotated[
        Count | UnsetType,
        Meta(description="Requests with unasked bytes after the reply, or before it on the idle connection."),
    ] = UNSET
    tcp: TcpOrUnset = UNSET


class RequestPart(Struct, kw_only=True):
    """The numbers of good and failed operations of one request."""

    name: str
    ok: Count
    bad: Count


class TlsHandshakes(Struct, kw_only=True):
    """The completed TLS handshakes of a run, those of the warm-up included."""

    full: Annotated[int, Meta(ge=0, description="Handshakes in which the server showed its certificate.")]
    resumed: Annotated[int, Meta(ge=0, description="Handshakes that resumed an earlier session (`--tls-resume`).")]
    resumed_share: Annotated[float, Meta(ge=0, le=1, description="The share of the resumed ones.")]


class HttpStage(Struct, kw_only=True):
    """One stage of the run: the requests that were due in it, whenever they ended."""

    number: Annotated[int, Meta(ge=1, description="Its place in the plan; a stage of no length has no row.")]
    stage: Annotated[str, Meta(description="The stage as it is written on the command line.")]
    begins_s: Annotated[float, Meta(description="When it began, after the start of the measured window.")]
    measured_s: Annotated[float, Meta(description="How much of its length was played.")]
    asked_per_s: Annotated[float, Meta(description="Mean rate of the plan over the time that was played.")]
    due: Annotated[int, Meta(ge=0, description="Requests due in it. The sum of ok, errors and cut.")]
    ok: Count
    errors: Annotated[int, Meta(ge=0, description="Failed requests; those that were shed count.")]
    errors_by_outcome: ErrorCounts
    cut: Annotated[int, Meta(ge=0, description="Requests without a complete reply when the run ended.")]
    unanswered: Annotated[int, Meta(ge=0, description="Those of the cut that count as unanswered, as in total.")]
    per_s: Annotated[float, Meta(description="Requests that ended well, per second of the stage.")]
    response_ms: Annotated[HttpTimes, Meta(description="From due to done.")]
    slos: Annotated[
        list[HttpSlo],
        Meta(
            description="The objectives, judged for the stage alone: they do not change the verdict. Without rate, "
            "which is of the whole run; empty when nothing was due, or when the run is INVALID."
        ),
    ]


class HttpDocument(Document, kw_only=True, tag="http"):
    """The result of a `loadgen http` run."""

    notes: list[str]
    measured_s: Annotated[float | None, Meta(description="Length of the measured window.")]
    sent: Annotated[int | None, Meta(description="All requests that went out, those of the warm-up included.")]
    total: HttpPart | None
    targets: list[HttpPart]
    requests: Annotated[list[RequestPart], Meta(description="One row per request; a single one for many requests.")]
    lateness_ms: Annotated[Times | None, Meta(description="From due to sent.")]
    slos: Annotated[
        list[HttpSlo], Meta(description="The objectives, with the measured values; empty when the run is INVALID.")
    ]
    stages: Annotated[
        list[HttpStage] | UnsetType,
        Meta(description="The stages in order; left out without any. Their counts add up to those of total."),
    ] = UNSET
    trust: Trust
    disturbance: DisturbanceOrUnset = UNSET
    canary: CanaryRows | UnsetType = UNSET
    stopped_early: StoppedEarly | UnsetType = UNSET
    tls_handshakes: Annotated[
        TlsHandshakes | UnsetType, Meta(description="Present when a TLS handshake was completed.")
    ] = UNSET
    namespaces: NamespacesOrUnset = UNSET
    plan: Annotated[HttpPlan, Meta(description="The plan of the run, with everything that is needed to repeat it.")]
    seed: int
    fleet: Fleet
