"""run.json, as plain data, from a run's values and back.

The format is described by `run.schema.json` beside this file.  Whoever changes one changes the other, and
raises SCHEMA_VERSION when an older reader would misread the new document.

A number that is not finite has no spelling in JSON: it is written as null.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from coordinator.record.environment import Environment
from coordinator.record.fleet import FleetRecord
from coordinator.record.sweep import Sweep, SweepPoint
from loadgen.model.errors import LoadgenError
from loadgen.model.plan import SpecPlan
from loadgen.model.target import Target
from loadgen.verdict.result import (
    Check,
    IterationResult,
    ResponseTimes,
    RunResult,
    TargetResult,
    Trust,
    Verdict,
)

SCHEMA_VERSION = 1

KIND_SPEC = "spec"
KIND_SWEEP = "spec-sweep"
KIND_IPERF = "iperf"
KIND_FORWARD = "forward"
KIND_HTTP = "http"
UNFINISHED = "unfinished"
"""The verdict of a record whose run has not ended, or was killed."""


class RecordError(LoadgenError):
    """A record cannot be written, or is not one that we can read."""


class Begun(Protocol):
    """What the headers of all kinds of runs have.  `started_at` is ISO 8601 with a zone."""

    @property
    def started_at(self) -> str:
        """When the run began."""

    @property
    def environment(self) -> Environment:
        """What it runs on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is known of a run before it begins.

    `targets` are those that are driven, with the ports that they got.  `started_at` is ISO 8601 with a zone.
    `fleet` has no machines until they are reached.
    """

    started_at: str
    plan: SpecPlan
    targets: tuple[Target, ...]
    environment: Environment
    fleet: FleetRecord


def unfinished(header: Header) -> dict[str, Any]:
    """The document of a run that has only begun."""
    return make_document(KIND_SPEC, header, "", _run(header, None))


def finished(header: Header, result: RunResult, *, finished_at: str) -> dict[str, Any]:
    """The document of a run that ended, in whatever way."""
    return make_document(KIND_SPEC, header, finished_at, _run(header, result))


def sweep_document(
    header: Header, vms: Sequence[int], points: Sequence[tuple[Header, SweepPoint]], *, finished_at: str = ""
) -> dict[str, Any]:
    """The document of a sweep over `vms`, of which `points` are done; unfinished without `finished_at`.

    The plan of `header` is the one of the first point: the others differ in their VMs alone.
    """
    sweep = Sweep(tuple(point for _, point in points)) if points else None
    done = sweep is not None and bool(finished_at)
    body = {
        "verdict": sweep.verdict.value if sweep and done else UNFINISHED,
        "exit_code": int(sweep.exit_code) if sweep and done else None,
        "reasons": list(sweep.reasons) if sweep else [],
        "vms": list(vms),
        "plan": header.plan.to_dict(),
        "seed": header.plan.seed,
        "fleet": header.fleet.to_dict(),
        "points": [
            {"vms": point.vms, "record": point.record, "started_at": own.started_at, **_run(own, point.result)}
            for own, point in points
        ],
    }
    return make_document(KIND_SWEEP, header, finished_at, body)


def header_of(document: Mapping[str, Any]) -> Header:
    """The header that a document was made from.  KeyError, TypeError or ValueError when it is none of ours."""
    return Header(
        started_at=document["started_at"],
        plan=SpecPlan.from_dict(document["plan"]),
        targets=tuple(Target(**target) for target in document.get("driven_targets", ())),
        environment=Environment.from_dict(document["environment"]),
        fleet=FleetRecord.from_dict(document["fleet"]),
    )


def from_document(document: Mapping[str, Any]) -> RunResult:
    """The result that a finished document (or a point of a sweep) was made from."""
    median = document["median_iteration"]
    return RunResult(
        verdict=Verdict(document["verdict"]),
        reasons=tuple(document["reasons"]),
        requested_connections=document["requested_connections"],
        conforming_connections=document["conforming_connections"],
        median=-1 if median is None else median,
        iterations=tuple(_read_iteration(data) for data in document["iterations"]),
        targets=tuple(_read_target(data) for data in document["targets"]),
        trust=read_trust(document["trust"]),
        fairness=document["fairness"],
        notes=tuple(document["notes"]),
    )


def sweep_from_document(document: Mapping[str, Any]) -> Sweep:
    """The sweep that a document was made from; it has no points when none was finished."""
    return Sweep(tuple(SweepPoint(point["vms"], from_document(point), point["record"]) for point in document["points"]))


def make_document(kind: str, header: Begun, finished_at: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A document of any kind: `body` with what all of them begin and end with.  Unfinished without `finished_at`."""
    document = _plain(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": kind,
            "started_at": header.started_at,
            "finished_at": finished_at or None,
            **body,
            "environment": header.environment.to_dict(),
        }
    )
    assert isinstance(document, dict)
    return document


