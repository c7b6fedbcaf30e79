"""run.json of `loadgen compare --interleave`, over runs of `loadgen spec` or of `loadgen http`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from coordinator.record.comparison import write_comparison
from coordinator.record.header import Header
from coordinator.record.http import HTTP
from coordinator.record.interleaved_result import Interleaved
from coordinator.record.kind import RecordKind
from coordinator.record.repeats import nothing_of_its_own, read_run, write_run
from coordinator.record.spec import SPEC
from loadgen.model.plain import to_plain
from loadgen.verdict.compare_result import Limit, Unlike


def _kind(of: RecordKind[Any, Any]) -> RecordKind[Any, Interleaved]:
    """The kind over runs of the kind `of`.  The plan of a header is the first of the plans."""

    def write(header: Header[Any], result: Interleaved | None) -> dict[str, Any]:
        shown = _shown(header, result, of.conceal) if result else None
        return {
            "plan": header.plan.to_dict(),
            "plans": [plan.to_dict() for plan in shown.plans] if shown else [],
            "files": shown.files if shown else (),
            "fleet": header.own_fleet.to_dict(),
            "rounds": shown.rounds if shown else 0,
            "limits": [dataclasses.asdict(limit) for limit in shown.limits] if shown else [],
            "comparison": write_comparison(shown.comparison) if shown else None,
            "runs": [write_run(run) for run in shown.runs] if shown else [],
            **_environments(shown),
        }

    def read(document: Mapping[str, Any]) -> Interleaved:
        return Interleaved(
            plans=tuple(of.read_plan(plan) for plan in document["plans"]),
            files=tuple(document["files"]),
            rounds=document["rounds"],
            limits=tuple(Limit(**limit) for limit in document["limits"]),
            runs=tuple(read_run(data) for data in document["runs"]),
            environments=_read_environments(document),
        )

    return RecordKind(
        read_plan=of.read_plan,
        write=write,
        read=read,
        measured=nothing_of_its_own,
        runs=lambda result: [run.record for run in result.runs],
        conceal=of.conceal,
    )


def _environments(result: Interleaved | None) -> dict[str, Any]:
    """What differs in the environments; nothing when it is not known."""
    if result is None or result.environments is None:
        return {}
    return {"environments": to_plain(result.environments)}


def _read_environments(document: Mapping[str, Any]) -> tuple[Unlike, ...] | None:
    if "environments" not in document:
        return None
    return tuple(Unlike(what=one["what"], values=tuple(one["values"])) for one in document["environments"])


def _shown(header: Header[Any], result: Interleaved, conceal: Callable[[Any], Any]) -> Interleaved:
    """The result without the secrets of its plans, unless the record shows them."""
    return result if header.shows_secrets else dataclasses.replace(result, plans=tuple(map(conceal, result.plans)))


SPEC_COMPARE = _kind(SPEC)
HTTP_COMPARE = _kind(HTTP)
