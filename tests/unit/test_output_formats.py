from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import get_type_hints

import click
import pytest

from coordinator.cli.show import show
from coordinator.kinds.catalog import judges
from coordinator.output.catalog import FORMATS, print_result, write
from coordinator.output.judged import read_judged
from coordinator.output.text import REPORTS
from coordinator.record.catalog import KINDS
from coordinator.record.document import unfinished
from coordinator.record.header import RecordError
from coordinator.record.writer import RUN, RecordWriter
from loadgen.measure.snapshot import Snapshot
from loadgen.model.entry import Entry
from tests.support import https, results
from tests.support.judged import judged
from tests.support.networks import IPERF, iperf_header

ROOT = Path(__file__).parents[2]
CONFORMING = judged(results.header(), results.run_result())


@pytest.mark.parametrize("name", FORMATS)
def test_every_entry_of_the_catalog_names_a_format(name: str) -> None:
    found = FORMATS[name].load()
    assert get_type_hints(found)["return"] is type(None)
    assert found.__doc__


def test_every_kind_has_a_report_and_a_judge() -> None:
    assert set(REPORTS) == set(KINDS)
    assert set(judges()) == {kind for kind, of in KINDS.items() if of.runs is None}  # others are judged run by run


def test_a_format_needs_one_file_and_one_entry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FORMATS, "line", Entry("tests.support.toy_format:write_line", "the verdict in one line"))
    print_result(CONFORMING, "line")
    assert capsys.readouterr().out == "spec: conforming: all three iterations conform: 320 of 320 connections\n"
    assert len((ROOT / "tests/support/toy_format.py").read_text().splitlines()) <= 40


def test_show_offers_every_format() -> None:
    (form,) = [option for option in show.params if option.name == "form"]
    assert isinstance(form.type, click.Choice)
    assert list(form.type.choices) == list(FORMATS)


def test_the_csv_of_a_run_sums_the_reports_of_its_engines(tmp_path: Path) -> None:
    header, snapshots = https.header(), https.snapshots()
    with RecordWriter(tmp_path / "run", unfinished(header)) as writer:
        writer.append(snapshots)
        writer.append(snapshots[:1])  # a repeated report counts once
    stream = io.StringIO()
    write(read_judged(tmp_path / "run", judges()), "csv", stream)
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert [(row["interval_start_s"], row["target"]) for row in rows] == [
        (second, target.name) for second in "01" for target in https.PLAN.targets
    ]
    assert [int(row["ok_operations"]) for row in rows] == [60, 20] * 2
    assert {row["response_max_ms"] for row in rows} == {"50.000000"}


def test_a_sweep_without_a_point_is_a_one_line_error(tmp_path: Path) -> None:
    RecordWriter(tmp_path / "run", unfinished(results.sweep_header(), results.sweep(0))).close()
    found, document = read_judged(tmp_path / "run", judges()), io.StringIO()
    with pytest.raises(RecordError, match="was cut, and has no point that is done"):
        write(found, "text", io.StringIO())
    write(found, "json", document)  # needs no result
    assert json.loads(document.getvalue())["points"] == []


def test_a_cut_sweep_shows_its_points(tmp_path: Path) -> None:
    RecordWriter(tmp_path / "run", unfinished(results.sweep_header(), results.sweep(2))).close()
    found = read_judged(tmp_path / "run", judges())
    assert found.result == results.sweep(2)
    assert found.cut == "the runs were cut off before their result was written"


def test_a_run_without_load_machines_has_no_fleet() -> None:
    with pytest.raises(ValueError, match="a run of kind iperf has no fleet"):
        _ = iperf_header(IPERF).own_fleet


def test_time_outside_windows_is_in_the_rows_but_not_in_the_response_times(tmp_path: Path) -> None:
    first, second = https.snapshots()
    warm = {(-1, target): cell for (_, target), cell in first.cells.items()}
    with RecordWriter(tmp_path / "run", unfinished(https.header())) as writer:
        writer.append([Snapshot(first.worker, first.interval, warm, first.tallies, first.health), second])
    log, table = io.StringIO(), io.StringIO()
    found = read_judged(tmp_path / "run", judges())
    write(found, "hdr", log)
    write(found, "csv", table)
    assert [line.split(",")[0] for line in log.getvalue().splitlines()[3:]] == ["1.000"]
    rows = csv.DictReader(io.StringIO(table.getvalue()))
    assert [(row["interval_start_s"], row["iteration"]) for row in rows] == [("0", "")] * 2 + [("1", "0")] * 2


def test_points_of_a_sweep_differ_in_name_and_time(tmp_path: Path) -> None:
    begun = results.sweep_header()
    later = dataclasses.replace(https.header(), started_at="2026-02-03T04:06:36+00:00")  # 90 s after the sweep
    RecordWriter(tmp_path / "run", unfinished(begun, results.sweep(1))).close()
    with RecordWriter(tmp_path / "run" / "vms-1", unfinished(later)) as writer:
        writer.append(https.snapshots())
    log, table = io.StringIO(), io.StringIO()
    found = read_judged(tmp_path / "run", judges())
    write(found, "hdr", log)
    write(found, "csv", table)
    assert [line.split(",")[:2] for line in log.getvalue().splitlines()[3:]] == [
        ["Tag=vms-1", "90.000"],
        ["Tag=vms-1", "91.000"],
    ]
    rows = list(csv.DictReader(io.StringIO(table.getvalue())))
    assert {(row["run"], row["interval_start_s"]) for row in rows} == {("vms-1", "90"), ("vms-1", "91")}


def test_json_equals_the_record(tmp_path: Path) -> None:
    header = dataclasses.replace(results.header(), environment=dataclasses.replace(results.environment(), host="küche"))
    RecordWriter(tmp_path / "run", unfinished(header)).close()
    stream = io.StringIO()
    write(read_judged(tmp_path / "run", {"spec": lambda *_: results.nothing_measured()}), "json", stream)
    assert stream.getvalue() == (tmp_path / "run" / RUN).read_text("utf-8")
    assert '"host": "küche"' in stream.getvalue()