def _run(header: Header, result: RunResult | None) -> dict[str, Any]:
    """The part that a document and a point of a sweep share; nulls and empty lists without a result."""
    return {
        "verdict": result.verdict.value if result else UNFINISHED,
        "exit_code": int(result.exit_code) if result else None,
        "reasons": result.reasons if result else (),
        "notes": result.notes if result else (),
        "requested_connections": result.requested_connections if result else header.plan.total_connections,
        "conforming_connections": result.conforming_connections if result else None,
        "median_iteration": result.median if result and result.median >= 0 else None,
        "iterations": [_iteration(item) for item in result.iterations] if result else [],
        "targets": [_target(item) for item in result.targets] if result else [],
        "fairness": result.fairness if result else None,
        "trust": trust_part(result.trust if result else None),
        "plan": header.plan.to_dict(),
        "seed": header.plan.seed,
        "driven_targets": [dataclasses.asdict(target) for target in header.targets],
        "fleet": header.fleet.to_dict(),
    }


def _iteration(item: IterationResult) -> dict[str, Any]:
    return {
        **_with_error_sum(dataclasses.asdict(item)),
        "conforms": item.conforms,
        "by_kind": _ok_and_bad(item.by_kind),
        "by_group": _ok_and_bad(item.by_group),
        "targets": [_target(target) for target in item.targets],
    }


def _ok_and_bad(counts: Mapping[str, tuple[int, int]]) -> dict[str, dict[str, int]]:
    return {name: {"ok": ok, "bad": bad} for name, (ok, bad) in counts.items()}


def _target(item: TargetResult) -> dict[str, Any]:
    low, mean, high = item.connection_kbit_per_s
    own = {"connection_kbit_per_s": {"min": low, "mean": mean, "max": high}}
    return {**_with_error_sum(dataclasses.asdict(item)), **own}


def _with_error_sum(data: dict[str, Any]) -> dict[str, Any]:
    """`errors` as one number, which most readers want, and `errors_by_outcome` for the others."""
    return {**data, "errors": sum(data["errors"].values()), "errors_by_outcome": data["errors"]}


def _read_iteration(data: Mapping[str, Any]) -> IterationResult:
    times = {name: ResponseTimes(**data[name]) for name in ("response_ms", "service_ms", "lateness_ms")}
    counts = {
        name: {key: (value["ok"], value["bad"]) for key, value in data[name].items()}
        for name in ("by_kind", "by_group")
    }
    lists = {
        "checks": tuple(read_check(check) for check in data["checks"]),
        "targets": tuple(_read_target(target) for target in data["targets"]),
    }
    given = {name: value for name, value in data.items() if name != "conforms"}
    return IterationResult(**{**_without_error_sum(given), **times, **counts, **lists})


def _read_target(data: Mapping[str, Any]) -> TargetResult:
    rates = data["connection_kbit_per_s"]
    own = {
        "response_ms": ResponseTimes(**data["response_ms"]),
        "connection_kbit_per_s": (rates["min"], rates["mean"], rates["max"]),
    }
    return TargetResult(**{**_without_error_sum(data), **own})


def _without_error_sum(data: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in data.items() if name != "errors_by_outcome"}
    return {**rest, "errors": data["errors_by_outcome"]}


def trust_part(trust: Trust | None) -> dict[str, Any]:
    """`trust` of a document; None for a run that is unfinished."""
    return {
        "valid": trust.valid if trust else None,
        "checks": [dataclasses.asdict(check) for check in trust.checks] if trust else [],
    }


def read_trust(data: Mapping[str, Any]) -> Trust:
    """The inverse of :func:`trust_part` for a finished run."""
    return Trust(checks=tuple(read_check(check) for check in data["checks"]))


def read_check(data: Mapping[str, Any]) -> Check:
    """A check from its fields."""
    numbers_ = {name: math.nan if data[name] is None else data[name] for name in ("value", "limit")}
    return Check(**{**data, **numbers_})


def _plain(value: Any) -> Any:
    """Only what JSON can say: numpy's numbers become Python's, tuples lists, and what is not finite null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value
