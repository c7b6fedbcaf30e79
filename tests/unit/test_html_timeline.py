"""Plots over time: every second counts once, what hangs is seen, and the distribution is that of the report."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordinator.kinds.catalog import judges
from coordinator.output.hdr import write_files
from coordinator.output.html.blocks import Block, Plot, Words
from coordinator.output.html.distribution import _curve, response_times
from coordinator.output.html.machines import machine_blocks
from coordinator.output.html.over_time import over_time
from coordinator.output.html.targets import target_sections
from coordinator.output.html.timeline import Timeline, timeline_of
from coordinator.output.html.times import Windows
from coordinator.output.judged import Judged, read_judged
from coordinator.output.measured import parts_of
from loadgen.measure.cells import Cell, CellTable
from loadgen.measure.hdr_log import hgrm
from loadgen.measure.histogram import Histogram, bucket_of
from loadgen.measure.snapshot import Health, Snapshot
from loadgen.measure.tally import TALLY_DTYPE
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.result import RunResult, Verdict
from loadgen.verdict.time_shares import TimeShares
from tests.support import https, results
from tests.support.long_runs import BAD, long_header, long_result, snapshots
from tests.support.recorded import write_record
from tests.support.timelines import scene, timeline

NO_WINDOWS = Windows(lengths_ns={}, are_in_cells=False)


def plots(blocks: Any) -> dict[str, Plot]:
    return {block.title: block for block in blocks if isinstance(block, Plot)}


def levels(plot: Plot) -> list[int]:
    return list(base64.b64decode(plot.data["levels"]))


def line_of(vms: int, length_s: int) -> Timeline:
    found = timeline_of(list(snapshots(vms, length_s, 1)), vms, NO_WINDOWS)
    assert found is not None
    return found


def judged(directory: Path) -> Judged[Any, Any]:
    return read_judged(directory, judges())


def listing(run: Judged[Any, Any]) -> str:
    """The percentiles of a run as `loadgen` writes them for other tools."""
    file = run.path / "times.hgrm"
    assert write_files([file], run) == []
    return file.read_text(encoding="ascii")


def said(directory: Path) -> str:
    """The sentences on the worst target of a record."""
    run = judged(directory)
    [part] = parts_of(run)
    sections = target_sections(part, run.result)
    worst: list[Block] = [block for one in sections if one.title.startswith("The worst") for block in one.blocks]
    return " ".join(block.text for block in worst if isinstance(block, Words))


def test_the_last_column_of_a_long_run_has_its_own_length() -> None:
    line = line_of(3, 241)
    assert (line.span_s, line.length_s, line.times_s[-1], line.lengths_s[-1]) == (2, 241, 240.5, 1)
    found = plots(over_time(scene(line)))
    rates = found["Operations per second, by VM"].data["series"][0]["y"]
    assert rates[-1] >= 18  # of 18 to 29 in each second
    heat = plots(response_times(scene(line)))["Response times over time"]
    assert (heat.data["to"], heat.data["columns"], heat.data["span"]) == (241, 121, 2)
    assert "the last one 1 s" in heat.note


def test_a_vm_that_hangs_is_seen_in_a_row_of_several() -> None:
    ok = np.full((300, 6), 20)
    ok[7, 2:5] = 0
    found = plots(over_time(scene(timeline(ok.tolist()))))
    plot = found["99th percentile of the response time: VM by time"]
    rows = np.array(levels(plot)).reshape(plot.data["rows"], 6)
    assert (rows == 254).tolist()[3] == [False, False, True, True, True, False]
    assert (rows == 254).sum() == 3
    assert "Grey where no request of one of them ended in a measured window" in plot.note
    [row] = [row for row in plot.table.rows if row[0] == "vm8"]
    assert row[1:] == ("5", "5", "silent", "silent", "silent", "5")
    assert "Silent: no request of the VM ended in a second or more of it." in plot.table.note


def test_before_the_measured_window_nobody_is_called_silent() -> None:
    ok = np.full((300, 3), 20)
    ok[7, 0] = 0
    line = timeline(ok.tolist(), measured=np.array([False, True, True]))
    plot = plots(over_time(scene(line)))["99th percentile of the response time: VM by time"]
    assert 254 not in levels(plot)
    assert "Grey" not in plot.note


def test_percentiles_of_a_thousand_million_requests_have_a_place_on_the_axis() -> None:
    buckets = bucket_of(np.array([NS_PER_MS, 2 * NS_PER_MS, 3 * NS_PER_MS])).astype(np.int32)
    times = Histogram(buckets, np.array([10**9, 9, 1]), max_ns=3 * NS_PER_MS, min_ns=NS_PER_MS)
    places, ms = _curve(times)
    assert places == sorted(places, key=lambda one: one or 0)
    assert places[-2:] == [pytest.approx(9, abs=0.01), pytest.approx(9.3, abs=0.01)]
    assert ms[-1] == 3


def health() -> Health:
    return https.health(https.PLAN)


def cell(ok: int = 0, *, cut: int = 0) -> Cell:
    found = Cell.empty(1, 1)
    outcomes = found.outcomes.copy()
    outcomes[Outcome.OK], outcomes[Outcome.CUT] = ok, cut
    times = Histogram.of(np.full(ok, 5 * NS_PER_MS))
    return dataclasses.replace(found, outcomes=outcomes, response=times, service=times)


def second(interval: int, cells: dict[tuple[int, int], Cell], cut: int = 0) -> Snapshot:
    rows = np.zeros(1, TALLY_DTYPE)
    rows["cut"] = cut
    return Snapshot("local/0", interval, CellTable.of(cells), rows, health())


def test_a_second_is_measured_when_most_of_its_operations_are() -> None:
    given = [
        second(0, {(-1, 0): cell(20), (0, 0): cell(1)}),
        second(1, {(0, 0): cell(20)}),
        second(3, {(0, 0): cell(20)}),
        second(4, {(-1, 0): cell(20), (0, 0): cell(1)}),
    ]
    found = timeline_of(given, 1, NO_WINDOWS)
    assert found is not None
    assert found.measured.tolist() == [False, True, True, True, False]  # nothing ended in the third one


def test_two_windows_are_not_joined_by_the_silence_between_them() -> None:
    given = [second(0, {(0, 0): cell(20)}), second(2, {(1, 0): cell(20)})]
    found = timeline_of(given, 1, NO_WINDOWS)
    assert found is not None
    assert found.measured.tolist() == [True, False, True]


def hanging() -> RunResult:
    """A run of 20 s in which three requests were under way during all of the window."""
    found = results.run_result(1, shorts=(0,))
    iteration = dataclasses.replace(found.iterations[0], cut=3)
    return dataclasses.replace(found, iterations=(iteration,))


def test_requests_that_hang_through_the_window_are_in_the_distribution(tmp_path: Path) -> None:
    given = [second(0, {(0, 0): cell(20)}), second(1, {(0, 0): cell(20)}, cut=3)]
    write_record(tmp_path / "run", results.header(1), hanging(), given)
    run = judged(tmp_path / "run")
    [part] = parts_of(run)
    line = timeline_of(part.record.measured, 1, Windows.of(run.result))
    assert line is not None
    assert line.response.total == 43
    assert hgrm(line.response.lowest()) == listing(run)
    plot = plots(response_times(scene(line)))["Times by percentile"]
    cells = {row[0]: row[1] for row in plot.table.rows}
    assert float(cells["50 %"]) == pytest.approx(5, rel=1e-3)
    assert cells["maximum"] == "≥ 20,000"
    assert "the 99 % percentile is at least 20,000 ms" in plot.says
    assert "≥ says that the true time may be longer" in plot.note


@pytest.mark.parametrize("rate_per_s", [0.0, 40.0])
def test_the_distribution_of_http_runs_is_that_of_the_other_formats(tmp_path: Path, rate_per_s: float) -> None:
    plan = dataclasses.replace(https.PLAN, rate_per_s=rate_per_s)
    trouble = {3: Outcome.TIMED_OUT, 5: Outcome.CUT}
    given = https.snapshots(plan, outcomes=trouble)
    waits = [(0.1, 3.0, Outcome.CUT), *((1 + at / 10, 1.05 + at / 10, Outcome.OK) for at in range(15))]
    for name, some in (("a", given), ("b", https.ended(plan, waits, start_s=1.0))):
        write_record(tmp_path / name, https.header(plan), https.result(plan, given=some), some)
        run = judged(tmp_path / name)
        [part] = parts_of(run)
        line = timeline_of(part.record.measured, 2, Windows.of(run.result))
        assert line is not None
        assert hgrm(line.response.lowest()) == listing(run)
        assert line.response.failed.total + line.response.cut.total


def test_requests_that_hang_through_the_window_of_an_http_run_are_in_the_distribution(tmp_path: Path) -> None:
    waiting = dataclasses.replace(cell(cut=3), response_cut=Histogram.of(np.full(3, 3 * NS_PER_S)))
    given = [second(0, {(0, 0): cell(20)}), second(1, {(-1, 0): waiting, (0, 0): cell(20)})]
    write_record(tmp_path / "run", https.header(), https.result(), given)
    run = judged(tmp_path / "run")
    line = timeline_of(given, 1, Windows.of(run.result))
    assert line is not None
    assert hgrm(line.response.lowest()) == listing(run)
    assert line.response.cut.total == 3


def test_a_plot_of_percentiles_over_time_says_where_requests_that_hang_are() -> None:
    found = plots(over_time(scene(timeline([[20, 20], [20, 20]]))))
    for title in ("99th percentile of the response time, by VM", "99th percentile of the response time: VM by time"):
        assert "one that hangs is seen only when it fails or is cut" in found[title].note


def write_fine(directory: Path, *rows: tuple[int, dict[str, Any]], vms: int = 4, **changes: Any) -> None:
    """A run without a failure in its result; some rows have other fields."""
    found = results.run_result(vms, shorts=(0,))
    targets = list(found.targets)
    for at, fields in rows:
        targets[at] = dataclasses.replace(targets[at], **fields)
    found = dataclasses.replace(found, targets=tuple(targets), **changes)
    given = [second(at, {(0, vm): cell(20) for vm in range(vms)}) for at in range(3)]
    write_record(directory, results.header(vms), found, given)


def test_no_vm_failed_is_said_of_all_vms_and_all_windows(tmp_path: Path) -> None:
    write_fine(tmp_path / "fine")
    assert said(tmp_path / "fine").startswith("No VM failed in a measured window; the slowest is vm4: ")
    errors = {"errors": {"TIMED_OUT": 2}}
    write_fine(tmp_path / "other", (1, errors))
    assert said(tmp_path / "other").startswith("vm2 is the worst VM: 20 of 20 connections conform; 2 failed operations")
    before = dataclasses.replace(results.TIME, failed=0.05)  # of operations that were due before the window
    write_fine(tmp_path / "both", (0, {"time": before}), (1, errors))
    assert said(tmp_path / "both").startswith("vm1 is the worst VM: ")
    write_record(tmp_path / "earlier", long_header(12), results.run_result(12), snapshots(12, 30, 2))
    text = said(tmp_path / "earlier")  # in the median iteration, all is well
    assert text.startswith(f"vm{BAD + 1} is the worst VM: 20 of 20 connections conform; 0 failed operations")
    assert "(in the median iteration). In all measured windows, 100 of its operations failed." in text


def test_what_is_cut_at_the_end_makes_no_vm_the_worst_unless_it_is_dead(tmp_path: Path) -> None:
    long = TimeShares(service=0.6, pacing=0, lateness=0, rest=0, failed=0, unfinished=0.4, absent=0, idle=0)
    slow = {"response_ms": results.spans(p50=10.0, p90=20.0, p99=5000.0, max=6000.0)}
    write_fine(tmp_path / "fine", (0, {"time": long}), (1, slow))
    assert said(tmp_path / "fine").startswith("No VM failed in a measured window; the slowest is vm2: ")
    dead = TimeShares(service=0, pacing=0, lateness=0, rest=0, failed=0, unfinished=1.0, absent=0, idle=0)
    nothing = {"kbit_per_s": 0.0, "connection_kbit_per_s": (0.0, 0.0, 0.0)}
    write_fine(tmp_path / "dead", (0, {"time": dead, **nothing}), (1, slow))
    text = said(tmp_path / "dead")
    assert text.startswith("vm1 is the worst VM: ")
    assert "It is dead" in text


def test_a_verdict_of_invalid_makes_the_worst_vm_evidence_only(tmp_path: Path) -> None:
    write_fine(tmp_path / "run", verdict=Verdict.INVALID)
    assert said(tmp_path / "run").startswith("The checks of the run failed, so this says nothing about the servers.")


def test_failures_that_are_spread_are_not_said_to_be_at_one_time(tmp_path: Path) -> None:
    found = results.run_result(2, shorts=(0,))
    errors = dataclasses.replace(found.targets[1], errors={"TIMED_OUT": 40})
    found = dataclasses.replace(found, targets=(found.targets[0], errors))
    failed = cell(20).outcomes.copy()
    failed[Outcome.TIMED_OUT] = 2
    bad = dataclasses.replace(cell(20), outcomes=failed)
    given = [second(at, {(0, 0): cell(20), (0, 1): bad if at % 3 == 0 else cell(20)}) for at in range(30)]
    write_record(tmp_path / "run", results.header(2), found, given)
    text = said(tmp_path / "run")
    assert "its failures are spread over the run; the most at once were at 0 to 1 s of the run, 2 of 20." in text


def test_without_any_result_row_the_timeline_says_who_was_worst(tmp_path: Path) -> None:
    found = dataclasses.replace(results.nothing_measured(), requested_connections=60)
    broken = cell().outcomes.copy()
    broken[Outcome.TIMED_OUT] = 3
    given = [
        second(at, {(-1, vm): dataclasses.replace(cell(5), outcomes=broken) if vm == 1 else cell(20) for vm in (0, 1)})
        for at in range(3)
    ]
    write_record(tmp_path / "run", results.header(3), found, given)
    [part] = parts_of(judged(tmp_path / "run"))
    sections = target_sections(part, found)
    plot = plots(block for one in sections for block in one.blocks)["Failed requests: VM by time"]
    assert plot.says.endswith("the worst of the run is vm2.")
    assert plot.table.rows[0][0] == "vm2"


def test_the_engines_are_in_the_order_of_their_highest_seconds(tmp_path: Path) -> None:
    def cpu_ns(one: Snapshot) -> int:
        busy = 0.6 if one.worker == "local/1" else 1.0 if one.interval == 4 else 0.2
        return int(busy * NS_PER_S)

    found = long_result(3, 9)
    given = [
        dataclasses.replace(one, health=dataclasses.replace(one.health, cpu_ns=cpu_ns(one)))
        for one in snapshots(3, 9, 2)
    ]
    write_record(tmp_path / "run", long_header(3), found, given)
    [part] = parts_of(judged(tmp_path / "run"))
    plot = plots(machine_blocks(part, found))["How busy each engine was"]
    assert plot.says == "Highest: local/0, up to 100.2 % of one core."
    assert [(row[0], row[3]) for row in plot.table.rows] == [("local/0", "4.5"), ("local/1", "0.5")]
