"""The documents of `loadgen spec --check-headroom` and `loadgen http --check-headroom`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from coordinator.record.schema.common import Count, Document, ExitCode, Fleet, Verdict
from loadgen.model.http_plan import HttpPlan
from loadgen.model.plan import SpecPlan

_RoleName = Literal["run", "one-engine-more", "null-responder"]


class FoundHeadroom(Struct, kw_only=True):
    """How far the load generator was from being the limit."""

    limit: Annotated[
        Literal["generator", "near", "far", "unknown"],
        Meta(
            description="generator: the load generator was the limit of the run; near: it was not, but has little "
            "headroom; far: it was far from its limit; unknown: the runs do not say."
        ),
    ]
    times: Annotated[
        float | None,
        Meta(description="Rate of the load generator alone, as a multiple of the run's rate; null when not known."),
    ]
    at_least: Annotated[bool, Meta(description="Whether `times` is a lower bound.")]
    gain_share: Annotated[
        float | None,
        Meta(description="Share by which the rate rises with one engine more, below 0 when it falls; null: not known."),
    ]


class HeadroomRun(Struct, kw_only=True):
    """A run of the check."""

    role: Annotated[
        _RoleName,
        Meta(
            description="run: the run itself; one-engine-more: the same with one engine more on each load machine; "
            "null-responder: the load generator alone. Also the directory of the run's own record."
        ),
    ]
    verdict: Verdict
    exit_code: ExitCode
    reasons: Annotated[list[str], Meta(description="The sentences behind the run's verdict.")]
    engines: Annotated[Count, Meta(description="Engines on each load machine.")]
    per_s: Annotated[float | None, Meta(description="Completed requests per second; null in a run that was stopped.")]
    busy_share: Annotated[
        float | None,
        Meta(description="Share of the time in which the busiest engine worked or waited for a core; null: not known."),
    ]


class LeftOut(Struct, kw_only=True):
    """A run that is not played."""

    role: Annotated[_RoleName, Meta(description="Which run it is.")]
    why: Annotated[str, Meta(description="Why it is not played.")]


class _HeadroomDocument(Document, kw_only=True):
    """The common fields of both."""

    fleet: Fleet
    headroom: Annotated[FoundHeadroom, Meta(description="The answer of the runs so far.")]
    steps: Annotated[list[HeadroomRun], Meta(description="The runs, in the order in which they ran.")]
    left_out: Annotated[list[LeftOut], Meta(description="The runs that are not played.")]


class SpecHeadroomDocument(_HeadroomDocument, kw_only=True, tag_field="kind", tag="spec-headroom"):
    """The result of `loadgen spec --check-headroom`."""

    plan: Annotated[SpecPlan, Meta(description="The plan of the run.")]


class HttpHeadroomDocument(_HeadroomDocument, kw_only=True, tag_field="kind", tag="http-headroom"):
    """The result of `loadgen http --check-headroom`."""

    plan: Annotated[HttpPlan, Meta(description="The plan of the run.")]
