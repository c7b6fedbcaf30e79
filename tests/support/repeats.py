"""Repeated runs with given numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from coordinator.record.header import Header
from coordinator.record.interleaved_result import Interleaved
from coordinator.record.kinds import KIND_HTTP_COMPARE, KIND_HTTP_REPEATS, KIND_SPEC_COMPARE, KIND_SPEC_REPEATS
from loadgen.model.http_plan import HttpPlan
from loadgen.model.plan import SpecPlan
from loadgen.model.relative import Better
from loadgen.verdict.compare_result import Limit
from loadgen.verdict.figures import P99, REQUESTS, Figure
from loadgen.verdict.repeats import OneOfMany, Repeats
from loadgen.verdict.result import Verdict
from tests.support import https, results

WHY = "Load generator: other processes 54 %, but at most 20 % is allowed"
STEADY = (12_000.0, 12_100.0, 11_950.0, 12_050.0, 12_020.0, 11_980.0, 12_070.0, 12_010.0)


def http_header() -> Header[HttpPlan]:
    return dataclasses.replace(https.header(), kind=KIND_HTTP_REPEATS, targets=())


def spec_header() -> Header[SpecPlan]:
    return dataclasses.replace(results.header(4), kind=KIND_SPEC_REPEATS, targets=())


def run(
    place: int,
    per_s: float,
    p99_ms: float = 20.0,
    *,
    verdict: Verdict = Verdict.CONFORMING,
    side: int = 0,
    failed: float = 0.0,
    at_least: bool = False,
) -> OneOfMany:
    """The run number `place`, from 1."""
    counts = verdict in (Verdict.CONFORMING, Verdict.NOT_CONFORMING)
    figures = (
        Figure(name=REQUESTS, values=(per_s,), unit="1/s"),
        Figure(name=P99, values=(p99_ms,), unit="ms", better=Better.LOWER, at_least=at_least),
        Figure(name="failed", values=(failed,), unit="%", better=Better.LOWER),
    )
    return OneOfMany(
        record=f"run-{place}",
        started_at=results.header(4).started_at,
        verdict=verdict,
        reasons=() if counts else (WHY,),
        figures=figures if counts else (),
        side=side,
    )


def repeats(values: Sequence[float], *, invalid: int = 0, asked: int = 0) -> Repeats:
    """Runs with these requests/s, and after them so many that are INVALID."""
    runs = [run(place, value, 20 + place % 3) for place, value in enumerate(values, 1)]
    runs += [run(len(values) + place, 0.0, verdict=Verdict.INVALID) for place in range(1, invalid + 1)]
    return Repeats(asked=asked or len(runs), runs=tuple(runs))


def interrupted() -> Repeats:
    begun = repeats(STEADY[:3], asked=8)
    return dataclasses.replace(begun, runs=(*begun.runs, run(4, 0.0, verdict=Verdict.INTERRUPTED)))


LIMITS = (Limit(0.05),)


def http_compare_header() -> Header[HttpPlan]:
    return dataclasses.replace(http_header(), kind=KIND_HTTP_COMPARE)


def spec_compare_header() -> Header[SpecPlan]:
    return dataclasses.replace(spec_header(), kind=KIND_SPEC_COMPARE)


def interleaved(
    rounds: int = 8, *, true: float = 0.9, played: int = 100, last: Verdict = Verdict.CONFORMING, spec: bool = False
) -> Interleaved:
    """Two plans in turns, of which the second one is `true` times as fast; so many runs at most, of which the last one
    has the verdict `last`.
    """
    plan = (spec_header() if spec else http_header()).plan
    sides = [side for number in range(rounds) for side in ((0, 1), (1, 0))[number % 2]][:played]
    runs = []
    for place, side in enumerate(sides):
        number = place // 2
        verdict = last if place == len(sides) - 1 else Verdict.CONFORMING
        one = run(number + 1, STEADY[number] * (true if side else 1.0), verdict=verdict, side=side)
        runs.append(dataclasses.replace(one, record=f"{'ab'[side]}-{number + 1}"))
    return Interleaved(
        plans=(plan, dataclasses.replace(plan, seed=8)),
        files=("a.toml", "b.toml"),
        rounds=rounds,
        limits=LIMITS,
        runs=tuple(runs),
    )
