"""run.json of a `loadgen isolate` run: the part that no other kind has.  A number that is not known is null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from coordinator.record.header import Header
from coordinator.record.kind import RecordKind
from loadgen.measure.isolation import Phase
from loadgen.model.isolate import IsolatePlan
from loadgen.model.plain import to_plain
from loadgen.verdict.isolate_result import EDGES_MS, IsolateResult, IsolateRow
from loadgen.verdict.result import Verdict


def _write(header: Header[IsolatePlan], result: IsolateResult | None) -> dict[str, Any]:
    return {
        "notes": result.notes if result else (),
        "plan": header.plan.to_dict(),
        "edges_ms": EDGES_MS,
        "rows": [to_plain(row) for row in result.rows] if result else [],
    }


def _read(document: Mapping[str, Any]) -> IsolateResult:
    try:
        rows = msgspec.convert(document["rows"], tuple[IsolateRow, ...])
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    return IsolateResult(
        verdict=Verdict(document["verdict"]),
        reasons=tuple(document["reasons"]),
        notes=tuple(document["notes"]),
        rows=rows,
        about=document["environment"]["server"],
    )


ISOLATE = RecordKind(
    read_plan=IsolatePlan.from_dict,
    write=_write,
    read=_read,
    measured=lambda plain: (Phase.from_wire(plain),),
    on_fleet=False,
)
