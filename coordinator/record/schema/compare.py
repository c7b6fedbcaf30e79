"""The documents of `loadgen compare --interleave`, and the comparison in them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from coordinator.record.schema.common import Count, Document, ExitCode, Fleet, Verdict
from coordinator.record.schema.repeats import PlayedRun
from loadgen.model.http_plan import HttpPlan
from loadgen.model.plan import SpecPlan
from loadgen.verdict.compare_result import Limit, Side, Unlike

_Number = Annotated[float | None, Meta(description="See `ratio`.")]


class ComparedNumber(Struct, kw_only=True):
    """A number in one group, beside that of the first group."""

    name: str
    unit: Annotated[str, Meta(description="The unit; empty for a plain count.")]
    better: Annotated[Literal["higher", "lower"], Meta(description="Which values are better.")]
    side: Annotated[str, Meta(description="The group: A is the first one.")]
    values: Annotated[list[float], Meta(description="One for each run that counts, or for each test of network runs.")]
    median: float
    difference: Annotated[
        Literal["first", "better", "worse", "not shown", "unknown"],
        Meta(description="What the interval says; not shown: it holds 1. unknown: there is no interval."),
    ]
    ratio: Annotated[
        float | None,
        Meta(
            description="How many times that of the first group it is, with its interval of 99 % confidence; null in "
            "the first group, for a ratio to 0, and, the interval, for too few runs."
        ),
    ]
    ratio_low: _Number
    ratio_high: _Number
    at_least: Annotated[Count, Meta(description="So many of the values are only lower bounds.")]
    too_bad: Annotated[bool, Meta(description="Whether the whole interval is beyond the limit of --fail-if-worse.")]


class Comparison(Struct, kw_only=True):
    """Groups of runs beside the first one; `loadgen compare RUN RUN --json` prints it."""

    verdict: Verdict
    exit_code: ExitCode
    reasons: Annotated[list[str], Meta(description="The answer in sentences.")]
    notes: list[str]
    sides: Annotated[list[Side], Meta(description="The groups.")]
    rows: Annotated[list[ComparedNumber], Meta(description="A row for each number and group; none when INVALID.")]
    in_rounds: Annotated[bool, Meta(description="Whether the groups were played in turns, and are compared by round.")]
    plans: Annotated[list[Unlike], Meta(description="What differs in the plans.")]
    environments: Annotated[list[Unlike], Meta(description="What differs in machine and software.")]


class _CompareDocument(Document, kw_only=True):
    """The common fields of plans that were played in turns."""

    files: Annotated[list[str], Meta(description="The files of the plans.")]
    fleet: Fleet
    rounds: Annotated[Count, Meta(description="The number of rounds that was asked for.")]
    limits: Annotated[list[Limit], Meta(description="The limits of --fail-if-worse.")]
    comparison: Annotated[Comparison | None, Meta(description="What the runs say so far.")]
    runs: Annotated[list[PlayedRun], Meta(description="The runs, in the order in which they ran.")]
    environments: Annotated[
        list[Unlike] | UnsetType,
        Meta(description="What differs in machine and software between the plans' runs; left out when not known."),
    ] = UNSET


class SpecCompareDocument(_CompareDocument, kw_only=True, tag_field="kind", tag="spec-compare"):
    """The result of `loadgen compare --interleave` with plans of `loadgen spec`."""

    plan: Annotated[SpecPlan, Meta(description="The first plan.")]
    plans: Annotated[list[SpecPlan], Meta(description="All plans.")]


class HttpCompareDocument(_CompareDocument, kw_only=True, tag_field="kind", tag="http-compare"):
    """The result of `loadgen compare --interleave` with plans of `loadgen http`."""

    plan: Annotated[HttpPlan, Meta(description="The first plan.")]
    plans: Annotated[list[HttpPlan], Meta(description="All plans.")]
