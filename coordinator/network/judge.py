"""The result of a network run that was cut, from the tests that were finished."""

from __future__ import annotations

from collections.abc import Iterable

from coordinator.record.header import Header
from loadgen.measure.forwarding import Passage
from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import ForwardPlan, IperfPlan
from loadgen.verdict.network import judge_forward, judge_iperf
from loadgen.verdict.network_result import ForwardResult, IperfResult

_NOT_KNOWN = (0.0, "")  # what other processes used of the cores is written at the end only


def judge_iperf_tests(header: Header[IperfPlan], tests: Iterable[ProbeResult]) -> IperfResult:
    """The result of a `loadgen iperf` run of which only finished tests are left."""
    return judge_iperf(header.plan, list(tests), others=_NOT_KNOWN, interrupted=True)


def judge_forward_tests(header: Header[ForwardPlan], tests: Iterable[Passage]) -> ForwardResult:
    """The result of a `loadgen forward` run of which only finished tests are left."""
    return judge_forward(header.plan, list(tests), others=_NOT_KNOWN, interrupted=True)
