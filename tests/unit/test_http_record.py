from __future__ import annotations

import json
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
from coordinator.output.hdr import check_files, write_files
from coordinator.output.judged import read_judged
from coordinator.record.document import finished, header_of, result_of, unfinished
from coordinator.record.header import RecordError
from coordinator.record.writer import INTERVALS, RecordWriter
from loadgen.measure.histogram import TOP_NS
from loadgen.model.errors import PlanError
from loadgen.model.outcome import Outcome
from loadgen.verdict.http_result import Handshakes
from loadgen.verdict.result import Verdict
from tests.support.https import OPEN, header, result, snapshots

END = "2026-02-03T04:06:30+00:00"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((Path(coordinator.record.__file__).parent / "run.schema.json").read_text("utf-8"))
    return jsonschema.Draft202012Validator(schema)


def document() -> dict[str, Any]:
    failed = {5: Outcome.TIMED_OUT, 6: Outcome.SHED}
    found = result(OPEN, given=snapshots(OPEN, service_ms=5, outcomes=failed))
    read: dict[str, Any] = json.loads(json.dumps(finished(header(OPEN), found, finished_at=END)))
    return read


def test_documents_fit_the_schema(validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(document())
    validator.validate(unfinished(header()))
    validator.validate(finished(header(), result(given=[]), finished_at=END))


@pytest.mark.parametrize("missing", ["total", "slos", "plan", "sent"])
def test_the_schema_detects_missing_fields(validator: jsonschema.Draft202012Validator, missing: str) -> None:
    broken = document()
    del broken[missing]
    assert not validator.is_valid(broken)


def test_a_document_reads_back_to_its_result_and_plan() -> None:
    given = snapshots(OPEN, service_ms=5, outcomes={5: Outcome.TIMED_OUT, 6: Outcome.SHED})
    assert result_of(document()) == result(OPEN, given=given)
    assert header_of(document()).plan == OPEN


def test_the_share_of_resumed_handshakes_is_a_field(validator: jsonschema.Draft202012Validator) -> None:
    assert "tls_handshakes" not in document()
    assert result(handshakes=(0, 0)).handshakes is None
    found = result(handshakes=(3, 9))
    assert found.handshakes == Handshakes(full=3, resumed=9)
    written = json.loads(json.dumps(finished(header(), found, finished_at=END)))
    assert written["tls_handshakes"] == {"full": 3, "resumed": 9, "resumed_share": 0.75}
    validator.validate(written)
    assert result_of(written) == found


def record(directory: Path, *, finish: bool) -> Path:
    with RecordWriter(directory, unfinished(header())) as writer:
        writer.append(snapshots())
        if finish:
            writer.rewrite(finished(header(), result(), finished_at=END))
    return directory


def test_a_finished_record_is_shown(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["show", str(record(tmp_path / "r", finish=True))])
    assert done.exit_code == 0
    assert "Verdict: VALID (exit code 0)" in done.output
    assert "80.0 requests/s" in done.output


def test_a_cut_record_is_judged_by_its_snapshots(tmp_path: Path) -> None:
    directory = record(tmp_path / "r", finish=False)
    with (directory / INTERVALS).open("ab") as file:
        file.write(b"\x87torn")
    read = read_judged(directory, judges())
    found, cut = read.result, read.cut
    assert found.verdict is Verdict.INTERRUPTED
    assert found.total.ok == 160
    assert "5 bytes are an incomplete interval" in cut


def test_snapshots_of_another_run_are_refused(tmp_path: Path) -> None:
    directory = tmp_path / "r"
    with RecordWriter(directory, unfinished(header())) as writer:
        tallies = snapshots()[0].tallies.copy()
        tallies["connection"] += 100
        writer.append([type(one)(one.worker, one.interval, one.cells, tallies, one.health) for one in snapshots()[:1]])
    with pytest.raises(RecordError, match="more connections than"):
        read_judged(directory, judges())


def test_response_times_are_written_for_other_tools(tmp_path: Path) -> None:
    directory = record(tmp_path / "r", finish=True)
    files = [tmp_path / "a.hgrm", tmp_path / "a.hlog"]
    assert write_files(files, read_judged(directory, judges())) == []
    assert "Total count    =          160" in files[0].read_text()
    whole, intervals = HdrHistogram(1, TOP_NS, 3), 0
    reader = HistogramLogReader(str(files[1]), whole)
    while (part := reader.get_next_interval_histogram()) is not None:
        whole.add(part)
        intervals += 1
    reader.close()
    assert (intervals, whole.get_total_count()) == (2, 160)
    assert whole.get_value_at_percentile(50) == pytest.approx(50e6, rel=1e-3)
    assert write_files([tmp_path / "no" / "a.hgrm"], read_judged(directory, judges()))


def test_a_run_without_replies_writes_files_without_times(tmp_path: Path) -> None:
    RecordWriter(tmp_path / "r", unfinished(header())).close()
    assert write_files([tmp_path / "a.hgrm"], read_judged(tmp_path / "r", judges())) == []
    assert "Total count    =            0" in (tmp_path / "a.hgrm").read_text()


def test_other_file_name_endings_are_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="neither"):
        check_files([tmp_path / "a.txt"])
    with pytest.raises(PlanError, match="no directory"):
        check_files([tmp_path / "no" / "a.hlog"])
    check_files([tmp_path / "a.hlog"])


def print_plan(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["http", *arguments, "--print-plan"], standalone_mode=False)
    return (done.return_value, done.output) if done.exception is None else (-1, str(done.exception))


def test_the_command_line_makes_a_plan() -> None:
    code, text = print_plan(
        *("http://a/", "https://b/x", "-c", "8", "-d", "3s", "--rate", "2k/s", "--poisson", "--slo", "p99<5ms"),
        *("--source", "127.0.0.1,127.0.0.2", "--engines", "2", "-H", "X: y", "--insecure", "--timeout", "1s"),
    )
    assert code == 0
    for line in ("rate_per_s = 2000.0", "poisson = true", "engines = 2", "tls_verify = false", "connections = 8"):
        assert line in text


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "no URL"),
        (["a b"], "not a URL"),
        (["http://a/", "--slo", "p99"], "not an objective"),
        (["http://a/", "--rate", "x"], "not a rate"),
        (["http://a/", "--requests", "f.toml"], "cannot be combined with URLs"),
        (["--requests", "no.toml"], "no.toml cannot be read"),
        (["http://a/", "--poisson"], "needs a rate"),
        (["http://a/", "-c", "0"], "connections must be at least 1"),
        (["http://a/", "--hdr", "x.txt"], "neither"),
        (["http://a/", "--hdr", "a.hgrm", "--check-headroom"], "--check-headroom plays several"),
        (
            ["http://a/", "--hdr", "a.hlog", "--find", "rate", "--rate", "9/s", "--slo", "p99<1s"],
            "--find plays several",
        ),
    ],
)
def test_mistakes_are_refused_in_one_line(arguments: list[str], word: str) -> None:
    code, message = print_plan(*arguments)
    assert code == -1
    assert word in message
    assert "\n" not in message


def test_results_on_machines_can_be_collected(tmp_path: Path) -> None:
    directory = record(tmp_path / "r", finish=False)
    done = CliRunner().invoke(app, ["collect", str(directory), str(tmp_path / "a.spool")], standalone_mode=False)
    assert done.return_value == 1
    assert "a: the spool" in done.output
    alone = CliRunner().invoke(app, ["collect", str(directory)], standalone_mode=False)
    assert "nothing to collect" in str(alone.exception)
