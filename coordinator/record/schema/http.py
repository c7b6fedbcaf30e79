"""The document of `loadgen http`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from coordinator.record.schema.common import Check, Count, Document, ErrorCounts, Fleet, Trust
from loadgen.model.http_plan import HttpPlan
from loadgen.verdict.http_result import Times


class HttpPart(Struct, kw_only=True):
    """One target, or the sum of all targets, in the measured window."""

    name: Annotated[str, Meta(description="Host and port; all for the sum.")]
    connections: Count
    ok: Count
    errors: Annotated[int, Meta(ge=0, description="Failed requests; those that were shed count.")]
    errors_by_outcome: ErrorCounts
    cut: Annotated[int, Meta(ge=0, description="Requests that were under way when the run ended.")]
    per_s: Annotated[float, Meta(description="Requests per second that ended well.")]
    mbit_per_s: Annotated[float, Meta(description="Heads and bodies received.")]
    response_ms: Annotated[Times, Meta(description="From due to done.")]
    service_ms: Annotated[Times, Meta(description="From sent to done.")]
    retries: Annotated[
        int, Meta(ge=0, description="Requests sent once more: the server had closed the kept TCP connection.")
    ] = 0


class RequestPart(Struct, kw_only=True):
    """How often one request ended well and in an error."""

    name: str
    ok: Count
    bad: Count


class HttpDocument(Document, kw_only=True, tag="http"):
    """The result of a `loadgen http` run."""

    notes: list[str]
    measured_s: Annotated[float | None, Meta(description="Length of the measured window.")]
    sent: Annotated[int | None, Meta(description="All requests that went out, those of the warm-up included.")]
    total: HttpPart | None
    targets: list[HttpPart]
    requests: Annotated[list[RequestPart], Meta(description="One row per request; a single one for many requests.")]
    lateness_ms: Annotated[Times | None, Meta(description="From due to sent.")]
    slos: Annotated[list[Check], Meta(description="The objectives, with what was measured.")]
    trust: Trust
    plan: Annotated[HttpPlan, Meta(description="What was asked for; enough to repeat the run.")]
    seed: int
    fleet: Fleet
