"""run.json of a `loadgen spec` run: the part that no other kind has."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from coordinator.record.canary import read_canary, write_canary
from coordinator.record.checks import read_check, read_trust, write_trust
from coordinator.record.disturbance import read_disturbance, write_disturbance
from coordinator.record.fairness import read_fairness, write_fairness
from coordinator.record.header import Header
from coordinator.record.kind import RecordKind
from coordinator.record.margin import read_margin, write_margin
from coordinator.record.span import number_of, read_span
from coordinator.record.tcp import read_namespaces, read_tcp, write_namespaces, write_tcp
from coordinator.record.vm_counters import read_counters, write_counters
from loadgen.measure.together import snapshots_of
from loadgen.model.plan import SpecPlan
from loadgen.verdict.result import IterationResult, ResponseTimes, RunResult, TargetResult, Verdict
from loadgen.verdict.run import without_score
from loadgen.verdict.span import PercentileSpans
from loadgen.verdict.time_shares import TimeShares


def write_run(header: Header[SpecPlan], result: RunResult | None) -> dict[str, Any]:
    """The part that a spec run and a point of a sweep share; nulls and empty lists without a result."""
    return {
        "notes": result.notes if result else (),
        "requested_connections": result.requested_connections if result else header.plan.total_connections,
        "conforming_connections": result.conforming_connections if result else None,
        "median_iteration": result.median if result and result.median >= 0 else None,
        "iterations": [_iteration(item) for item in result.iterations] if result else [],
        "targets": [_target(item) for item in result.targets] if result else [],
        "fairness": write_fairness(result.fairness) if result and result.fairness else None,
        **({"margin": write_margin(result.margin)} if result and result.margin else {}),
        "trust": write_trust(result.trust if result else None),
        **write_disturbance(result.disturbance if result else None),
        **write_canary(result.canary if result else ()),
        **({"stopped_early": result.stopped_early} if result and result.stopped_early else {}),
        "plan": header.plan.to_dict(),
        "seed": header.plan.seed,
        "driven_targets": [dataclasses.asdict(target) for target in header.targets],
        "fleet": header.own_fleet.to_dict(),
    }


def read_run(document: Mapping[str, Any]) -> RunResult:
    """The result in a finished document or in a point of a sweep.  KeyError, TypeError or ValueError without one."""
    median = document["median_iteration"]
    result = RunResult(
        verdict=Verdict(document["verdict"]),
        reasons=tuple(document["reasons"]),
        requested_connections=document["requested_connections"],
        conforming_connections=document["conforming_connections"],
        median=-1 if median is None else median,
        iterations=tuple(_read_iteration(data) for data in document["iterations"]),
        targets=tuple(_read_target(data) for data in document["targets"]),
        trust=read_trust(document["trust"]),
        fairness=None if document["fairness"] is None else read_fairness(document["fairness"]),
        margin=read_margin(document["margin"]) if "margin" in document else None,
        notes=tuple(document["notes"]),
        disturbance=read_disturbance(document),
        canary=read_canary(document),
        stopped_early=document.get("stopped_early", ""),
    )
    # Versions before this rule wrote scores of runs that have none.
    return result if result.has_score else without_score(result)


_ADDED = ("dead_share", "cut", "time", "statuses")
"""Fields that records of version 0.1.0, or other earlier ones, lack."""

_SPANS = {"response_ms", "service_ms"}

SPEC = RecordKind(read_plan=SpecPlan.from_dict, write=write_run, read=read_run, measured=snapshots_of)


def _iteration(item: IterationResult) -> dict[str, Any]:
    own: dict[str, Any] = {"trust": write_trust(item.trust)} if item.trust is not None else {}
    own |= {"fairness": item.fairness} if item.fairness is not None else {}
    own |= write_tcp(item.tcp) | write_namespaces(item.namespaces)
    apart = ("trust", "fairness", "tcp", "namespaces")
    given = {name: value for name, value in dataclasses.asdict(item).items() if name not in apart}
    return {
        **_with_error_sum(_without_unknown(given)),
        **own,
        "conforms": item.conforms,
        "by_kind": _ok_and_bad(item.by_kind),
        "by_group": _ok_and_bad(item.by_group),
        "targets": [_target(target) for target in item.targets],
    }


def _ok_and_bad(counts: Mapping[str, tuple[int, int]]) -> dict[str, dict[str, int]]:
    return {name: {"ok": ok, "bad": bad} for name, (ok, bad) in counts.items()}


def _target(item: TargetResult) -> dict[str, Any]:
    low, mean, high = item.connection_kbit_per_s
    own: dict[str, Any] = {"connection_kbit_per_s": {"min": low, "mean": mean, "max": high}}
    own |= {"counters": write_counters(item.counters)} if item.counters is not None else {}
    own |= write_tcp(item.tcp)
    given = {name: value for name, value in dataclasses.asdict(item).items() if name not in ("counters", "tcp")}
    return {**_with_error_sum(_without_unknown(given)), **own}


def _without_unknown(data: dict[str, Any]) -> dict[str, Any]:
    """The data without the fields that its record lacks; one of version 0.1.0 has times instead of intervals."""
    given = {name: value for name, value in data.items() if name not in _ADDED or value is not None}
    if "cut" not in given:
        for name in _SPANS & given.keys():
            given[name] = {key: number_of(span) for key, span in given[name].items()}
    return given


def _with_error_sum(data: dict[str, Any]) -> dict[str, Any]:
    """`errors` as one number, which most readers want, and `errors_by_outcome` for the others."""
    return {**data, "errors": sum(data["errors"].values()), "errors_by_outcome": data["errors"]}


def _read_iteration(data: Mapping[str, Any]) -> IterationResult:
    times = {
        "response_ms": _read_spans(data["response_ms"]),
        "service_ms": _read_spans(data["service_ms"]),
        "lateness_ms": ResponseTimes(**data["lateness_ms"]),
    }
    counts = {
        name: {key: (value["ok"], value["bad"]) for key, value in data[name].items()}
        for name in ("by_kind", "by_group")
    }
    lists = {
        "checks": tuple(read_check(check) for check in data["checks"]),
        "targets": tuple(_read_target(target) for target in data["targets"]),
    }
    own: dict[str, Any] = {"trust": read_trust(data["trust"])} if "trust" in data else {}
    own |= {"time": TimeShares(**data["time"])} if "time" in data else {}
    own |= {**read_tcp(data), "namespaces": read_namespaces(data)}
    given = {name: value for name, value in data.items() if name != "conforms"}
    return IterationResult(**{**_without_error_sum(given), **times, **counts, **lists, **own})


def _read_target(data: Mapping[str, Any]) -> TargetResult:
    rates = data["connection_kbit_per_s"]
    own: dict[str, Any] = {
        "response_ms": _read_spans(data["response_ms"]),
        "connection_kbit_per_s": (rates["min"], rates["mean"], rates["max"]),
    }
    own |= {"time": TimeShares(**data["time"])} if "time" in data else {}
    own |= read_tcp(data)
    own |= {"counters": read_counters(data["counters"])} if "counters" in data else {}
    if "statuses" in data:
        own["statuses"] = {int(code): number for code, number in data["statuses"].items()}
    return TargetResult(**{**_without_error_sum(data), **own})


def _read_spans(data: Mapping[str, Any]) -> PercentileSpans:
    return PercentileSpans(**{name: read_span(value) for name, value in data.items()})


def _without_error_sum(data: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in data.items() if name != "errors_by_outcome"}
    return {**rest, "errors": data["errors_by_outcome"]}
