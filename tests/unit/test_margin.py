"""The margin of a score: other floors, ideal servers and other deals, and what is said of them."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rich.console import Console

from coordinator.output.judged import Judged
from coordinator.output.terminal.chart import print_sweep
from coordinator.output.terminal.margin_lines import margin_lines
from coordinator.output.terminal.report import print_report
from coordinator.record.margin import read_margin, write_margin
from coordinator.record.sweep_result import Sweep
from loadgen.model.bound import Bound
from loadgen.model.plan import Phases, SpecPlan
from loadgen.model.units import NS_PER_S
from loadgen.schedule.optape import START_DTYPE
from loadgen.schedule.timings import Timings
from loadgen.verdict.connection import judge_connections
from loadgen.verdict.ideal import Line
from loadgen.verdict.margin import AtFloor, Margin, Spread, alone, at_floors, ideal_of, is_edge, near_floor
from loadgen.verdict.result import RunResult
from loadgen.verdict.run import without_score
from tests.support import results
from tests.support.evidence import asked
from tests.support.judged import judged
from tests.support.snapshots import tallies, tally

LINE_BPS = 400_000


def found(*kbit_per_s: int, bound: Bound | None = None) -> NDArray[np.void]:
    rows = tallies(*(tally(0, number, kbit_per_s=rate) for number, rate in enumerate(kbit_per_s)))
    return judge_connections(rows, len(rows), bound or Bound.rate(320_000))


def test_connections_are_counted_at_three_floors() -> None:
    floors = at_floors(found(303, 304, 319, 320, 335, 336, 399), Bound.rate(320_000), LINE_BPS)
    assert floors == (AtFloor(-0.05, 304_000, 6), AtFloor(0.0, 320_000, 4), AtFloor(0.05, 336_000, 2))
    assert near_floor(floors) == 4


def test_the_middle_count_is_that_of_the_judge_also_with_errors() -> None:
    rows = found(310, 330, 400, 400)
    rows["bad"][2] = 1
    conforming = int((judge_connections(rows_of(rows), 4, Bound.rate(320_000))["state"] == 0).sum())
    assert at_floors(rows, Bound.rate(320_000), LINE_BPS)[1].conforming == conforming == 2


def rows_of(rows: NDArray[np.void]) -> NDArray[np.void]:
    return tallies(
        *({name: int(row[name]) for name in ("connection", "ok", "bad", "bytes", "busy_ns")} for row in rows)
    )


def test_no_connection_is_counted_at_a_floor_above_its_line() -> None:
    floors = at_floors(found(399, 399), Bound.rate(390_000), LINE_BPS)
    assert [one.conforming for one in floors] == [2, 2, None]
    assert near_floor(floors) == 0


def test_a_time_bound_has_no_other_floors() -> None:
    bound = Bound.time(NS_PER_S, 2 * NS_PER_S)
    assert at_floors(found(300, 400, bound=bound), bound, LINE_BPS) == ()
    assert near_floor(()) is None
    assert not is_edge(None, 20)


@pytest.mark.parametrize(("near", "said"), [(0, False), (16, False), (17, True)])
def test_more_connections_near_the_floor_than_an_iteration_may_lose_are_an_edge(near: int, said: bool) -> None:
    assert is_edge(near, 320) is said


@given(st.lists(st.integers(0, 420), min_size=1, max_size=30), st.integers(1, 400_000))
def test_the_count_never_rises_with_the_floor(rates: list[int], floor_bps: int) -> None:
    counts = [one.conforming for one in at_floors(found(*rates), Bound.rate(floor_bps), LINE_BPS)]
    known = [count for count in counts if count is not None]
    assert known == sorted(known, reverse=True)


PHASES = Phases(
    ramp_up_ns=NS_PER_S, warmup_ns=3 * NS_PER_S, measure_ns=10 * NS_PER_S, ramp_down_ns=NS_PER_S, iterations=2
)


def timings(*reply_bytes: int, row: int = 0, doubt_bytes: int = 0) -> Timings:
    """Return those of two segments, in which one connection starts at `row`."""
    starts = np.zeros((2, 1), START_DTYPE)
    starts["row"] = row
    return Timings(np.array(reply_bytes, np.int64), starts, doubt_bytes)


def test_ideal_servers_by_hand() -> None:
    """At 1 byte per ms: 10 operations of 1 s, of 2 s or of .5 s fit into the window."""
    of = asked(1, 1, Bound.rate(6_400))
    deals = [timings(1_000), timings(2_000), timings(500)]
    ideal = ideal_of(timings(1_000, doubt_bytes=100), 1, deals, of, PHASES, Line(8_000))
    assert (ideal.conforming, ideal.ops_per_s, ideal.deals) == (1, 1.0, 3)
    assert ideal.conforming_spread == Spread(1, 1)
    # The quantiles .025 and .975 of (.5, 1, 2), wider by the tenth by which replies may be longer or shorter.
    assert ideal.ops_per_s_spread.low == pytest.approx(0.525 / 1.1)
    assert ideal.ops_per_s_spread.high == pytest.approx(1.95 * 1.1)


def test_ideal_servers_do_not_keep_a_time_bound_that_the_line_does_not_allow() -> None:
    of = asked(1, 1, Bound.time(5 * NS_PER_S, 6 * NS_PER_S))
    paced = Line(8_000, paced_reads=True)
    assert ideal_of(timings(10_000), 0, [timings(4_000)], of, PHASES, paced).conforming == 0  # 8.192 s each
    assert ideal_of(timings(4_000), 0, [timings(4_000)], of, PHASES, paced).conforming == 1


@pytest.mark.parametrize("iteration", [0, 1])
def test_an_iteration_alone_has_the_same_times(iteration: int) -> None:
    single = alone(PHASES, iteration)
    assert (single.lead_ns(0), single.length_ns(0)) == (PHASES.lead_ns(iteration), PHASES.length_ns(iteration))
    assert single.iterations == 1


def test_other_deals_are_played_with_the_lead_of_the_iteration() -> None:
    """Without its warm-up, the second iteration opens 1 s after its start, where the first row ends."""
    of, line = asked(1, 1, Bound.rate(6_400)), Line(8_000)
    deal = timings(1_000, *[100] * 10, 20_000)
    first, second = (ideal_of(timings(1_000), at, [deal], of, PHASES, line) for at in (0, 1))
    assert first.ops_per_s_spread == Spread(0.0, 0.0)  # 4 s after its start, the connection is in the last row
    assert second.ops_per_s_spread == Spread(1.1, 1.1)


def test_the_record_holds_all_of_it() -> None:
    margin = results.run_result().margin
    assert margin is not None
    assert read_margin(json.loads(json.dumps(write_margin(margin)))) == margin
    bare = dataclasses.replace(margin, ideal=None, floors=(), near_floor=None)
    assert read_margin(json.loads(json.dumps(write_margin(bare)))) == bare


def lines(margin: Margin | None, result: RunResult | None = None) -> list[str]:
    return [text.plain for text in margin_lines(dataclasses.replace(result or results.run_result(), margin=margin))]


def some_margin() -> Margin:
    margin = results.run_result().margin
    assert margin is not None
    return margin


def test_what_is_said_below_a_score() -> None:
    assert lines(some_margin()) == [
        "Over 3 iterations: 320 conform, 1,063.8..1,063.8 operations/s",
        "On ideal servers: 320 of 320 conform, 1,068.1 operations/s",
        "  Other seeds: 1,053.2..1,085.1 operations/s (95 % of 40 simulated)",
        "  Measured: 1,063.8, within that spread",
        "Conforming at other floors (-5 % / floor / +5 %): 320 / 320 / 316",
    ]
    assert lines(None) == []


def test_a_result_without_a_score_has_none() -> None:
    assert without_score(results.run_result()).margin is None


def test_a_rate_below_the_spread_is_compared_with_ideal_servers() -> None:
    margin = some_margin()
    assert margin.ideal is not None
    ideal = dataclasses.replace(
        margin.ideal, ops_per_s=1_329.75, ops_per_s_spread=Spread(1_300, 1_350), conforming_spread=Spread(300, 310)
    )
    said = lines(dataclasses.replace(margin, ideal=ideal))
    assert said[2] == "  Other seeds: 300..310 conform, 1,300.0..1,350.0 operations/s (95 % of 40 simulated)"
    assert said[3] == "  Measured: 1,063.8, 20.0 % below ideal servers"


def printed(show: Callable[[Console], None]) -> str:
    console = Console(file=io.StringIO(), width=80)
    show(console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_score_on_an_edge_is_told_in_reports_of_runs_and_sweeps() -> None:
    said = "The score is on an edge: 17 of 320 connections are within 5 % of the floor."
    margin = dataclasses.replace(some_margin(), near_floor=17, is_edge=True)
    result = dataclasses.replace(results.run_result(), margin=margin)
    assert lines(margin)[-1] == said
    assert said in printed(lambda c: print_report(c, judged(results.header(), result)))
    sweep = Sweep(vms=(16,), points=(results.sweep_point(16, result),))
    shown: Judged[SpecPlan, Sweep] = judged(results.sweep_header(), sweep)
    assert f"16 VMs: {said}" in " ".join(printed(lambda c: print_sweep(c, shown)).split())


def test_a_single_iteration_without_ideal_servers_and_floors_says_nothing() -> None:
    one = results.run_result(shorts=(0,))
    bare = Margin(ideal=None, floors=(), conforming=Spread(320, 320), ops_per_s=Spread(1.0, 1.0))
    assert lines(bare, one) == []
