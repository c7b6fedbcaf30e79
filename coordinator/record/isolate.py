"""run.json of a `loadgen isolate` run: the part that no other kind has.  A number that is not known is null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.record.header import Header
from coordinator.record.kind import RecordKind
from coordinator.record.span import read_span
from loadgen.measure.isolation import Held, Phase, Web
from loadgen.model.isolate import Hog, IsolatePlan
from loadgen.model.plain import to_plain
from loadgen.verdict.isolate_result import EDGES_MS, HostRow, IsolateResult, IsolateRow, Latency
from loadgen.verdict.result import Verdict


def _write(header: Header[IsolatePlan], result: IsolateResult | None) -> dict[str, Any]:
    return {
        "notes": result.notes if result else (),
        "plan": header.plan.to_dict(),
        "edges_ms": EDGES_MS,
        "rows": [to_plain(row) for row in result.rows] if result else [],
    }


def _read(document: Mapping[str, Any]) -> IsolateResult:
    return IsolateResult(
        verdict=Verdict(document["verdict"]),
        reasons=tuple(document["reasons"]),
        notes=tuple(document["notes"]),
        rows=tuple(map(_read_row, document["rows"])),
        about=document["environment"]["server"],
    )


def _read_row(data: Mapping[str, Any]) -> IsolateRow:
    read = {
        "hog": Hog(data["hog"]),
        "game": _read_latency(data["game"]),
        "echo": _read_latency(data["echo"]),
        "web": Web(**data["web"]) if data["web"] else None,
        "held": Held(**data["held"]) if data["held"] else None,
        "host": HostRow(**data["host"]) if data["host"] else None,
        "deaths": tuple(data["deaths"]),
    }
    return IsolateRow(**{**data, **read})


def _read_latency(data: Mapping[str, Any] | None) -> Latency | None:
    if data is None:
        return None
    spans = {name: read_span(data[name]) for name in ("p50", "p95", "p99", "max")}
    return Latency(**{**data, **spans, "bins": tuple(data["bins"])})


ISOLATE = RecordKind(
    read_plan=IsolatePlan.from_dict,
    write=_write,
    read=_read,
    measured=lambda plain: (Phase.from_wire(plain),),
    on_fleet=False,
)
