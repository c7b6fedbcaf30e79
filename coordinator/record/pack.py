"""run.json of a `loadgen pack` run: the part that no other kind has.  A number that is not known is null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.record.header import Header
from coordinator.record.kind import RecordKind
from loadgen.measure.packing import UNKNOWN, Step, Sweep
from loadgen.model.pack import PackPlan
from loadgen.model.plain import from_plain, to_plain
from loadgen.verdict.pack_result import PackResult, PackRow
from loadgen.verdict.packing import Cause, Stop
from loadgen.verdict.result import Verdict


def _write(header: Header[PackPlan], result: PackResult | None) -> dict[str, Any]:
    return {
        "notes": result.notes if result else (),
        "plan": header.plan.to_dict(),
        "packed": _or_null(result.packed) if result else None,
        "started": result.started if result else 0,
        "stopped_by": {"cause": result.stop.cause.value, "why": result.stop.why} if result else None,
        "start_s": result.start_s if result else 0.0,
        "starts_per_s": _or_null(result.starts_per_s) if result else None,
        "end_s": _or_null(result.end_s) if result else None,
        "driver": result.driver if result else "",
        "server": result.server if result else "",
        "guarantee": result.guarantee if result else "",
        "supervisors_bytes": _or_null(result.supervisors_bytes) if result else None,
        "curve": [_row(row) for row in result.curve] if result else [],
        "sweep": to_plain(result.sweep[0]) if result and result.sweep else None,
    }


def _row(row: PackRow) -> dict[str, Any]:
    return {name: _or_null(value) for name, value in to_plain(row).items()}


def _read(document: Mapping[str, Any]) -> PackResult:
    stop = document["stopped_by"]
    return PackResult(
        verdict=Verdict(document["verdict"]),
        reasons=tuple(document["reasons"]),
        notes=tuple(document["notes"]),
        packed=_or_unknown(document["packed"]),
        started=document["started"],
        stop=Stop(Cause(stop["cause"]), stop["why"]),
        curve=tuple(_read_row(data) for data in document["curve"]),
        sweep=(from_plain(Sweep, document["sweep"]),) if document["sweep"] else (),
        start_s=document["start_s"],
        end_s=_or_unknown(document["end_s"]),
        supervisors_bytes=_or_unknown(document["supervisors_bytes"]),
        driver=document["driver"],
        server=document["server"],
        guarantee=document["guarantee"],
    )


def _read_row(data: Mapping[str, Any]) -> PackRow:
    return from_plain(PackRow, {name: _or_unknown(value) for name, value in data.items()})


def _or_null(value: Any) -> Any:
    return None if value == UNKNOWN else value


def _or_unknown(value: Any) -> Any:
    return UNKNOWN if value is None else value


PACK = RecordKind(
    read_plan=PackPlan.from_dict,
    write=_write,
    read=_read,
    measured=lambda plain: (from_plain(Step, plain),),
    on_fleet=False,
)
