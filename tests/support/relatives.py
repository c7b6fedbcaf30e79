"""Constructed trials of `loadgen relative`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from coordinator.record.header import Header
from coordinator.record.kinds import KIND_RELATIVE, KIND_ROUND
from loadgen.measure.trials import Copy, Number, Round, Trial
from loadgen.model.limits import VmLimits
from loadgen.model.relative import Better, Metric, RelativePlan
from loadgen.model.units import NS_PER_S
from loadgen.verdict.relative import judge_relative, judge_round
from loadgen.verdict.relative_result import RelativeResult, RoundResult
from tests.support.results import environment

PLAN = RelativePlan(environments=("bare", "ns"), command=("make", "-j2"), trials=5, vm_limits=VmLimits(cpus=0.5))
TPS = Metric(pattern="tps = ([0-9.]+)", better=Better.HIGHER, name="transactions", unit="1/s")

Values = Mapping[str, Sequence[float]]
"""By environment: the value of each VM."""


def wall_round(number: int, walls_s: Mapping[str, float], **more: float | str) -> Round:
    """A round whose trials have these wall times, in this order, in one VM each."""
    return Round(
        number=number,
        record=f"round-{number}",
        took_ns=3 * NS_PER_S,
        trials=tuple(
            Trial(
                environment=name,
                round=number,
                position=at,
                copies=(Copy(vm="vm01", wall_ns=round(wall_s * NS_PER_S), cpu_ns=NS_PER_S),),
                others_share=float(more.get("others_share", 0.01)),
                others_most=str(more.get("others_most", "cron (pid 7)")),
            )
            for at, (name, wall_s) in enumerate(walls_s.items(), start=1)
        ),
    )


def number_round(number: int, values: Values, metric: Metric = TPS) -> Round:
    """A round whose trials have these values of a metric, one for each VM."""
    return Round(
        number=number,
        record=f"round-{number}",
        took_ns=3 * NS_PER_S,
        trials=tuple(
            Trial(
                environment=name,
                round=number,
                position=at,
                copies=tuple(
                    Copy(
                        vm=f"vm{vm:02d}",
                        wall_ns=5 * NS_PER_S,
                        numbers=(Number(name=metric.name, value=value, unit=metric.unit, better=metric.better),),
                    )
                    for vm, value in enumerate(each, start=1)
                ),
            )
            for at, (name, each) in enumerate(values.items(), start=1)
        ),
    )


def rounds(count: int = 5) -> tuple[Round, ...]:
    """Rounds in which ns takes about a tenth longer."""
    return tuple(wall_round(n, {"bare": 2.0 + 0.01 * n, "ns": 2.2 + 0.015 * n}) for n in range(1, count + 1))


def result(count: int = 5, **more: object) -> RelativeResult:
    return judge_relative(PLAN, rounds(count), **more)  # type: ignore[arg-type]


def round_result(number: int = 1) -> RoundResult:
    return judge_round(rounds(number)[-1], interrupted=False)


def header(plan: RelativePlan = PLAN, kind: str = KIND_RELATIVE) -> Header[RelativePlan]:
    known = {
        "bare": {"scheduler": "EEVDF, autogroup on"},
        "ns": {"base": "/", "limits": {"cgroup": "v1", "cpu_shares": 1024, "cpus": 0.5}, "scheduler": "EEVDF"},
    }
    found = dataclasses.replace(environment(), server={"environments": known})
    return Header(kind=kind, started_at="2026-02-03T04:05:06+00:00", plan=plan, environment=found)


def round_header(number: int = 1) -> Header[RelativePlan]:
    return header(PLAN.only(number), KIND_ROUND)
