"""Curves of response times: never of runs that must not be added up, and to the slowest request."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordinator.kinds.catalog import judges
from coordinator.output.catalog import write
from coordinator.output.hdr import times_of
from coordinator.output.judged import Judged, read_judged
from coordinator.output.plot.marks import marks_of
from coordinator.output.plot.picture import Subject
from coordinator.record.document import finished
from coordinator.record.find_result import Find
from coordinator.record.header import Header
from coordinator.record.headroom_result import HeadroomResult, Role
from coordinator.record.interleaved_result import Interleaved
from coordinator.record.kinds import KIND_SPEC
from coordinator.record.sweep_result import Sweep
from coordinator.record.writer import RecordWriter
from loadgen.measure.histogram import Histogram
from loadgen.model.errors import PlanError
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.capacity import Seen, Trial
from loadgen.verdict.result import Verdict
from tests.support import finds, headrooms, repeats, results
from tests.support.judged import END
from tests.support.plots import axes_of, legend_of, picture_of, rows_of
from tests.support.recorded import write_record
from tests.support.snapshots import cell, snapshot


def record_of(directory: Path, header: Header[Any], result: Any, runs_ms: Mapping[str, int]) -> Judged[Any, Any]:
    """A record of several runs, each of which answered 100 requests in the time that `runs_ms` says."""
    RecordWriter(directory, finished(header, result, finished_at=END)).close()
    for name, time_ms in runs_ms.items():
        served = [snapshot("engine 0", 0, {(0, 0): cell(ok=100, response_ms=time_ms)})]
        write_record(directory / name, results.header(1), results.run_result(1), served)
    return read_judged(directory, judges())


def curves(judged: Judged[Any, Any]) -> dict[str, tuple[float, float]]:
    """The fastest and the slowest time of each curve, in ms."""
    found: dict[str, tuple[float, float]] = {}
    for row in rows_of(picture_of("latency", judged).table):
        first, _ = found.get(row["run"], (row["low_ms"], 0))
        found[row["run"]] = first, row["low_ms"]
    return {name: (round(low), round(high)) for name, (low, high) in found.items()}


def tags(judged: Judged[Any, Any]) -> set[str]:
    """The tags of the intervals of the log."""
    stream = io.StringIO()
    write(judged, "hdr", stream)
    return {line.split(",")[0] for line in stream.getvalue().splitlines()[3:]}


def headroom(directory: Path, result: HeadroomResult) -> Judged[Any, Any]:
    times_ms = dict(zip((role.value for role in Role), (20, 40, 1), strict=True))
    runs_ms = {step.role.value: times_ms[step.role.value] for step in result.steps}
    return record_of(directory, headrooms.header(KIND_SPEC), result, runs_ms)


def test_a_check_of_headroom_shows_the_run_that_is_asked_about(tmp_path: Path) -> None:
    judged = headroom(tmp_path / "run", headrooms.FAR)
    assert curves(judged) == {"run 1": (20, 20)}
    assert tags(judged) == {"Tag=run"}


def test_an_interrupted_check_of_headroom_says_that_its_run_is_invalid(tmp_path: Path) -> None:
    first, *others = headrooms.INTERRUPTED.steps
    steps = (dataclasses.replace(first, verdict=Verdict.INVALID), *others)
    judged = headroom(tmp_path / "run", HeadroomResult(steps=steps))
    assert marks_of([Subject("a", judged)]) == ("INVALID", "INTERRUPTED")


def test_repeats_are_one_curve_of_the_runs_that_count(tmp_path: Path) -> None:
    found = repeats.repeats(repeats.STEADY[:2], invalid=1)
    judged = record_of(tmp_path / "run", repeats.spec_header(), found, {"run-1": 20, "run-2": 24, "run-3": 900})
    assert curves(judged) == {"run 1": (20, 24)}
    ((_, times),) = times_of(judged)
    assert times.total == 200
    assert tags(judged) == {"Tag=run-1", "Tag=run-2"}


def test_a_comparison_has_a_curve_for_each_plan(tmp_path: Path) -> None:
    found: Interleaved = repeats.interleaved(2, spec=True)
    runs_ms = {"a-1": 20, "b-1": 50, "b-2": 60, "a-2": 30}
    judged = record_of(tmp_path / "run", repeats.spec_compare_header(), found, runs_ms)
    assert curves(judged) == {"A: a.toml": (20, 30), "B: b.toml": (50, 60)}
    several = {row["run"] for row in rows_of(picture_of("latency", judged, judged).table)}
    assert several == {f"run {at}: {name}" for at in (1, 2) for name in ("A: a.toml", "B: b.toml")}


def test_a_sweep_has_a_curve_for_each_run_that_counts(tmp_path: Path) -> None:
    bad = results.sweep_point(16, results.invalid_result())
    sweep = Sweep(vms=(1, 4, 16), points=(*results.sweep(2).points, bad))
    judged = record_of(tmp_path / "run", results.sweep_header(), sweep, {"vms-1": 20, "vms-4": 30, "vms-16": 900})
    assert curves(judged) == {"1 VM": (20, 20), "4 VMs": (30, 30)}
    (axes,) = axes_of(picture_of("latency", judged))
    assert legend_of(axes) == ["1 VM", "4 VMs"]


def search(directory: Path, found: Find) -> Judged[Any, Any]:
    runs_ms = {step.record: 20 + step.value for step in found.steps}
    return record_of(directory, finds.header(), found, runs_ms)


def test_a_search_has_a_curve_for_each_run_as_far_as_they_can_be_told_apart(tmp_path: Path) -> None:
    trials = [Trial(4, Seen.HELD), Trial(8, Seen.FAILED), Trial(6, Seen.UNKNOWN)]
    assert curves(search(tmp_path / "few", finds.of(trials))) == {"vms-4": (24, 24), "vms-8": (28, 28)}
    many = search(tmp_path / "many", finds.of([Trial(value, Seen.HELD) for value in range(1, 14)]))
    with pytest.raises(PlanError, match="these are 13 curves of response times, but a figure shows at most 12") as why:
        picture_of("latency", many)
    assert f"those of {many.path} are below it" in why.value.hint


def test_twelve_curves_differ_in_ink_or_line_and_have_a_legend(tmp_path: Path) -> None:
    twelve = search(tmp_path / "run", finds.of([Trial(value, Seen.HELD) for value in range(1, 13)]))
    (axes,) = axes_of(picture_of("latency", twelve))
    looks = {(line.get_color(), str(line._dash_pattern)) for line in axes.lines if line.get_marker() == "None"}
    assert len(looks) == len(legend_of(axes)) == 12


def test_without_a_run_that_counts_all_are_shown_as_evidence_and_called_what_they_are(tmp_path: Path) -> None:
    header, invalid = repeats.spec_header(), repeats.repeats((), invalid=2)
    judged = record_of(tmp_path / "repeats", header, invalid, {"run-1": 20, "run-2": 24})
    assert curves(judged) == {"run 1 (INVALID)": (20, 24)}
    stopped = dataclasses.replace(invalid, runs=(invalid.runs[0], repeats.run(2, 0.0, verdict=Verdict.INTERRUPTED)))
    judged = record_of(tmp_path / "stopped", header, stopped, {"run-1": 20, "run-2": 24})
    assert curves(judged) == {"run 1 (INVALID)": (20, 24)}
    sweep = Sweep(vms=(16,), points=(results.sweep_point(16, results.invalid_result()),))
    judged = record_of(tmp_path / "sweep", results.sweep_header(), sweep, {"vms-16": 900})
    assert curves(judged) == {"16 VMs (INVALID)": (900, 900)}
    assert tags(judged) == {"Tag=vms-16"}


def of_times(directory: Path, times_ms: list[float], *, bad: int = 0) -> Judged[Any, Any]:
    """A run whose requests took these times."""
    exact = Histogram.of((np.array(times_ms) * NS_PER_MS).astype(np.int64))
    one = dataclasses.replace(cell(ok=len(times_ms), bad=bad), response=exact)
    write_record(directory, results.header(1), results.run_result(1), [snapshot("engine 0", 0, {(0, 0): one})])
    return read_judged(directory, judges())


@pytest.mark.parametrize("number", [1, 2, 3, 5, 11, 100, 1001])
def test_a_curve_rises_to_the_slowest_request_however_few_there_are(number: int, tmp_path: Path) -> None:
    run = of_times(tmp_path / "run", [20.0] * (number - 1) + [400.0])
    rows = rows_of(picture_of("latency", run).table)
    levels = [float(row["percentile"]) for row in rows]
    assert levels == sorted(set(levels))
    assert levels[0] == pytest.approx(min(100 / number, 50))
    assert levels[-1] == pytest.approx(100 - 50 / number)
    assert rows[-1]["low_ms"] == pytest.approx(400)
    (axes,) = axes_of(picture_of("latency", run))
    (slowest,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert slowest.get_ydata()[0] == pytest.approx(400)
    assert slowest.get_fillstyle() == "full"


def test_a_slowest_request_that_is_only_a_lower_bound_is_an_open_dot(tmp_path: Path) -> None:
    run = of_times(tmp_path / "run", [20.0] * 990, bad=10)
    (axes,) = axes_of(picture_of("latency", run))
    (slowest,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert slowest.get_fillstyle() == "none"
    assert axes.get_xlabel().endswith("\nshaded, open dot: at least (failed or cut requests)")
    (shade,) = axes.collections
    *_, path = shade.get_paths()
    assert path.get_extents().x1 == pytest.approx(2000)


def test_the_names_of_deep_percentiles_do_not_overlap(tmp_path: Path) -> None:
    counts = np.array([50_000_000, 1], np.int64)
    times = Histogram.of(np.array([20, 400]) * NS_PER_MS)
    one = dataclasses.replace(cell(ok=1), response=dataclasses.replace(times, counts=counts))
    write_record(tmp_path / "run", results.header(1), results.run_result(1), [snapshot("engine 0", 0, {(0, 0): one})])
    (axes,) = axes_of(picture_of("latency", read_judged(tmp_path / "run", judges())))
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["0", "99", "99.99", "99.9999", "99.999999"]
