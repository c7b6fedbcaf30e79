"""The limit of the rate of a forwarding test: the link, the source, the sink, or the proxy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from loadgen.measure.forwarding import Passage
from loadgen.model.probe import ForwardPlan, Kind, Link, Mode
from loadgen.verdict.network import ForwardResult, judge_forward
from loadgen.verdict.result import Check, Verdict
from tests.support.networks import FORWARD, forward_passages

NOBODY = (0.0, "")
TEN_GIGE = dataclasses.replace(FORWARD, links=(Link.TEN_GIGE,), modes=(Mode.DIRECT, Mode.SPLICE))
Change = Callable[[Passage], Passage]


def busy(source: float, sink: float, *, proxied_source: float | None = None, parallel: int = 1) -> Change:
    """The busiest threads of both ends; on the path through the proxy, the source may be another share."""

    def change(one: Passage) -> Passage:
        wall_ns = one.result.wall_ns
        here = source if one.mode is Mode.DIRECT or proxied_source is None else proxied_source
        result = dataclasses.replace(
            one.result,
            local_busiest_ns=int(wall_ns * here),
            remote_busiest_ns=int(wall_ns * sink),
            local_cpu_ns=int(wall_ns * here * parallel),
            remote_cpu_ns=int(wall_ns * sink * parallel),
        )
        return dataclasses.replace(one, result=result)

    return change


def judged(plan: ForwardPlan, change: Change, *, direct: float = 8000.0, through: float = 7990.0) -> ForwardResult:
    passages = forward_passages(
        plan, lambda link, mode, window_bytes, flows: direct if mode is Mode.DIRECT else through
    )
    return judge_forward(plan, [change(one) for one in passages], others=NOBODY)


def check(result: ForwardResult) -> Check:
    return next(one for one in result.trust.checks if one.name == "cells limited by an end")


@pytest.mark.parametrize(
    ("source", "sink", "limit"),
    [(0.99, 0.40, "source"), (0.40, 0.99, "sink"), (0.99, 0.99, "source"), (0.40, 0.40, "link")],
)
def test_an_end_that_uses_a_whole_core_on_both_paths_is_the_limit(source: float, sink: float, limit: str) -> None:
    """8 Gbit/s on a link of 10 Gbit/s: the link is not the limit."""
    result = judged(TEN_GIGE, busy(source, sink))
    assert result.verdict is Verdict.CONFORMING  # nothing was required
    assert result.notes[0] == (
        f"10g, splice: 99.9 % of the direct path; the {limit} is the limit, "
        "so the proxy can forward at least this much."
    )
    proxied = [row for row in result.rows if row.mode is Mode.SPLICE]
    assert {row.limited_by for row in proxied} == {limit}
    assert all(row.limited_by_end is (limit != "link") for row in proxied)
    told = [note for note in result.notes if "cells, so their rates are lower bounds" in note]
    assert len(told) == (limit != "link")


@pytest.mark.parametrize("link", [Link.NONE, Link.LOOPBACK])
def test_without_a_link_s_rate_the_ends_are_looked_at_too(link: Link) -> None:
    plan = dataclasses.replace(TEN_GIGE, links=(link,))
    assert "the source is the limit" in judged(plan, busy(0.99, 0.5)).notes[0]
    assert "no link limits the rate here" in judged(plan, busy(0.5, 0.5)).notes[0]


def test_a_slower_proxy_with_a_busy_source_is_reported() -> None:
    """The source reached its limit only on the path through the proxy: the rate is a lower bound of the proxy's
    rate.
    """
    result = judged(TEN_GIGE, busy(0.50, 0.40, proxied_source=0.98), through=4000.0)
    assert result.notes[0] == "10g, splice: 50.0 % of the direct path."
    assert result.notes[1] == (
        "The source used up to 98 % of a core in 6 of 12 cells, so their rates are lower bounds: "
        "10g splice 16K, 10g splice 32K, 10g splice 64K, ...."
    )


@pytest.mark.parametrize(
    ("source", "at_least_bps", "verdict"),
    [
        (0.99, 7_000_000_000, Verdict.CONFORMING),  # the rate is a lower bound, which is high enough
        (0.99, 9_000_000_000, Verdict.INVALID),  # the proxy may reach the required rate
        (0.50, 9_000_000_000, Verdict.NOT_CONFORMING),
    ],
)
@pytest.mark.parametrize("through", [7990.0, 7001.0])
def test_a_required_rate_that_an_end_could_not_show_is_not_missed_by_the_proxy(
    source: float, at_least_bps: int, verdict: Verdict, through: float
) -> None:
    plan = dataclasses.replace(TEN_GIGE, at_least_bps=at_least_bps)
    result = judged(plan, busy(source, 0.4), through=through)
    assert result.verdict is verdict
    assert check(result).ok is (verdict is not Verdict.INVALID)


def test_many_flows_that_share_the_work_are_not_at_the_limit_of_a_core() -> None:
    """Sixteen threads use 1.2 cores together, and none of them a tenth of one."""
    result = judged(TEN_GIGE, busy(0.075, 0.075, parallel=16))
    assert {row.limited_by for row in result.rows if row.mode is Mode.SPLICE} == {"link"}


def test_connections_that_a_busy_source_opens_are_a_lower_bound() -> None:
    def change(one: Passage) -> Passage:
        return busy(0.99, 0.3)(one) if one.result.test.kind is Kind.CRR else busy(0.2, 0.2)(one)

    result = judged(TEN_GIGE, change)
    assert {row.connections_limited_by for row in result.latencies} == {"source"}
    assert result.notes[-1] == (
        "The source used a whole core, so the connections per second are lower bounds: 10g direct, 10g splice."
    )
