"""The documents of `loadgen spec --find` and `loadgen http --find`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from coordinator.record.schema.common import Count, Document, ExitCode, Fleet, Positive, Verdict
from loadgen.model.http_plan import HttpPlan
from loadgen.model.plan import SpecPlan


class SearchRules(Struct, kw_only=True):
    """The rules of a search."""

    start: Annotated[Positive, Meta(description="The number of the first run.")]
    least: Annotated[Positive, Meta(description="The smallest number that may be tried.")]
    greatest: Annotated[Positive, Meta(description="The greatest number that may be tried.")]
    step: Annotated[Count, Meta(description="The resolution; 0: a fiftieth of the smallest number that failed.")]
    repeats: Annotated[Positive, Meta(description="Runs at the answer, and as many one step above.")]
    runs: Annotated[Positive, Meta(description="The search ends after this many runs.")]


class FoundCapacity(Struct, kw_only=True):
    """The answer of a search."""

    found: Annotated[
        Literal["exact", "varying", "at least", "none", "unknown", "open"],
        Meta(
            description="exact: all runs at the value conform, none one step above; varying: runs at the same number "
            "disagree, half of them conform at the value; at least: nothing is known above the value; none: the "
            "smallest number does not conform; unknown: no run conforms, and those at the smallest numbers were not "
            "valid; open: the search is not over. If runs disagree by then, the value, low and high are a first "
            "estimate."
        ),
    ]
    value: Annotated[Count, Meta(description="The capacity; 0 without one.")]
    low: Annotated[Count, Meta(description="The capacity is at least this.")]
    high: Annotated[Count | None, Meta(description="The capacity is at most this; null when nothing above is known.")]
    step: Annotated[Positive, Meta(description="The resolution of the search.")]
    invalid_above: Annotated[
        bool, Meta(description="Whether the runs above were not valid: they say nothing about the servers.")
    ]
    contradiction: Annotated[
        list[Count] | None,
        Meta(
            description="Two numbers: most runs at the first one, the smaller one, failed; at the second one most held."
        ),
    ]


class FoundStep(Struct, kw_only=True):
    """A run of a search."""

    value: Annotated[Positive, Meta(description="The number that the run had.")]
    record: Annotated[str, Meta(description="Directory of the run's own record, relative to the search's.")]
    verdict: Verdict
    exit_code: ExitCode
    reasons: Annotated[list[str], Meta(description="The sentences behind the run's verdict.")]
    asked: Annotated[float, Meta(description="Connections of all VMs, or requests per second, asked for.")]
    reached: Annotated[
        float | None,
        Meta(description="Connections that conform, or requests per second that were answered; null when not valid."),
    ]
    p99_ms: Annotated[
        float | None, Meta(description="99th percentile of the response time, a lower bound; null when not known.")
    ]
    stopped_early: Annotated[
        bool, Meta(description="Whether the run was stopped when it was certain that it would not conform.")
    ] = False
    took_s: Annotated[
        float | None, Meta(description="With the start and the end of its servers; null when not known.")
    ] = None
    started: Annotated[bool, Meta(description="False for a run that could not start: it has no record.")] = True


class _FindDocument(Document, kw_only=True):
    """The common fields of searches."""

    fleet: Fleet
    search: Annotated[SearchRules | None, Meta(description="The rules of the search.")]
    capacity: Annotated[FoundCapacity | None, Meta(description="The answer of the runs so far.")]
    steps: Annotated[list[FoundStep], Meta(description="The runs, in the order in which they ran.")]


class SpecFindDocument(_FindDocument, kw_only=True, tag_field="kind", tag="spec-find"):
    """The result of `loadgen spec --find`."""

    find: Annotated[Literal["connections", "vms", ""], Meta(description="The number that is searched for.")]
    plan: Annotated[SpecPlan, Meta(description="The plan that the search varies.")]


class HttpFindDocument(_FindDocument, kw_only=True, tag_field="kind", tag="http-find"):
    """The result of `loadgen http --find`."""

    find: Annotated[Literal["rate", ""], Meta(description="The number that is searched for.")]
    plan: Annotated[HttpPlan, Meta(description="The plan that the search varies.")]
