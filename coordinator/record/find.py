"""run.json of a search for a capacity, over runs of `loadgen spec` or of `loadgen http`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from coordinator.record.find_result import Find, FindStep, Wanted
from coordinator.record.header import Header
from coordinator.record.http import HTTP
from coordinator.record.kind import RecordKind
from coordinator.record.spec import SPEC
from loadgen.verdict.capacity import Search
from loadgen.verdict.result import Verdict


def _write(header: Header[Any], find: Find | None) -> dict[str, Any]:
    """The plan of `header` is the one that the search varies."""
    return {
        "plan": header.plan.to_dict(),
        "fleet": header.own_fleet.to_dict(),
        "find": find.wanted.value if find else "",
        "search": dataclasses.asdict(find.search) if find else None,
        "capacity": _capacity(find) if find else None,
        "steps": [_step(step) for step in find.steps] if find else [],
    }


def _capacity(find: Find) -> dict[str, Any]:
    capacity = find.capacity
    return {
        "found": capacity.found.value,
        "value": capacity.value,
        "low": capacity.low,
        "high": capacity.high or None,
        "step": capacity.step,
        "invalid_above": capacity.invalid_above,
        "contradiction": capacity.contradiction,
    }


def _step(step: FindStep) -> dict[str, Any]:
    return {**dataclasses.asdict(step), "verdict": step.verdict.value, "exit_code": int(step.exit_code)}


def _read(document: Mapping[str, Any]) -> Find:
    return Find(
        wanted=Wanted(document["find"]),
        search=Search(**document["search"]),
        steps=tuple(_read_step(step) for step in document["steps"]),
    )


def _read_step(data: Mapping[str, Any]) -> FindStep:
    found = {name: value for name, value in data.items() if name != "exit_code"}
    return FindStep(**{**found, "verdict": Verdict(data["verdict"]), "reasons": tuple(data["reasons"])})


def _nothing_of_its_own(plain: object) -> tuple[()]:
    raise ValueError("the record of a search has no intervals: they are in the records of its runs")


def _kind(read_plan: Callable[[dict[str, Any]], Any], conceal: Callable[[Any], Any]) -> RecordKind[Any, Find]:
    return RecordKind(
        read_plan=read_plan,
        write=_write,
        read=_read,
        measured=_nothing_of_its_own,
        runs=lambda find: [step.record for step in find.steps if step.started],
        conceal=conceal,
    )


SPEC_FIND = _kind(SPEC.read_plan, SPEC.conceal)
HTTP_FIND = _kind(HTTP.read_plan, HTTP.conceal)
