"""run.json of a `loadgen http` run: the part that no other kind has."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from coordinator.record.canary import read_canary, write_canary
from coordinator.record.checks import read_check, read_trust, write_trust
from coordinator.record.disturbance import read_disturbance, write_disturbance
from coordinator.record.header import Header
from coordinator.record.kind import RecordKind
from coordinator.record.span import number_of, read_span
from coordinator.record.tcp import read_namespaces, read_tcp, write_namespaces, write_tcp
from loadgen.measure.together import snapshots_of
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_secrets import without_secrets
from loadgen.verdict.http_result import Handshakes, HttpResult, HttpRow, RequestRow, StageRow, Times, TimeSpans
from loadgen.verdict.result import Verdict
from loadgen.verdict.slo import SloCheck
from loadgen.verdict.time_shares import TimeShares


def _write(header: Header[HttpPlan], result: HttpResult | None) -> dict[str, Any]:
    return {
        "notes": result.notes if result else (),
        "measured_s": result.measured_s if result else None,
        "sent": result.sent if result else None,
        "total": _row(result.total) if result else None,
        "targets": [_row(row) for row in result.targets] if result else [],
        "requests": [dataclasses.asdict(row) for row in result.requests] if result else [],
        "lateness_ms": dataclasses.asdict(result.lateness_ms) if result else None,
        "slos": [_slo(check) for check in result.slos] if result else [],
        **({"stages": [_stage(row) for row in result.stages]} if result and result.stages else {}),
        "trust": write_trust(result.trust if result else None),
        **write_disturbance(result.disturbance if result else None),
        **write_canary(result.canary if result else ()),
        **_write_handshakes(result.handshakes if result else None),
        **write_namespaces(result.namespaces if result else ()),
        **({"stopped_early": result.stopped_early} if result and result.stopped_early else {}),
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
        slos=tuple(_read_slo(check) for check in document["slos"]),
        trust=read_trust(document["trust"]),
        notes=tuple(document["notes"]),
        disturbance=read_disturbance(document),
        canary=read_canary(document),
        handshakes=_read_handshakes(document),
        namespaces=read_namespaces(document),
        stages=tuple(_read_stage(row) for row in document.get("stages", ())),
        stopped_early=document.get("stopped_early", ""),
    )


def _write_handshakes(made: Handshakes | None) -> dict[str, Any]:
    if made is None:
        return {}
    return {"tls_handshakes": {**dataclasses.asdict(made), "resumed_share": made.resumed_share}}


def _read_handshakes(document: Mapping[str, Any]) -> Handshakes | None:
    if "tls_handshakes" not in document:
        return None
    made = document["tls_handshakes"]
    return Handshakes(full=made["full"], resumed=made["resumed"])


def _slo(check: SloCheck) -> dict[str, Any]:
    """`at_least` is there only if it is true."""
    fields = dataclasses.asdict(check)
    return fields if check.at_least else {name: value for name, value in fields.items() if name != "at_least"}


def _read_slo(data: Mapping[str, Any]) -> SloCheck:
    plain = read_check({name: value for name, value in data.items() if name != "at_least"})
    return SloCheck(**dataclasses.asdict(plain), at_least=data.get("at_least", False))


def _row(row: HttpRow) -> dict[str, Any]:
    """`errors` as one number, which most readers want, and `errors_by_outcome` for the others."""
    fates = {name: getattr(row, name) for name in _NEW if getattr(row, name) is not None}
    fields = {
        name: value for name, value in dataclasses.asdict(row).items() if name not in (*_NEW, *_LATER, "time", "tcp")
    }
    if row.statuses is not None:
        fields |= {"statuses": {str(code): number for code, number in row.statuses.items()}, "surplus": row.surplus}
    fields |= {"time": dataclasses.asdict(row.time)} if row.time is not None else {}
    fields |= write_tcp(row.tcp)
    if not fates:  # a record of version 0.1.0: numbers, not intervals
        for name in _TIMES:
            fields[name] = {key: number_of(span) for key, span in fields[name].items()}
    return {**fields, **fates, "errors": sum(row.errors.values()), "errors_by_outcome": row.errors}


def _read_row(data: Mapping[str, Any]) -> HttpRow:
    times = {name: TimeSpans(**{key: read_span(value) for key, value in data[name].items()}) for name in _TIMES}
    rest = {name: value for name, value in data.items() if name != "errors_by_outcome"}
    rest |= {"time": TimeShares(**data["time"])} if "time" in data else {}
    rest |= read_tcp(data)
    if "statuses" in data:
        rest["statuses"] = {int(code): number for code, number in data["statuses"].items()}
    return HttpRow(**{**rest, **times, "errors": data["errors_by_outcome"]})


def _stage(row: StageRow) -> dict[str, Any]:
    fields = {**dataclasses.asdict(row), "slos": [_slo(check) for check in row.slos]}
    return {**fields, "errors": sum(row.errors.values()), "errors_by_outcome": row.errors}


def _read_stage(data: Mapping[str, Any]) -> StageRow:
    fields = {name: value for name, value in data.items() if name != "errors_by_outcome"}
    fields["errors"] = data["errors_by_outcome"]
    fields["response_ms"] = TimeSpans(**{key: read_span(value) for key, value in data["response_ms"].items()})
    return StageRow(**{**fields, "slos": tuple(_read_slo(check) for check in data["slos"])})


_NEW = ("due", "sent", "unanswered", "retries")
"""Fields of a row that records of version 0.1.0 do not have."""

_LATER = ("statuses", "surplus")
"""Fields of a row that records of earlier versions do not have."""

_TIMES = ("response_ms", "service_ms")

HTTP = RecordKind(
    read_plan=HttpPlan.from_dict,
    write=_write,
    read=_read,
    measured=snapshots_of,
    targets=lambda _, plan: plan.targets,
    conceal=without_secrets,
)
