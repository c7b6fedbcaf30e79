"""Records that earlier versions wrote (tests/data/records) can still be shown, in every format."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

import coordinator.record
from coordinator.cli import app
from coordinator.kinds.catalog import judges
from coordinator.output.judged import read_judged
from coordinator.record.document import finished, header_of, result_of, unfinished
from coordinator.record.header import UNFINISHED
from coordinator.record.reader import load
from loadgen.measure.histogram import TOP_NS
from loadgen.model.errors import LoadgenError

ARCHIVE = Path(__file__).parents[1] / "data" / "records" / "v1.tar.xz"
ON_TARGETS = ("spec", "spec-cut", "sweep", "http", "http-cut")
OF_TESTS = ("iperf", "iperf-cut", "iperf-rr", "forward", "forward-cut")
EVERY = (*ON_TARGETS, *OF_TESTS)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("records")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    return directory / "v1"


def spelled(document: object) -> str:
    """Return the text of a document, including its order; 1 equals 1.0."""
    return json.dumps(json.loads(json.dumps(document), parse_int=float))


def show(record: Path, form: str) -> str:
    done = CliRunner().invoke(app, ["show", str(record), "--format", form], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    assert done.return_value == 0
    return done.output


@pytest.mark.parametrize("name", EVERY)
def test_the_report(records: Path, name: str) -> None:
    text = show(records / name, "text")
    assert "Verdict: " in text
    assert ("CUT" in text) is name.endswith("-cut")
    assert "Nothing was measured" not in text


@pytest.mark.parametrize("name", EVERY)
def test_the_document_is_run_json_byte_for_byte(records: Path, name: str) -> None:
    assert show(records / name, "json") == (records / name / "run.json").read_text("utf-8")


@pytest.mark.parametrize("name", EVERY)
def test_the_document_fits_the_schema(records: Path, name: str) -> None:
    schema = json.loads((Path(coordinator.record.__file__).parent / "run.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(load(records / name).document)


@pytest.mark.parametrize("name", EVERY)
def test_writing_a_record_again_changes_no_byte(records: Path, name: str) -> None:
    document = load(records / name).document
    if document["verdict"] == UNFINISHED:
        again = unfinished(header_of(document))
    else:
        again = finished(header_of(document), result_of(document), finished_at=document["finished_at"])
    if name in OF_TESTS:  # a result that was read back has no tests in the format of iperf3
        for row in (*again["results"], *document["results"]):
            row["runs"] = []
    assert spelled(again) == spelled(_as_written_today(document))


def _as_written_today(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without the scores that INVALID runs and points had."""
    copy = {**document, "points": [_as_written_today(point) for point in document.get("points", ())]}
    if "points" not in document:
        del copy["points"]
    if document["verdict"] == "INVALID" and "conforming_connections" in document:
        copy |= {"conforming_connections": None, "fairness": None, "targets": _uncounted(document["targets"])}
        copy["iterations"] = [
            one | {"conforms": None, "checks": [], "targets": _uncounted(one["targets"])}
            for one in _uncounted(document["iterations"])
        ]
    return copy


def _uncounted(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "conforming": None, "requests_conforming": None} for row in rows]


@pytest.mark.parametrize("name", ON_TARGETS)
def test_the_response_times(records: Path, name: str, tmp_path: Path) -> None:
    (tmp_path / "log.hlog").write_text(show(records / name, "hdr"), "ascii")
    whole = HdrHistogram(1, TOP_NS, 3)
    reader = HistogramLogReader(str(tmp_path / "log.hlog"), whole)
    while (part := reader.get_next_interval_histogram()) is not None:
        whole.add(part)
    reader.close()
    result = read_judged(records / name, judges()).result
    if name == "sweep":
        expected = sum(iteration.requests_ok for point in result.points for iteration in point.result.iterations)
    elif name.startswith("http"):
        expected = result.total.ok
    else:
        expected = sum(iteration.requests_ok for iteration in result.iterations)
    assert whole.get_total_count() == expected > 0


@pytest.mark.parametrize("name", OF_TESTS)
def test_missing_response_times_are_reported_in_one_line(records: Path, name: str) -> None:
    with pytest.raises(LoadgenError, match="holds no response times") as caught:
        show(records / name, "hdr")
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ON_TARGETS)
def test_the_rows_of_targets(records: Path, name: str) -> None:
    rows = list(csv.DictReader(io.StringIO(show(records / name, "csv"))))
    judged = [row for row in rows if row["iteration"]]
    ok, received = (sum(int(row[column]) for row in judged) for column in ("ok_operations", "received_bytes"))
    result = read_judged(records / name, judges()).result
    runs = [point.result for point in result.points] if name == "sweep" else [result]
    if name.startswith("http"):
        assert ok == result.total.ok
    else:
        assert ok == sum(iteration.requests_ok for run in runs for iteration in run.iterations)
    assert {row["run"] for row in rows} == ({"vms-1", "vms-2"} if name == "sweep" else {""})
    assert all(float(row["response_p50_ms"]) <= float(row["response_max_ms"]) for row in rows if row["response_p50_ms"])
    assert received > 0


@pytest.mark.parametrize("name", OF_TESTS)
def test_the_rows_of_tests(records: Path, name: str) -> None:
    rows = list(csv.DictReader(io.StringIO(show(records / name, "csv"))))
    tests = [row for row in rows if row["row"] == "test"]
    measured = read_judged(records / name, judges())
    assert [row["test"] for row in tests] == [str(n) for n in range(1, len(tests) + 1)]
    assert len(tests) >= sum(row.repeats for row in measured.result.rows)
    for test in tests:
        own = [row for row in rows if row["row"] == "interval" and row["test"] == test["test"]]
        ticks = [row for row in own if row["omitted"] == "0"]
        if test["kind"] == "stream":
            parts = sum(int(row["sent_bytes"]) + int(row["received_bytes"]) for row in ticks)
            assert parts >= int(test["received_bytes"]) * 0.9 > 0
        else:
            assert int(test["transactions"]) > 0
            assert float(test["latency_p50_ms"]) <= float(test["latency_max_ms"])
