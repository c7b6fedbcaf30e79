"""The document of `loadgen isolate`.  A number that is not known is null."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from coordinator.record.schema.common import Document
from loadgen.model.isolate import IsolatePlan
from loadgen.verdict.isolate_result import IsolateRow


class IsolateDocument(Document, kw_only=True, tag="isolate"):
    """The result of a `loadgen isolate` run."""

    notes: list[str]
    plan: Annotated[IsolatePlan, Meta(description="The plan of the run, with everything that is needed to repeat it.")]
    edges_ms: Annotated[
        list[float], Meta(description="Upper edges of the bins of the latency histograms; one more bin follows.")
    ]
    rows: Annotated[list[IsolateRow], Meta(description="The idle case (hog none), then each hog.")]
