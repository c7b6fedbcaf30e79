"""`loadgen iperf` as the sequence of its tests."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.model.probe import IperfPlan, Kind, ProbeTest, Transport
from loadgen.model.units import format_window

TEST_OVERHEAD_NS = 200_000_000
"""What a test takes beside its time: its connections, the exchange of results, looking at the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeStep:
    """One test; `label` names its cell of the table and its repeat: `receive 64K 2/4`."""

    label: str
    test: ProbeTest


def steps(plan: IperfPlan) -> tuple[ProbeStep, ...]:
    """All tests in their order: every cell once, then every cell again, so that a machine's drift hits all alike."""
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
    """How long all of them take, when none of them ends early."""
    return plan_ns([step.test for step in steps(plan)])


def plan_ns(tests: list[ProbeTest]) -> int:
    """How long these take, one after the other."""
    return sum(test.omit_ns + test.duration_ns + TEST_OVERHEAD_NS for test in tests)


def _what(plan: IperfPlan) -> str:
    if plan.kind is not Kind.STREAM:
        return f"{plan.kind.value} "
    return "udp " if plan.transport is Transport.UDP else ""
