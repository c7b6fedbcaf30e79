"""Judges constructed measurements of `loadgen iperf`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import Direction, IperfPlan, Transport
from loadgen.verdict.network import IperfResult, judge_iperf
from loadgen.verdict.network_result import IperfRow
from loadgen.verdict.result import Check
from tests.support.networks import IPERF, iperf_results

UDP = dataclasses.replace(IPERF, transport=Transport.UDP, windows_bytes=(0,), rate_bps=10_000_000)
BIDIR = dataclasses.replace(IPERF, directions=(Direction.BIDIR,))
NOBODY = (0.0, "")


def judged(
    plan: IperfPlan = IPERF,
    change: Callable[[ProbeResult], ProbeResult] = lambda one: one,
    others: tuple[float, str] = NOBODY,
) -> IperfResult:
    return judge_iperf(plan, iperf_results(plan, change), others=others)


def row(result: IperfResult, window_bytes: int, direction: Direction) -> IperfRow:
    return next(one for one in result.rows if (one.window_bytes, one.direction) == (window_bytes, direction))


def check(result: IperfResult, name: str) -> Check:
    return next(one for one in result.trust.checks if one.name == name)


def slower(one: ProbeResult, share: float) -> ProbeResult:
    streams = tuple(
        dataclasses.replace(s, sent_bytes=int(s.sent_bytes * share), received_bytes=int(s.received_bytes * share))
        for s in one.streams
    )
    return dataclasses.replace(one, streams=streams)
