"""A minimal kind of run: a plan and a number, without load machines and targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coordinator.record.header import Header
from coordinator.record.kind import RecordKind
from loadgen.model.errors import ExitCode
from loadgen.model.plain import from_plain, to_plain
from loadgen.verdict.result import Verdict


@dataclass(frozen=True)
class CountPlan:
    limit: int

    def to_dict(self) -> dict[str, Any]:
        return dict(to_plain(self))


@dataclass(frozen=True, slots=True)
class CountResult:
    counted: int
    reasons: tuple[str, ...] = ()
    verdict: Verdict = Verdict.CONFORMING
    exit_code: ExitCode = ExitCode.CONFORMING


def _write(header: Header[CountPlan], result: CountResult | None) -> dict[str, Any]:
    return {"plan": header.plan.to_dict(), "counted": result.counted if result else None}


def _read(document: Any) -> CountResult:
    return CountResult(document["counted"], tuple(document["reasons"]), Verdict(document["verdict"]))


COUNT = RecordKind(
    read_plan=lambda data: from_plain(CountPlan, data), write=_write, read=_read, measured=tuple, on_fleet=False
)
