"""The tidy CSV has one row for each VM and second, pandas reads every CSV, and docs/exports.md has all columns."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from coordinator.kinds.catalog import judges
from coordinator.output.catalog import write
from coordinator.output.csv_tests import rows_of_tests
from coordinator.output.exports_page import PAGE, TABLES, page_text
from coordinator.output.judged import read_judged
from coordinator.output.live_metrics import METRICS
from coordinator.output.second_rows import SECOND_COLUMNS
from coordinator.output.streams import OutputError
from coordinator.output.vm_rows import write_vms
from coordinator.record.document import finished, unfinished
from coordinator.record.writer import VM_COUNTERS, RecordWriter
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.vm_second import COLUMNS
from loadgen.model.probe import Direction, Kind
from tests.support import https, results
from tests.support.isolations import isolated
from tests.support.judged import END
from tests.support.networks import IPERF, latency, rr_result
from tests.support.recorded import RECORDS, write_record
from tests.support.snapshots import cell, snapshot
from tests.support.vm_counters import vm_second

KEY = ["run", "vm", "second"]


def frame_of(directory: Path, form: str = "seconds") -> Any:
    stream = io.StringIO()
    write(read_judged(directory, judges()), form, stream)
    return pandas.read_csv(io.StringIO(stream.getvalue()))


def test_the_page_is_generated() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_text(), "do not edit docs/exports.md by hand; run: make schema"


def test_every_column_and_metric_has_a_meaning_of_a_sentence() -> None:
    for table in TABLES:
        assert len(set(table.columns)) == len(table.columns)
        assert [name for name in table.columns if not table.meanings.get(name, "").endswith(".")] == []
    assert all(one.meaning and not one.meaning.endswith(".") for one in METRICS)


@pytest.mark.parametrize("case", [case for case in RECORDS if case.endswith(" good")])
@pytest.mark.parametrize("form", ["csv", "seconds"])
def test_pandas_reads_the_csv_of_every_kind(case: str, form: str, tmp_path: Path) -> None:
    RECORDS[case](tmp_path / "run")
    stream = io.StringIO()
    try:
        write(read_judged(tmp_path / "run", judges()), form, stream)
    except OutputError:
        assert form == "seconds"
        return
    frame = pandas.read_csv(io.StringIO(stream.getvalue()))
    assert len(frame.columns) == len(set(frame.columns))
    described = [set(table.columns) for table in TABLES]
    assert set(frame.columns) in described


def test_there_is_one_row_for_each_vm_and_second_with_numbers(tmp_path: Path) -> None:
    write_record(tmp_path / "run", https.header(), https.result(), https.snapshots())
    frame = frame_of(tmp_path / "run")
    assert list(frame.columns) == list(SECOND_COLUMNS)
    assert not frame.duplicated(KEY).any()
    assert len(frame) == 2 * len(https.PLAN.targets)
    assert frame.ok_operations.dtype == np.int64
    assert list(frame.ok_operations) == [60, 20] * 2
    assert set(frame.verdict) == {"conforming"}
    assert set(frame.response_max_ms) == {50.0}


def test_a_second_in_which_nothing_ended_has_a_row_of_zeros(tmp_path: Path) -> None:
    first, second = https.snapshots()
    silent = {(window, target): one for (window, target), one in second.cells.items() if target == 0}
    later = Snapshot(second.worker, 3, silent, second.tallies, second.health)
    with RecordWriter(tmp_path / "run", unfinished(https.header())) as writer:
        writer.append([first, later])
    frame = frame_of(tmp_path / "run")
    assert list(frame.second) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert list(frame.ok_operations) == [60, 20, 0, 0, 0, 0, 60, 0]
    assert frame.response_p99_ms.isna().tolist() == [False, False, True, True, True, True, False, True]


def test_a_second_with_two_windows_is_one_row_of_the_window_with_most_operations(tmp_path: Path) -> None:
    first, second = https.snapshots()
    cells = {(window, target): one for (window, target), one in first.cells.items() if target == 0}
    cells |= {(-1, target): one for (_, target), one in first.cells.items() if target == 1}  # 20 before the window
    with RecordWriter(tmp_path / "run", unfinished(https.header())) as writer:
        writer.append([Snapshot(first.worker, first.interval, cells, first.tallies, first.health), second])
    frame = frame_of(tmp_path / "run")
    assert list(frame.iteration) == [0] * 4
    assert list(frame.ok_operations) == [60, 20] * 2


def test_counters_stand_beside_the_second_in_which_they_were_read(tmp_path: Path) -> None:
    read = dict.fromkeys(COLUMNS, 0) | {"cpu_ns": 250_000_000}
    counted = [vm_second(0, read, read), vm_second(1, read, read, seconds=2)]
    served = [snapshot("engine 0", at, {(0, 0): cell(ok=4)}) for at in range(4)]
    header, result = results.header(2), results.run_result(2)
    with RecordWriter(tmp_path / "run", unfinished(header)) as writer:
        writer.append(served)
        for one in counted:
            writer.observe(one, VM_COUNTERS)
        writer.finish(finished(header, result, finished_at=END))
    frame = frame_of(tmp_path / "run")
    own = frame[frame.vm == frame.vm[0]]
    assert own.counted_s.tolist() == pytest.approx([1.0, np.nan, 2.0, np.nan], nan_ok=True)
    assert own.cpu_ms.tolist() == pytest.approx([250.0, np.nan, 250.0, np.nan], nan_ok=True)
    stream = io.StringIO()
    write_vms(read_judged(tmp_path / "run", judges()), stream)
    assert pandas.read_csv(io.StringIO(stream.getvalue())).cpu_ms.tolist() == [250.0] * 4


def test_the_web_load_of_an_isolation_has_its_rows(tmp_path: Path) -> None:
    RECORDS["isolate good"](tmp_path / "run")
    with pytest.raises(OutputError, match="no operations by VM and second"):
        frame_of(tmp_path / "run")
    for hog in [phase.hog.value for phase in isolated().phases][:2]:
        write_record(tmp_path / "run" / f"web-{hog}", https.header(), https.result(), https.snapshots())
    frame = frame_of(tmp_path / "run")
    assert frame.run.nunique() == 2
    assert not frame.duplicated(KEY).any()


def test_the_experiments_of_the_paper_have_their_rows(tmp_path: Path) -> None:
    RECORDS["paper good"](tmp_path / "run")
    judged = read_judged(tmp_path / "run", judges())
    step = next(step for step in judged.result.steps if step.record)
    RECORDS["http-repeats good"](tmp_path / "run" / step.record)
    frame = frame_of(tmp_path / "run")
    assert set(frame.kind) == {"http"}
    assert all(name.startswith(f"{step.record}/") for name in frame.run)


def test_times_of_transactions_say_which_are_lower_bounds() -> None:
    test = dataclasses.replace(IPERF, kind=Kind.RR).test(0, Direction.SEND)
    for bounds, words in (((), ""), (("p99_ns", "max_ns"), "p99 max")):
        (row,) = rows_of_tests([rr_result(test, dataclasses.replace(latency(), lower_bounds=bounds))])
        assert row["latency_at_least"] == words
