"""The sequence of tests of `loadgen forward`, and the modes and windows that the proxy host must offer for them."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.model.probe import ForwardPlan, Kind, Mode, ProbeTest
from loadgen.model.units import format_window
from workloads.iperf import plan_ns

CRR_PARALLEL = 16
"""Simultaneous connections of the test that measures connections per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardStep:
    """One test in one forwarding mode; `label` names it: `splice 64K 2/3`, `copy 64K 256 flows`, `direct rr`."""

    label: str
    mode: Mode
    window_bytes: int
    flows: int
    test: ProbeTest


def steps(plan: ForwardPlan) -> tuple[ForwardStep, ...]:
    """The tests on one link: every window in every mode, repeated as a whole; then numbers of flows; then latency."""
    made = [
        _stream(plan, mode, window_bytes, 1, f"{repeat + 1}/{plan.repeats}")
        for repeat in range(plan.repeats)
        for window_bytes in plan.windows_bytes
        for mode in plan.modes
    ]
    made += [
        _stream(plan, mode, plan.flows_window_bytes, count, f"{count} flow{'s' if count > 1 else ''}")
        for count in plan.flows
        if count > 1 or plan.flows_window_bytes not in plan.windows_bytes  # otherwise the sweep of windows contains it
        for mode in plan.modes
    ]
    made += [
        _latency(plan, mode, kind, parallel)
        for kind, parallel in ((Kind.RR, 1), (Kind.CRR, CRR_PARALLEL))
        for mode in plan.modes
    ]
    return tuple(made)


def total_ns(plan: ForwardPlan) -> int:
    """The time that the tests of all links take, if no test ends early."""
    return len(plan.links) * plan_ns([step.test for step in steps(plan)])


def proxy_modes(plan: ForwardPlan) -> tuple[Mode, ...]:
    """The modes that the proxy host must offer: all but `direct`."""
    return tuple(mode for mode in plan.modes if mode is not Mode.DIRECT)


def proxy_windows_bytes(plan: ForwardPlan) -> tuple[int, ...]:
    """The windows, in bytes, that the proxy host must offer in each mode."""
    return tuple(dict.fromkeys((*plan.windows_bytes, plan.flows_window_bytes)))


def _stream(plan: ForwardPlan, mode: Mode, window_bytes: int, flows: int, what: str) -> ForwardStep:
    return ForwardStep(
        label=f"{mode.value} {format_window(window_bytes)} {what}",
        mode=mode,
        window_bytes=window_bytes,
        flows=flows,
        test=ProbeTest(window_bytes=window_bytes, parallel=flows, duration_ns=plan.duration_ns, omit_ns=plan.omit_ns),
    )


def _latency(plan: ForwardPlan, mode: Mode, kind: Kind, parallel: int) -> ForwardStep:
    return ForwardStep(
        label=f"{mode.value} {kind.value}",
        mode=mode,
        window_bytes=plan.flows_window_bytes,
        flows=parallel,
        test=ProbeTest(
            kind=kind,
            window_bytes=plan.flows_window_bytes,
            parallel=parallel,
            duration_ns=plan.latency_ns,
            omit_ns=plan.omit_ns,
        ),
    )
