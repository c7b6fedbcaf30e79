"""Runs with --check-headroom, of spec and of http."""

from __future__ import annotations

import dataclasses
from typing import Any

from coordinator.record.header import Header
from coordinator.record.headroom_result import HeadroomResult, HeadroomStep, Role
from coordinator.record.kinds import KIND_HTTP, KIND_HTTP_HEADROOM, KIND_SPEC_HEADROOM
from loadgen.verdict.result import Verdict
from tests.support import https, results

LEFT_OUT = (Role.MORE, "no run with one engine more was played: 2 engines have all 2 cores")


def step(
    role: Role, per_s: float | None, busy_share: float | None, verdict: Verdict = Verdict.CONFORMING
) -> HeadroomStep:
    reasons = ("Load generator: engine CPU 97.1 %, but at most 90 % is allowed.",) if verdict is Verdict.INVALID else ()
    engines = 3 if role is Role.MORE else 2
    return HeadroomStep(
        role=role, verdict=verdict, reasons=reasons, engines=engines, per_s=per_s, busy_share=busy_share
    )


FAR = HeadroomResult(
    steps=(
        step(Role.RUN, 1_318.4, 0.031),
        step(Role.MORE, 1_317.9, 0.024),
        step(Role.ALONE, 61_204.0, 0.962, Verdict.INVALID),
    )
)
NEAR = HeadroomResult(
    steps=(step(Role.RUN, 50_000.0, 0.78), step(Role.ALONE, 64_000.0, 0.97, Verdict.INVALID)), left_out=(LEFT_OUT,)
)
LIMIT = HeadroomResult(
    steps=(
        step(Role.RUN, 61_000.0, 0.97, Verdict.INVALID),
        step(Role.MORE, 88_500.0, 0.93, Verdict.INVALID),
        step(Role.ALONE, 62_300.0, 0.971, Verdict.INVALID),
    )
)
UNKNOWN = HeadroomResult(steps=(step(Role.RUN, 20_000.0, 0.41), step(Role.ALONE, 24_100.0, 0.5)), left_out=(LEFT_OUT,))
CONTRADICTING = HeadroomResult(
    steps=(
        step(Role.RUN, 1_261.0, 0.29),
        step(Role.MORE, 1_459.5, 0.27),
        step(Role.ALONE, 34_051.0, 0.64, Verdict.INVALID),
    )
)
NOTHING = HeadroomResult(steps=(step(Role.RUN, 0.0, 0.01, Verdict.NOT_CONFORMING),))
BEGUN = HeadroomResult(steps=(step(Role.RUN, 1_318.4, 0.031),))
INTERRUPTED = HeadroomResult(steps=(step(Role.RUN, 1_318.4, 0.031), step(Role.MORE, None, None, Verdict.INTERRUPTED)))


def header(runs: str = KIND_HTTP) -> Header[Any]:
    if runs == KIND_HTTP:
        return dataclasses.replace(https.header(), kind=KIND_HTTP_HEADROOM, targets=())
    return dataclasses.replace(results.header(4), kind=KIND_SPEC_HEADROOM, targets=())
