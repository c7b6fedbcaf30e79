"""run.json of a run with `--check-headroom`, of `loadgen spec` or of `loadgen http`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coordinator.record.header import Header
from coordinator.record.headroom_result import HeadroomResult, HeadroomStep, Role
from coordinator.record.http import HTTP
from coordinator.record.kind import RecordKind
from coordinator.record.spec import SPEC
from loadgen.verdict.result import Verdict


def _write(header: Header[Any], result: HeadroomResult | None) -> dict[str, Any]:
    """The plan of `header` is that of the run."""
    result = result or HeadroomResult()
    found = result.headroom
    return {
        "plan": header.plan.to_dict(),
        "fleet": header.own_fleet.to_dict(),
        "headroom": {
            "limit": found.limit.value,
            "times": found.times,
            "at_least": found.at_least,
            "gain_share": found.gain,
        },
        "steps": [_step(step) for step in result.steps],
        "left_out": [{"role": role.value, "why": why} for role, why in result.left_out],
    }


def _step(step: HeadroomStep) -> dict[str, Any]:
    return {
        "role": step.role.value,
        "verdict": step.verdict.value,
        "exit_code": int(step.verdict.exit_code),
        "reasons": step.reasons,
        "engines": step.engines,
        "per_s": step.per_s,
        "busy_share": step.busy_share,
    }


def _read(document: Mapping[str, Any]) -> HeadroomResult:
    return HeadroomResult(
        steps=tuple(_read_step(step) for step in document["steps"]),
        left_out=tuple((Role(one["role"]), one["why"]) for one in document["left_out"]),
    )


def _read_step(data: Mapping[str, Any]) -> HeadroomStep:
    return HeadroomStep(
        role=Role(data["role"]),
        verdict=Verdict(data["verdict"]),
        reasons=tuple(data["reasons"]),
        engines=data["engines"],
        per_s=data["per_s"],
        busy_share=data["busy_share"],
    )


def _nothing_of_its_own(plain: object) -> tuple[()]:
    raise ValueError("the record of a check of headroom has no intervals: they are in the records of its runs")


def _kind(read_plan: Callable[[dict[str, Any]], Any], conceal: Callable[[Any], Any]) -> RecordKind[Any, HeadroomResult]:
    return RecordKind(
        read_plan=read_plan,
        write=_write,
        read=_read,
        measured=_nothing_of_its_own,
        runs=lambda result: [step.role.value for step in result.steps],
        conceal=conceal,
    )


SPEC_HEADROOM = _kind(SPEC.read_plan, SPEC.conceal)
HTTP_HEADROOM = _kind(HTTP.read_plan, HTTP.conceal)
