"""Which runs of a record have their response times added up: those of one plan, and only runs that count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from coordinator.record.find_result import Find
from coordinator.record.headroom_result import HeadroomResult, Role
from coordinator.record.interleaved_result import Interleaved
from coordinator.record.sweep_result import Sweep
from loadgen.model.units import counted
from loadgen.verdict.repeats import OneOfMany, Repeats
from loadgen.verdict.result import Verdict

NO_COUNT = (Verdict.INVALID, Verdict.DEGRADED)
"""The verdicts of runs that are no part of the result of several runs; the gravest first."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Runs whose times are those of one distribution.

    `records` are their directories, relative to the record; "" is the record itself.  `name` tells the curve from the
    others of the record; it is empty where there can be no other.  `verdict`: the gravest one of a run that does not
    count; None when all runs do.
    """

    name: str
    records: frozenset[str]
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class _Run:
    curve: str
    record: str
    verdict: Verdict
    counts: bool


def curves_of(result: Any) -> Iterator[Curve]:
    """The curves of a result.

    A record of one run is one curve.  Repeats are one; a comparison has one for each plan, a sweep and a search one
    for each run, because the load differs.  A check of headroom has the run that is asked about.  Runs that do not
    count are left out, except when none counts: then their times are evidence of what went wrong.
    """
    runs = list(_runs(result))
    curves: dict[str, list[_Run]] = {}
    for run in [run for run in runs if run.counts] or runs:
        curves.setdefault(run.curve, []).append(run)
    for name, own in curves.items():
        found = {run.verdict for run in own}
        gravest = next((verdict for verdict in NO_COUNT if verdict in found), None)
        yield Curve(name, frozenset(run.record for run in own), gravest)


def _runs(result: Any) -> Iterator[_Run]:
    match result:
        case HeadroomResult():
            if run := result.step(Role.RUN):
                yield _Run("", Role.RUN.value, run.verdict, counts=True)
        case Repeats():
            yield from (_one_of_many("", run) for run in result.runs)
        case Interleaved():
            for side, file in enumerate(result.files):
                name = f"{chr(ord('A') + side)}: {file}"
                yield from (_one_of_many(name, run) for run in result.runs if run.side == side)
        case Sweep():
            for point in result.points:
                yield _by_verdict(counted(point.vms, "VM"), point.record, point.result.verdict)
        case Find():
            yield from (_by_verdict(step.record, step.record, step.verdict) for step in result.steps if step.started)
        case _:
            yield _Run("", "", result.verdict, counts=True)


def _one_of_many(curve: str, run: OneOfMany) -> _Run:
    return _Run(curve, run.record, run.verdict, run.counts)


def _by_verdict(curve: str, record: str, verdict: Verdict) -> _Run:
    return _Run(curve, record, verdict, verdict not in NO_COUNT)
