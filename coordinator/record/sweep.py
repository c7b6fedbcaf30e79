"""run.json of a sweep: a list of points, each with the fields of its run's own document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.record.environment import Environment
from coordinator.record.fleet import FleetRecord
from coordinator.record.header import Header
from coordinator.record.kind import RecordKind, driven_targets
from coordinator.record.kinds import KIND_SPEC
from coordinator.record.spec import read_run, write_run
from coordinator.record.sweep_result import Sweep, SweepPoint
from loadgen.model.plan import SpecPlan


def _write(header: Header[SpecPlan], sweep: Sweep | None) -> dict[str, Any]:
    """The plan of `header` is that of the last point, which has all targets; the points differ in their VMs only."""
    return {
        "vms": sweep.vms if sweep else (),
        "plan": header.plan.to_dict(),
        "seed": header.plan.seed,
        "fleet": header.own_fleet.to_dict(),
        "points": [_point(point) for point in sweep.points] if sweep else [],
    }


def _point(point: SweepPoint) -> dict[str, Any]:
    return {
        "vms": point.vms,
        "record": point.record,
        "started_at": point.header.started_at,
        "verdict": point.result.verdict.value,
        "exit_code": int(point.result.exit_code),
        "reasons": point.result.reasons,
        **write_run(point.header, point.result),
    }


def _read(document: Mapping[str, Any]) -> Sweep:
    environment = Environment.from_dict(document["environment"])
    return Sweep(
        vms=tuple(document["vms"]), points=tuple(_read_point(data, environment) for data in document["points"])
    )


def _read_point(data: Mapping[str, Any], environment: Environment) -> SweepPoint:
    """A point's environment is the one of the sweep, in which it ran."""
    plan = SpecPlan.from_dict(data["plan"])
    header = Header(
        kind=KIND_SPEC,
        started_at=data["started_at"],
        plan=plan,
        environment=environment,
        targets=driven_targets(data, plan),
        fleet=FleetRecord.from_dict(data["fleet"]),
    )
    return SweepPoint(data["vms"], header, read_run(data), data["record"])


def _nothing_of_its_own(plain: object) -> tuple[()]:
    raise ValueError("the record of a sweep has no intervals: they are in the records of its points")


SWEEP = RecordKind(
    read_plan=SpecPlan.from_dict,
    write=_write,
    read=_read,
    measured=_nothing_of_its_own,
    runs=lambda sweep: [point.record for point in sweep.points],
)
