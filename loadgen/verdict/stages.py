"""The stages of a `loadgen http` run: what was asked in each, and what became of the operations that were due in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadgen.measure.cells import Cell
from loadgen.measure.censored import Times as Censored
from loadgen.measure.ledger import Totals
from loadgen.model.stages import Ramp, Stage, played_of
from loadgen.model.units import NS_PER_S
from loadgen.verdict.fates import Fates, fates_by_stage
from loadgen.verdict.http_result import StageRow, TimeSpans
from loadgen.verdict.rules import Asked
from loadgen.verdict.slo import Slo

_OF_THE_WHOLE = "rate"
"""The objective that is not judged by stage: a stage that asks for less than the objective could only miss it."""


def stage_rows(
    stages: Sequence[Stage], totals: Totals, asked: Asked, slos: Sequence[Slo], *, measured_ns: int, played_ns: int
) -> tuple[StageRow, ...]:
    """A row for each stage that has a length, of a window that was played for `played_ns` from its start on.

    `measured_ns` is the length of the window by which the whole run is judged.
    """
    nothing = Cell.empty(len(asked.kinds), len(asked.groups))
    played = played_of(stages)
    fates = fates_by_stage(totals.stages, len(played), totals.cells, len(asked.targets), nothing, measured_ns)
    return tuple(_rows(played, fates, [slo for slo in slos if slo.metric != _OF_THE_WHOLE], played_ns))


def _rows(
    played: Sequence[tuple[int, Stage, Ramp]], fates: Sequence[Fates], slos: Sequence[Slo], played_ns: int
) -> Iterator[StageRow]:
    begins_ns = 0
    for (number, stage, ramp), fate in zip(played, fates, strict=True):
        cell, length_ns = fate.cell, max(0, min(ramp[0], played_ns - begins_ns))
        measured_s = length_ns / NS_PER_S
        yield StageRow(
            number=number,
            stage=str(stage),
            begins_s=begins_ns / NS_PER_S,
            measured_s=measured_s,
            asked_per_s=_asked_per_s(ramp, length_ns),
            due=cell.issued,
            ok=cell.ok,
            errors=cell.errors,
            cut=cell.cut,
            unanswered=fate.unanswered.total,
            per_s=cell.ok / measured_s if measured_s else 0.0,
            response_ms=TimeSpans.of(Censored.response_of(cell)),
            slos=tuple(slo.judge(fate, measured_s) for slo in slos) if cell.issued else (),
        )
        begins_ns += ramp[0]


def _asked_per_s(ramp: Ramp, length_ns: int) -> float:
    """The mean rate over the first `length_ns` of a ramp; 0 where nothing of it was played."""
    whole_ns, begin, end = ramp
    return begin + (end - begin) * length_ns / whole_ns / 2 if length_ns else 0.0
