"""Plots of experiments and of network runs: no bar without a number, and no lower bound that looks exact."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from coordinator.output.html.blocks import Block, Plot, Table
from coordinator.output.html.comparison import comparison_blocks, interleaved_blocks
from coordinator.output.html.experiments import find_blocks, paper_blocks, repeats_blocks, sweep_blocks
from coordinator.output.html.hosts import isolate_blocks
from coordinator.output.html.network import forward_blocks, iperf_blocks
from coordinator.output.html.report import _json
from coordinator.output.judged import Judged
from coordinator.record.find_result import Find, Wanted
from coordinator.record.network import Kept
from coordinator.record.sweep_result import Sweep
from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import Direction, Kind
from loadgen.model.units import NS_PER_S
from loadgen.verdict.capacity import Found, Seen, Trial
from loadgen.verdict.compare import Group, compare
from loadgen.verdict.isolate import judge_isolate
from loadgen.verdict.network import judge_forward, judge_iperf
from loadgen.verdict.repeats import Repeats
from loadgen.verdict.result import RunResult, Verdict
from loadgen.verdict.span import Span
from tests.support import finds, isolations, networks, papers, repeats, results
from tests.support.judged import judged
from tests.support.recorded import QUIET, write_record


def plots(blocks: Iterator[Block]) -> dict[str, Plot]:
    return {block.title: block for block in blocks if isinstance(block, Plot)}


def swept(result: RunResult) -> list[dict[str, Any]]:
    """The bars of a sweep with one point, but those of what was asked."""
    run = judged(results.sweep_header(), Sweep(vms=(16,), points=(results.sweep_point(16, result),)))
    return [bar for plot in plots(sweep_blocks(run)).values() for bar in plot.data["bars"] if bar["name"] != "asked"]


NOT_TRUSTED = dataclasses.replace(results.interrupted_result(), trust=results.trust(late_ms=612.4))
CUT_IN_THE_FIRST = dataclasses.replace(
    results.interrupted_result(), iterations=results.interrupted_result().iterations[1:], median=0
)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (results.nothing_measured(), "nothing measured"),
        (dataclasses.replace(results.run_result(), verdict=Verdict.DEGRADED), "DEGRADED"),
        (results.invalid_result(), "INVALID"),
        (NOT_TRUSTED, "not valid"),
        (CUT_IN_THE_FIRST, "not a whole iteration"),
    ],
)
def test_a_point_of_a_sweep_that_cannot_be_compared_has_a_word_in_place_of_each_bar(
    result: RunResult, why: str
) -> None:
    assert [(bar["value"], bar["why"]) for bar in swept(result)] == [(None, why)] * 3


def test_a_point_that_was_stopped_after_a_whole_iteration_has_bars() -> None:
    assert [bar["value"] for bar in swept(results.interrupted_result())][:2] == [320, 20]


def searched(find: Find) -> Plot:
    [plot] = plots(find_blocks(judged(finds.header(find.wanted), find))).values()
    return plot


def test_an_answer_that_is_only_a_lower_bound_is_called_so_and_has_no_interval() -> None:
    begun = finds.find(finds.exactly(39), runs=5)
    assert begun.capacity.found is Found.OPEN
    assert begun.capacity.high
    plot = searched(begun)
    assert plot.says == f"The answer is at least {begun.capacity.value} VMs, and at most {begun.capacity.high}."
    assert plot.data["bands"] == []
    assert "Shaded" not in plot.note
    above = finds.find(lambda value: Seen.UNKNOWN if value > 10 else Seen.HELD)
    assert above.capacity.found is Found.AT_LEAST
    assert searched(above).says == f"The answer is at least {above.capacity.value} VMs."


def test_an_exact_answer_and_one_that_varies_have_their_interval() -> None:
    coarse = dataclasses.replace(finds.SEARCH, step=4)
    trials: list[Trial] = []
    while (value := coarse.next(trials)) is not None:
        trials.append(Trial(value, finds.exactly(38)(value)))
    found = dataclasses.replace(finds.of(trials), search=coarse)
    low, high = found.capacity.low, found.capacity.high
    assert (found.capacity.found, high > low) == (Found.EXACT, True)
    assert searched(found).says == f"The answer is {low} VMs, between {low} and {high}."
    assert searched(found).data["bands"][0]["spans"] == [[low, high]]
    assert searched(finds.find()).says == "The answer is 6 VMs."
    assert searched(finds.find(finds.never_valid)).says == "There is no answer."


@pytest.mark.parametrize("verdict", [Verdict.INTERRUPTED, Verdict.DEGRADED])
def test_a_run_of_a_search_that_says_nothing_has_no_point(verdict: Verdict) -> None:
    begun = finds.find(runs=3)
    last = dataclasses.replace(begun.steps[-1], verdict=verdict, reached=0.0)
    plot = searched(dataclasses.replace(begun, steps=(*begun.steps[:-1], last)))
    assert [point["name"] for point in plot.data["points"]] == ["run 1", "run 2"]
    assert plot.table.rows[-1][3] == "-"
    assert "Runs that say nothing about the servers are in the table only: 1." in plot.note


def test_a_number_that_is_a_lower_bound_in_some_runs_is_marked_in_these() -> None:
    runs = tuple(repeats.run(place, 12_000.0, 20.0 + place, at_least=place == 2) for place in range(1, 8))
    found = Repeats(asked=7, runs=runs)
    plot = plots(repeats_blocks(judged(repeats.http_header(), found)))["response p99 of each run"]
    assert plot.says == "The median is ≥ 24."
    assert [row[1] for row in plot.table.rows] == ["21", "≥ 22", *(f"{20 + place}" for place in range(3, 8))]
    assert plot.data["points"][1]["name"] == "run-2, at least"
    assert "1 of 7 values are only lower bounds." in plot.note


def groups(first: Sequence[float], second: Sequence[float], *, at_least: bool = False) -> list[Group]:
    """Two groups of runs with these shares of failed requests in %."""
    return [
        Group(
            name=name,
            record=f"runs/{name}",
            runs=tuple(repeats.run(at, 100.0, failed=one, at_least=at_least) for at, one in enumerate(failed, 1)),
        )
        for name, failed in (("A", first), ("B", second))
    ]


def test_a_ratio_to_nothing_is_infinite_and_its_line_is_open() -> None:
    found = compare(groups([0.0] * 6, [2.0, 1.0, 3.0, 2.0, 1.0, 3.0]))
    [row] = [row for row in found.rows if row.name == "failed" and row.side == "B"]
    assert row.ratio == math.inf
    blocks = list(comparison_blocks(found))
    plot = plots(iter(blocks))["Compared with the first group"]
    [cells] = [cells for cells in plot.table.rows if cells[0] == "failed"]
    assert cells[2:5] == ("2 %", "inf", "inf to inf")
    [dot] = [dot for dot in plot.data["rows"] if dot["name"] == "failed, B"]
    assert dot["open"] is True
    assert "An arrow" in plot.note
    assert "Infinity" not in _json(plot.data)


def test_a_median_of_lower_bounds_is_marked_in_a_comparison() -> None:
    plot = plots(comparison_blocks(compare(groups([1.0] * 6, [1.0] * 6, at_least=True))))[
        "Compared with the first group"
    ]
    [cells] = [cells for cells in plot.table.rows if cells[0] == "response p99"]
    assert cells[2] == "≥ 20 ms"
    assert "only lower bounds" in plot.note


def test_a_run_that_does_not_count_leaves_a_gap_in_its_round() -> None:
    found = repeats.interleaved(rounds=6, true=1.0)
    runs = list(found.runs)
    at = next(at for at, run in enumerate(runs) if run.record == "a-2")
    runs[at] = dataclasses.replace(runs[at], verdict=Verdict.INVALID, figures=())
    found = dataclasses.replace(found, runs=tuple(runs))
    plot = plots(interleaved_blocks(judged(repeats.http_compare_header(), found)))["requests/s in each round"]
    series = {one["name"]: one["y"] for one in plot.data["series"]}
    assert plot.data["x"] == [1, 2, 3, 4, 5, 6]
    assert series["A"] == [12_000, None, *map(int, repeats.STEADY[2:6])]
    assert series["B"] == list(map(int, repeats.STEADY[:6]))
    assert plot.table.rows[1] == ("2", "-", "12,100")
    assert plot.note == "Runs that do not count leave a gap."


def test_numbers_of_this_machine_that_are_lower_bounds_are_marked_beside_the_papers() -> None:
    found = papers.result()
    marked = dataclasses.replace(
        found,
        steps=tuple(
            dataclasses.replace(step, ours=tuple(dataclasses.replace(one, at_least=True) for one in step.ours))
            for step in found.steps
        ),
    )
    for result, expected in ((found, False), (marked, True)):
        own = [
            (bar.get("least", False), plot)
            for plot in plots(paper_blocks(judged(papers.header(), result))).values()
            for bar in plot.data["bars"]
            if bar["name"] == "here" and bar["value"] is not None
        ]
        assert own
        if expected:
            assert all(least for least, _ in own)
            assert all("≥: only a lower bound is known." in plot.note for _, plot in own)
        else:
            assert not all(least for least, _ in own)


def iperf(tmp_path: Path, **changes: Any) -> Judged[Any, Any]:
    """A run of iperf whose tests are recorded, with changes of the plan."""
    plan = dataclasses.replace(networks.IPERF, **changes)
    measured = networks.iperf_results(plan)
    result = judge_iperf(plan, measured, others=QUIET)
    return judged(networks.iperf_header(plan), result, path=tmp_path / "nothing")


def test_a_rate_that_this_end_limited_is_a_lower_bound(tmp_path: Path) -> None:
    run = iperf(tmp_path)
    rows = (dataclasses.replace(run.result.rows[0], limited_here=True), *run.result.rows[1:])
    run = dataclasses.replace(run, result=dataclasses.replace(run.result, rows=rows))
    plot = plots(iperf_blocks(run))["Rate by window (Table 3)"]
    assert [bar["least"] for bar in plot.data["bars"]].count(True) == 1
    assert plot.data["bars"][0]["least"] is True
    assert [cell.startswith("≥ ") for cell in plot.table.rows[0][1:]].count(True) == 1
    assert plot.says.startswith("The highest that is known is ")
    assert plot.note.endswith("≥: only a lower bound is known.")


def test_times_of_transactions_that_are_lower_bounds_are_marked(tmp_path: Path) -> None:
    run = iperf(tmp_path, kind=Kind.RR, directions=(Direction.SEND,))
    row = run.result.rows[0]
    marked = dataclasses.replace(row, latency=dataclasses.replace(row.latency, lower_bounds=("p99_ns", "max_ns")))
    run = dataclasses.replace(run, result=dataclasses.replace(run.result, rows=(marked,)))
    plot = plots(iperf_blocks(run))["Time of a transaction"]
    assert [bar["least"] for bar in plot.data["bars"]] == [False, False, True]
    assert [cell.startswith("≥ ") for cell in plot.table.rows[0][1:]] == [False, False, True]


def test_a_forwarded_rate_that_an_end_limited_is_a_lower_bound(tmp_path: Path) -> None:
    result = judge_forward(networks.FORWARD, networks.forward_passages(), others=QUIET)
    rows = tuple(dataclasses.replace(row, limited_by="source") for row in result.rows)
    times = tuple(
        dataclasses.replace(row, latency=dataclasses.replace(row.latency, lower_bounds=("p90_ns",)))
        for row in result.latencies
    )
    result = dataclasses.replace(result, rows=rows, latencies=times)
    found = plots(forward_blocks(judged(networks.forward_header(), result, path=tmp_path / "nothing")))
    rates = [plot for title, plot in found.items() if title.startswith("Forwarded")]
    assert rates
    assert all(bar["least"] for plot in rates for bar in plot.data["bars"])
    pings = [plot for title, plot in found.items() if title.startswith("Ping-pong")]
    assert pings
    assert all(bar["least"] is (bar["name"] == "p90") for plot in pings for bar in plot.data["bars"])


def over_time(tmp_path: Path, direction: Direction, change: Any = lambda one: one) -> Plot:
    """The rate over time of one test in this direction, read from its record."""
    plan = dataclasses.replace(networks.IPERF, directions=(direction,), windows_bytes=(64 << 10,), repeats=1)
    tests = [change(one) for one in networks.iperf_results(plan)]
    header = networks.iperf_header(plan)
    result = judge_iperf(plan, tests, others=QUIET)
    write_record(tmp_path / "run", header, result, map(Kept, tests))
    return plots(iperf_blocks(judged(header, result, path=tmp_path / "run")))["Rate over time in each test"]


def test_the_rate_over_time_says_what_it_counts_and_shows_both_directions(tmp_path: Path) -> None:
    def slower(one: ProbeResult) -> ProbeResult:
        """Receives at half of the rate at which it sends."""
        ticks = tuple(dataclasses.replace(tick, received_bytes=tick.sent_bytes // 2) for tick in one.ticks)
        return dataclasses.replace(one, ticks=ticks)

    plot = over_time(tmp_path / "both", Direction.BIDIR, slower)
    series = {one["name"]: one["y"] for one in plot.data["series"]}
    assert list(series) == ["1: 64K received", "1: 64K sent"]
    assert series["1: 64K received"][0] == pytest.approx(series["1: 64K sent"][0] / 2, rel=1e-3)
    assert "whether it has arrived or not" in plot.note
    plot = over_time(tmp_path / "one", Direction.RECEIVE)
    assert [one["name"] for one in plot.data["series"]] == ["1: 64K received"]
    assert plot.note == ""


def test_the_mean_rate_weighs_the_intervals_by_their_length(tmp_path: Path) -> None:
    def short(one: ProbeResult) -> ProbeResult:
        """The last interval is a tenth of a second in which nothing was sent."""
        last = one.ticks[-1]
        end = dataclasses.replace(
            last, start_ns=last.end_ns, end_ns=last.end_ns + NS_PER_S // 10, sent_bytes=0, received_bytes=0
        )
        return dataclasses.replace(one, ticks=(*one.ticks, end))

    plot = over_time(tmp_path, Direction.SEND, short)
    assert isinstance(plot.table, Table)
    [(_, lowest, mean, highest, intervals)] = plot.table.rows
    assert (lowest, highest, intervals) == ("0", "941.5", "11")
    assert float(mean) == pytest.approx(941.5 * 10 / 10.1, rel=1e-3)


def test_latencies_of_a_quiet_vm_that_are_lower_bounds_are_marked() -> None:
    result = judge_isolate(isolations.PLAN, isolations.isolated())
    first = result.rows[0]
    assert first.game is not None
    game = dataclasses.replace(first.game, p99=Span(2000.0, None))
    result = dataclasses.replace(result, rows=(dataclasses.replace(first, game=game), *result.rows[1:]))
    plot = plots(isolate_blocks(judged(isolations.header(), result)))["Game server: percentiles beside each hog"]
    assert plot.table.rows[0][3] == "≥ 2,000"


def test_a_search_for_a_rate_is_said_in_its_unit() -> None:
    assert searched(finds.find(wanted=Wanted.RATE)).says == "The answer is 6 requests/s."
