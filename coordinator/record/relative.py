"""run.json of `loadgen relative`: of the comparison, and of each of its rounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.record.header import Header
from coordinator.record.kind import RecordKind
from loadgen.measure.trials import Round, Trial
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.relative import RelativePlan
from loadgen.verdict.relative_result import RelativeResult, RelativeRow, RoundResult
from loadgen.verdict.result import Verdict


def _write(header: Header[RelativePlan], result: RelativeResult | None) -> dict[str, Any]:
    return {
        "notes": result.notes if result else (),
        "plan": header.plan.to_dict(),
        "rows": [to_plain(row) for row in result.rows] if result else [],
        "rounds": [to_plain(one) for one in result.rounds] if result else [],
    }


def _read(document: Mapping[str, Any]) -> RelativeResult:
    rounds = tuple(from_plain(Round, data) for data in document["rounds"])
    finished = document["finished_at"] is not None
    return RelativeResult(
        verdict=Verdict(document["verdict"]) if finished else Verdict.INTERRUPTED,
        reasons=tuple(document["reasons"]),
        notes=tuple(document["notes"]),
        rows=tuple(_read_row(data) for data in document["rows"]),
        rounds=rounds,
    )


def _read_row(data: Mapping[str, Any]) -> RelativeRow:
    """A row; what is not known is null in plain data."""
    return from_plain(RelativeRow, {name: value for name, value in data.items() if value is not None})


def _write_round(header: Header[RelativePlan], result: RoundResult | None) -> dict[str, Any]:
    return {
        "notes": result.notes if result else (),
        "plan": header.plan.to_dict(),
        "round": to_plain(result.round) if result else None,
    }


def _read_round(document: Mapping[str, Any]) -> RoundResult:
    return RoundResult(
        verdict=Verdict(document["verdict"]),
        reasons=tuple(document["reasons"]),
        notes=tuple(document["notes"]),
        round=from_plain(Round, document["round"]),
    )


def _nothing_of_its_own(plain: object) -> tuple[()]:
    raise ValueError("the record of a comparison has no intervals: they are in the records of its rounds")


RELATIVE = RecordKind(
    read_plan=RelativePlan.from_dict,
    write=_write,
    read=_read,
    measured=_nothing_of_its_own,
    on_fleet=False,
    runs=lambda result: [one.record for one in result.rounds],
)

ROUND = RecordKind(
    read_plan=RelativePlan.from_dict,
    write=_write_round,
    read=_read_round,
    measured=lambda plain: (Trial.from_wire(plain),),
    on_fleet=False,
)
