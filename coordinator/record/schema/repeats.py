"""The documents of `loadgen spec --repeats` and `loadgen http --repeats`, and the runs in documents of several runs."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from coordinator.record.schema.common import Count, Document, ExitCode, Fleet, Moment, Verdict
from loadgen.model.http_plan import HttpPlan
from loadgen.model.plan import SpecPlan
from loadgen.verdict.figures import Figure
from loadgen.verdict.sample import Drift


class PlayedRun(Struct, kw_only=True):
    """A run of an experiment."""

    record: Annotated[str, Meta(description="Directory of the run's own record, relative to the experiment's.")]
    side: Annotated[Count, Meta(description="Which of the plans it played, from 0; 0 when there is one plan.")]
    started_at: Moment
    verdict: Verdict
    exit_code: ExitCode
    reasons: Annotated[list[str], Meta(description="The sentences behind the run's verdict.")]
    figures: Annotated[
        list[Figure], Meta(description="Its numbers, the most important one first; none when the run does not count.")
    ]


class RepeatedNumber(Struct, kw_only=True):
    """A number over all runs that count."""

    name: str
    unit: Annotated[str, Meta(description="The unit; empty for a plain count.")]
    better: Annotated[Literal["higher", "lower"], Meta(description="Which values are better.")]
    values: Annotated[list[float], Meta(description="One for each run that counts, in the order of the runs.")]
    median: float
    low: Annotated[
        float | None,
        Meta(description="With `high`: the true median lies between, with 95 % confidence; null below 6 values."),
    ]
    high: Annotated[float | None, Meta(description="See `low`.")]
    variation: Annotated[
        float | None,
        Meta(description="Coefficient of variation: standard deviation over mean; null for one value or a mean of 0."),
    ]
    noisy: Annotated[bool, Meta(description="Whether `variation` is at least 0.05.")]
    outliers: Annotated[
        list[str],
        Meta(description="Records of runs whose value stands out; they count like all others. Empty below 6 values."),
    ]
    drift: Annotated[Drift | None, Meta(description="A trend over the runs; null when none is shown.")]
    lower_bounds: Annotated[Count, Meta(description="So many of the values are only lower bounds.")]


class _RepeatsDocument(Document, kw_only=True):
    """The common fields of repeated runs."""

    fleet: Fleet
    repeats: Annotated[Count, Meta(description="The number of runs that was asked for.")]
    rows: Annotated[list[RepeatedNumber], Meta(description="The numbers over all runs that count.")]
    runs: Annotated[list[PlayedRun], Meta(description="The runs, in the order in which they ran.")]


class SpecRepeatsDocument(_RepeatsDocument, kw_only=True, tag_field="kind", tag="spec-repeats"):
    """The result of `loadgen spec --repeats`."""

    plan: Annotated[SpecPlan, Meta(description="The plan of each run.")]


class HttpRepeatsDocument(_RepeatsDocument, kw_only=True, tag_field="kind", tag="http-repeats"):
    """The result of `loadgen http --repeats`."""

    plan: Annotated[HttpPlan, Meta(description="The plan of each run.")]
