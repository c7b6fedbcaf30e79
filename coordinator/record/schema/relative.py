"""The documents of `loadgen relative`: the comparison, and one of its rounds."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from coordinator.record.schema.common import Document
from loadgen.measure.trials import Round
from loadgen.model.relative import RelativePlan
from loadgen.verdict.relative_result import RelativeRow


class RelativeDocument(Document, kw_only=True, tag="relative"):
    """The result of `loadgen relative`: a command in several environments."""

    notes: list[str]
    plan: Annotated[RelativePlan, Meta(description="The plan, with everything that is needed to repeat it.")]
    rows: Annotated[
        list[RelativeRow], Meta(description="A row for each metric and environment, the metrics one after the other.")
    ]
    rounds: Annotated[list[Round], Meta(description="The rounds that were played, in their order.")]


class RoundDocument(Document, kw_only=True, tag="relative-round"):
    """One round of `loadgen relative`: a trial in each environment."""

    notes: list[str]
    plan: Annotated[RelativePlan, Meta(description="The plan of the comparison; `round` says which round this is.")]
    round: Annotated[Round | None, Meta(description="The trials; null when unfinished.")]
