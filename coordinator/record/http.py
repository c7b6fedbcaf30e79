"""run.json of a `loadgen http` run: the part that no other kind has."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from coordinator.record.checks import read_check, read_trust, write_trust
from coordinator.record.header import Header
from coordinator.record.kind import RecordKind
from loadgen.measure.together import snapshots_of
from loadgen.model.http_plan import HttpPlan
from loadgen.verdict.http_result import HttpResult, HttpRow, RequestRow, Times
from loadgen.verdict.result import Verdict


def _write(header: Header[HttpPlan], result: HttpResult | None) -> dict[str, Any]:
    return {
        "notes": result.notes if result else (),
        "measured_s": result.measured_s if result else None,
        "sent": result.sent if result else None,
        "total": _row(result.total) if result else None,
        "targets": [_row(row) for row in result.targets] if result else [],
        "requests": [dataclasses.asdict(row) for row in result.requests] if result else [],
        "lateness_ms": dataclasses.asdict(result.lateness_ms) if result else None,
        "slos": [dataclasses.asdict(check) for check in result.slos] if result else [],
        "trust": write_trust(result.trust if result else None),
        "plan": header.plan.to_dict(),
        "seed": header.plan.seed,
        "fleet": header.own_fleet.to_dict(),
    }


def _read(document: Mapping[str, Any]) -> HttpResult:
    return HttpResult(
        verdict=Verdict(document["verdict"]),
        reasons=tuple(document["reasons"]),
        measured_s=document["measured_s"],
        sent=document["sent"],
        total=_read_row(document["total"]),
        targets=tuple(_read_row(row) for row in document["targets"]),
        requests=tuple(RequestRow(**row) for row in document["requests"]),
        lateness_ms=Times(**document["lateness_ms"]),
        slos=tuple(read_check(check) for check in document["slos"]),
        trust=read_trust(document["trust"]),
        notes=tuple(document["notes"]),
    )


def _row(row: HttpRow) -> dict[str, Any]:
    """`errors` as one number, which most readers want, and `errors_by_outcome` for the others."""
    data = {**dataclasses.asdict(row), "errors": sum(row.errors.values()), "errors_by_outcome": row.errors}
    return {name: value for name, value in data.items() if value is not None}  # 0.1.0 did not count retries


def _read_row(data: Mapping[str, Any]) -> HttpRow:
    times = {name: Times(**data[name]) for name in ("response_ms", "service_ms")}
    rest = {name: value for name, value in data.items() if name != "errors_by_outcome"}
    return HttpRow(**{**rest, **times, "errors": data["errors_by_outcome"]})


HTTP = RecordKind(
    read_plan=HttpPlan.from_dict,
    write=_write,
    read=_read,
    measured=snapshots_of,
    targets=lambda _, plan: plan.targets,
)
