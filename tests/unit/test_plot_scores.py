"""What looks like a score in a figure is one: what was not measured has a word, and a lower bound says so."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from coordinator.output.judged import Judged
from coordinator.output.plot.bars import Bar, Bars
from coordinator.record.find_result import Find
from coordinator.record.sweep_result import Sweep
from loadgen.model.errors import PlanError
from loadgen.model.probe import Direction, Kind
from loadgen.verdict.capacity import Found, Seen, Trial
from loadgen.verdict.figures import CONFORM, Figure
from loadgen.verdict.network import judge_forward, judge_iperf
from loadgen.verdict.repeats import OneOfMany, Repeats
from loadgen.verdict.result import RunResult, Verdict
from tests.support import finds, relatives, repeats, results
from tests.support.judged import judged
from tests.support.networks import (
    FORWARD,
    IPERF,
    forward_header,
    forward_passages,
    iperf_header,
    iperf_results,
)
from tests.support.plots import axes_of, legend_of, picture_of, rows_of, saved, texts_of

QUIET = (0.02, "sshd (pid 7)")


def bar_of(result: RunResult) -> tuple[Any, str]:
    """The bar of a run with 16 VMs, in its own record and in that of a sweep: both are the same."""
    sweep = Sweep(vms=(16,), points=(results.sweep_point(16, result),))
    found = []
    for run in (judged(results.header(), result), judged(results.sweep_header(), sweep)):
        (row,) = rows_of(picture_of("conforming", run).table)
        found.append((row["value"], row["note"]))
    assert found[0] == found[1]
    return found[0]


def test_a_run_without_a_whole_window_of_the_whole_load_has_a_word_in_place_of_a_bar() -> None:
    good = results.run_result()
    assert bar_of(good) == (320, "")
    assert bar_of(results.nothing_measured()) == (None, "interrupted")
    assert bar_of(dataclasses.replace(good, verdict=Verdict.DEGRADED)) == (None, "DEGRADED")
    assert bar_of(results.invalid_result()) == (None, "INVALID")
    assert bar_of(results.interrupted_result()) == (320, "")  # its first window is whole
    short = tuple(dataclasses.replace(one, complete=False) for one in good.iterations)
    assert bar_of(dataclasses.replace(good, iterations=short, verdict=Verdict.INTERRUPTED)) == (None, "interrupted")
    assert bar_of(dataclasses.replace(good, iterations=short)) == (None, "cut short")


def spec_repeats(*runs: float | Verdict) -> Judged[Any, Any]:
    """Repeats with these numbers of conforming connections, or with runs of these verdicts."""
    found: list[OneOfMany] = []
    for place, run in enumerate(runs, 1):
        if isinstance(run, Verdict):
            found.append(repeats.run(place, 0.0, verdict=run))
        else:
            figures = (Figure(name=CONFORM, values=(run,)),)
            found.append(dataclasses.replace(repeats.run(place, 1.0), figures=figures))
    return judged(repeats.spec_header(), Repeats(asked=len(found), runs=tuple(found)))


@pytest.mark.parametrize(
    ("runs", "value", "note"),
    [
        ((80.0, 79.0, 78.0), 79, ""),
        ((80.0, 79.0, Verdict.INVALID), 79.5, ""),
        ((80.0, Verdict.INVALID, Verdict.INVALID), None, "INVALID"),
        ((80.0, Verdict.DEGRADED), None, "DEGRADED"),
        ((80.0, Verdict.INVALID, Verdict.INVALID, Verdict.INTERRUPTED), None, "INVALID"),
        ((80.0, 79.0, Verdict.INTERRUPTED), 79.5, ""),
        ((Verdict.INTERRUPTED,), None, "interrupted"),
        ((0.0, 0.0, 0.0), 0, ""),
    ],
)
def test_repeats_of_which_most_do_not_count_have_a_word_in_place_of_a_bar(
    runs: tuple[float | Verdict, ...], value: float | None, note: str
) -> None:
    (row,) = rows_of(picture_of("conforming", spec_repeats(*runs)).table)
    assert (row["value"], row["note"]) == (value, note)


def test_a_figure_of_repeats_and_single_runs_names_both_intervals() -> None:
    single = judged(results.header(4), results.run_result(4, shorts=(0, 1, 2)))
    (axes,) = axes_of(picture_of("conforming", spec_repeats(80.0, 79.0, 78.0), single))
    assert axes.get_xlabel() == (
        "simultaneous VMs; error bars: 95 % interval of the median\n(repeats) or lowest and highest iteration"
    )


def test_the_axis_names_the_workload() -> None:
    header = results.header()
    banking = dataclasses.replace(header, plan=dataclasses.replace(header.plan, workload="banking"))
    (axes,) = axes_of(picture_of("conforming", judged(banking, results.run_result())))
    assert axes.get_ylabel() == "conforming connections\n(SPECweb2005-style banking)"


def iperf(**changes: Any) -> Judged[Any, Any]:
    result = judge_iperf(IPERF, iperf_results(), others=QUIET)
    first, *others = result.rows
    return judged(iperf_header(), dataclasses.replace(result, rows=(dataclasses.replace(first, **changes), *others)))


def test_rates_that_are_lower_bounds_say_so_in_every_form(tmp_path: Path) -> None:
    picture = picture_of("throughput", iperf(limited_here=True))
    least = [row for row in rows_of(picture.table) if row["at_least"]]
    assert [(row["group"], row["value"]) for row in least] == [("16K", pytest.approx(504.75))]
    cells = saved(picture, tmp_path / "a.tex").decode().splitlines()[5].split(" & ")
    assert sorted(cell.removesuffix(r" \\") for cell in cells) == [r"$\ge$ 505", "16K", "525"]
    texts = texts_of(saved(picture, tmp_path / "a.svg"))
    assert texts.count("≥") == 1
    assert "≥: at least" in texts
    exact = picture_of("throughput", iperf())
    assert not any(row["at_least"] for row in rows_of(exact.table))
    assert "≥" not in "".join(texts_of(saved(exact, tmp_path / "b.svg")))


def test_forwarding_that_an_end_limited_is_a_lower_bound() -> None:
    result = judge_forward(FORWARD, forward_passages(), others=QUIET)
    limits = ("source", "sink", "link", "")
    rows = tuple(
        dataclasses.replace(row, limited_by=limit)
        for row, limit in zip(result.rows, itertools.cycle(limits), strict=False)
    )
    picture = picture_of("forward", judged(forward_header(), dataclasses.replace(result, rows=rows)))
    assert sum(row["at_least"] for row in rows_of(picture.table)) == sum(row.limited_by_end for row in rows)


def test_a_request_response_test_has_times_with_their_lower_bounds() -> None:
    plan = dataclasses.replace(IPERF, kind=Kind.RR, directions=(Direction.SEND,))
    result = judge_iperf(plan, iperf_results(plan), others=QUIET)
    latency = dataclasses.replace(result.rows[0].latency, lower_bounds=("p99_ns", "max_ns"))
    rows = (dataclasses.replace(result.rows[0], latency=latency), *result.rows[1:])
    run = judged(iperf_header(plan), dataclasses.replace(result, rows=rows))
    picture = picture_of("throughput", run)
    found = [row for row in rows_of(picture.table) if row["group"] == rows_of(picture.table)[0]["group"]]
    assert [(row["series"], row["at_least"]) for row in found] == [("p50", 0), ("p90", 0), ("p99", 1)]
    assert found[0]["value"] == pytest.approx(latency.p50_ns / 1e6)
    assert axes_of(picture)[0].get_ylabel() == "time of a transaction, ms"
    with pytest.raises(PlanError, match="some of these runs measured rates, and others the times"):
        picture_of("throughput", run, iperf())


def test_a_network_run_that_is_degraded_has_no_bars() -> None:
    run = iperf()
    degraded = dataclasses.replace(run, result=dataclasses.replace(run.result, verdict=Verdict.DEGRADED))
    rows = rows_of(picture_of("throughput", degraded).table)
    assert {(row["value"], row["note"]) for row in rows} == {(None, "DEGRADED")}


def varying() -> Find:
    """A search in which runs disagree at 7 to 9 VMs."""
    turns = itertools.count()
    return finds.find(lambda value: Seen.HELD if value <= 7 + next(turns) % 3 else Seen.FAILED)


def disagreeing() -> Find:
    """A search that is not over, and in which runs disagree."""
    seen = ((4, Seen.HELD), (8, Seen.FAILED), (6, Seen.HELD), (7, Seen.FAILED), (8, Seen.HELD))
    return finds.of([Trial(value, one) for value, one in seen])


@pytest.mark.parametrize(
    ("find", "found", "label", "shaded"),
    [
        (finds.find(), Found.EXACT, "6 VMs", False),
        (varying(), Found.VARYING, "about ", True),
        (finds.find(finds.exactly(1 << 21)), Found.AT_LEAST, "at least 1,048,576 VMs", False),
        (finds.find(runs=3), Found.OPEN, "at least ", False),
        (disagreeing(), Found.OPEN, "about ", False),
    ],
)
def test_a_search_says_whether_its_answer_is_exact(find: Find, found: Found, label: str, shaded: bool) -> None:
    assert find.capacity.found is found
    upper, lower = axes_of(picture_of("capacity", judged(finds.header(), find)))
    (text,) = [one.get_text() for one in upper.texts]
    assert text.startswith(label)
    assert text.endswith(find.wanted.words(find.capacity.value))
    assert [bool(axes.patches) for axes in (upper, lower)] == [shaded] * 2


def test_the_rows_of_a_csv_carry_the_marks_of_the_figure(tmp_path: Path) -> None:
    picture = picture_of("throughput", iperf())
    marked = saved(picture, tmp_path / "a.csv", marks=("INVALID", "CUT")).decode()
    rows = list(csv.reader(io.StringIO(marked)))
    assert rows[0][-1] == "marks"
    assert {row[-1] for row in rows[1:]} == {"INVALID CUT"}
    empty = dataclasses.replace(picture, table=dataclasses.replace(picture.table, rows=()))
    assert saved(empty, tmp_path / "b.csv", marks=("INVALID",)).decode().splitlines()[1:] == [",,,,,,,,INVALID"]
    assert saved(empty, tmp_path / "c.csv").decode().splitlines()[1:] == []


def bars(series: Sequence[tuple[str, tuple[Bar | None, ...]]], *, level: float | None = None) -> Bars:
    groups = tuple(f"group {at}" for at in range(len(series[0][1])))
    return Bars(
        groups=groups,
        series=tuple(series),
        axis="Mbit/s",
        group="window",
        interval="range",
        caption="Rates",
        level=level,
    )


def test_a_score_of_0_is_a_score() -> None:
    (axes,) = axes_of(bars([("a", (Bar(value=0.0), Bar(value=0.0)))]).picture())
    assert len(axes.get_yticks()) > 1
    assert axes.get_ylim() == (0, 1)
    assert [text.get_text() for text in axes.texts] == ["0", "0"]
    (nothing,) = axes_of(bars([("a", (Bar(note="INVALID"),))]).picture())
    assert list(nothing.get_yticks()) == []


def test_numbers_in_latex_have_about_three_significant_digits() -> None:
    values = (0.4, 12.5, 941.6, 80.0, 12_345.6, 0.0)
    latex = bars([("a", tuple(Bar(value=value) for value in values))]).picture().latex
    assert latex is not None
    assert [row[1] for row in latex.rows] == ["0.400", "12.5", "942", "80", "12346", "0"]


def test_the_line_of_what_was_asked_for_is_explained_whichever_series_has_it() -> None:
    good = Bar(value=300.0, asked=320.0)
    (axes,) = axes_of(bars([("Xen", (Bar(note="INVALID"),)), ("Linux", (good,)), ("other", (good,))]).picture())
    assert sorted(legend_of(axes)) == ["Linux", "asked for", "other"]


def test_comparisons_with_different_first_environments_do_not_stand_on_one_axis() -> None:
    result = relatives.result()
    turned = {"bare": "ns", "ns": "bare"}
    rows = tuple(dataclasses.replace(row, environment=turned[row.environment]) for row in result.rows)
    other = dataclasses.replace(result, rows=rows)
    with pytest.raises(PlanError, match="relative to different environments: bare, ns"):
        picture_of("relative", judged(relatives.header(), result), judged(relatives.header(), other))
