"""The sequence of tests of `loadgen iperf`."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.model.probe import IperfPlan, Kind, ProbeTest, Transport
from loadgen.model.units import format_window

TEST_OVERHEAD_NS = 200_000_000
"""The time that a test takes beyond its duration: to connect, to exchange results, to inspect the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeStep:
    """One test; `label` names its table cell and its repetition: `receive 64K 2/4`."""

    label: str
    test: ProbeTest


def steps(plan: IperfPlan) -> tuple[ProbeStep, ...]:
    """All tests in order: every table cell once, then every cell again, so that drift affects all cells equally."""
    return tuple(
        ProbeStep(
            label=f"{_what(plan)}{direction.value} {format_window(window_bytes)} {repeat + 1}/{plan.repeats}",
            test=plan.test(window_bytes, direction),
        )
        for repeat in range(plan.repeats)
        for window_bytes in plan.windows_bytes
        for direction in plan.directions
    )


def total_ns(plan: IperfPlan) -> int:
    """The time that all tests take, if no test ends early."""
    return plan_ns([step.test for step in steps(plan)])


def plan_ns(tests: list[ProbeTest]) -> int:
    """The time that these tests take, one after the other."""
    return sum(test.omit_ns + test.duration_ns + TEST_OVERHEAD_NS for test in tests)


def _what(plan: IperfPlan) -> str:
    if plan.kind is not Kind.STREAM:
        return f"{plan.kind.value} "
    return "udp " if plan.transport is Transport.UDP else ""
