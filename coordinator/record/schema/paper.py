"""The document of `loadgen paper`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from coordinator.record.schema.common import Document
from loadgen.model.paper import PaperPlan

_Verdict = Literal["conforming", "not conforming", "INVALID", "DEGRADED", "interrupted"]


class PaperNumber(Struct, kw_only=True):
    """A number of this machine, with what the paper says."""

    key: Annotated[str, Meta(description="The name of the number within its experiment.")]
    what: Annotated[str, Meta(description="What it is, with its unit.")]
    value: Annotated[float | None, Meta(description="The number of this machine; null when its run is INVALID.")]
    low: Annotated[
        float | None,
        Meta(description="The lowest run, or the low end of the interval of the experiment's report; null without."),
    ]
    high: Annotated[float | None, Meta(description="The highest run, or the high end; null without.")]
    of: Annotated[float | None, Meta(description="What was asked for; null for nothing.")]
    at_least: Annotated[bool, Meta(description="Whether the number is a lower bound.")]
    paper: Annotated[
        dict[Literal["linux", "vserver", "xen"], str],
        Meta(description="The paper's figures by system, as the paper has them; a system without one is left out."),
    ]


class PaperStepDocument(Struct, kw_only=True):
    """One experiment of the paper on this machine."""

    experiment: Annotated[str, Meta(description="Its word in --steps.")]
    state: Annotated[
        Literal["played", "not here", "failed"],
        Meta(description="not here: this machine cannot play it; failed: it could not begin, or not end."),
    ]
    record: Annotated[str, Meta(description="Directory of its own record, relative to this one; empty without.")]
    verdict: Annotated[_Verdict | None, Meta(description="The verdict of its result; null without a result.")]
    exit_code: Annotated[Literal[0, 1, 3, 4, 130] | None, Meta(description="The exit code of its result alone.")]
    reasons: Annotated[list[str], Meta(description="The sentences behind the verdict, or why there is none.")]
    took_s: Annotated[float, Meta(description="The time that it took, in all.")]
    source: Annotated[str, Meta(description="Its place in the paper.")]
    method: Annotated[str, Meta(description="How the paper measured.")]
    differs: Annotated[str, Meta(description="What differs here.")]
    numbers: Annotated[list[PaperNumber], Meta(description="Its numbers; none of a result that cannot be trusted.")]


class PaperDocument(Document, kw_only=True, tag="paper"):
    """The result of `loadgen paper`: the paper's experiments on this machine."""

    plan: Annotated[PaperPlan, Meta(description="The plan, with everything that is needed to repeat it.")]
    not_comparable: Annotated[
        list[str], Meta(description="Why no number of this machine is a score against the paper's.")
    ]
    steps: Annotated[list[PaperStepDocument], Meta(description="The experiments, in the order of play.")]
