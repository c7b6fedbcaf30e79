"""run.json of `loadgen http`: from a run's values and back.

It shares its head and foot with the other kinds (:mod:`coordinator.record.document`); the format is described by
`run.schema.json` beside this file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coordinator.record.document import (
    KIND_HTTP,
    UNFINISHED,
    make_document,
    read_check,
    read_trust,
    trust_part,
)
from coordinator.record.environment import Environment
from coordinator.record.fleet import FleetRecord
from loadgen.model.http_plan import HttpPlan
from loadgen.verdict.http_result import HttpResult, HttpRow, RequestRow, Times
from loadgen.verdict.result import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpHeader:
    """What is known of a run before it begins.  `started_at` is ISO 8601 with a zone."""

    started_at: str
    plan: HttpPlan
    environment: Environment
    fleet: FleetRecord


def http_unfinished(header: HttpHeader) -> dict[str, Any]:
    """The document of a run that has only begun."""
    return make_document(KIND_HTTP, header, "", _body(header, None))


def http_finished(header: HttpHeader, result: HttpResult, *, finished_at: str) -> dict[str, Any]:
    """The document of a run that ended, in whatever way."""
    return make_document(KIND_HTTP, header, finished_at, _body(header, result))


def http_header_of(document: Mapping[str, Any]) -> HttpHeader:
    """The header that a document was made from.  KeyError, TypeError, ValueError or PlanError when it is none."""
    return HttpHeader(
        started_at=document["started_at"],
        plan=HttpPlan.from_dict(document["plan"]),
        environment=Environment.from_dict(document["environment"]),
        fleet=FleetRecord.from_dict(document["fleet"]),
    )


def http_from_document(document: Mapping[str, Any]) -> HttpResult:
    """The result that a finished document was made from.  Errors as above."""
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


def _body(header: HttpHeader, result: HttpResult | None) -> dict[str, Any]:
    return {
        "verdict": result.verdict.value if result else UNFINISHED,
        "exit_code": int(result.exit_code) if result else None,
        "reasons": result.reasons if result else (),
        "notes": result.notes if result else (),
        "measured_s": result.measured_s if result else None,
        "sent": result.sent if result else None,
        "total": _row(result.total) if result else None,
        "targets": [_row(row) for row in result.targets] if result else [],
        "requests": [dataclasses.asdict(row) for row in result.requests] if result else [],
        "lateness_ms": dataclasses.asdict(result.lateness_ms) if result else None,
        "slos": [dataclasses.asdict(check) for check in result.slos] if result else [],
        "trust": trust_part(result.trust if result else None),
        "plan": header.plan.to_dict(),
        "seed": header.plan.seed,
        "fleet": header.fleet.to_dict(),
    }


def _row(row: HttpRow) -> dict[str, Any]:
    """`errors` as one number, which most readers want, and `errors_by_outcome` for the others."""
    return {**dataclasses.asdict(row), "errors": sum(row.errors.values()), "errors_by_outcome": row.errors}


def _read_row(data: Mapping[str, Any]) -> HttpRow:
    times = {name: Times(**data[name]) for name in ("response_ms", "service_ms")}
    rest = {name: value for name, value in data.items() if name != "errors_by_outcome"}
    return HttpRow(**{**rest, **times, "errors": data["errors_by_outcome"]})
