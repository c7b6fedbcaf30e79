"""The contract of output formats: each writes every kind of run, whatever its end, and shows no score of none."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from coordinator.kinds.catalog import judges
from coordinator.output.catalog import FORMATS, write
from coordinator.output.judged import Judged, read_judged
from coordinator.output.streams import OutputError
from coordinator.record.catalog import KINDS
from coordinator.record.document import unfinished
from coordinator.record.header import RecordError
from coordinator.record.writer import RecordWriter
from loadgen.model.entry import Entry
from loadgen.verdict.result import Verdict
from tests.support import results
from tests.support.recorded import NEVER_INVALID, RECORDS

TOY = "tests.support.toy_format:write_line"
NAMES = (*FORMATS, "line")
SCORE = re.compile(r"\b\d+ *(?:/|of) *320\b|\bNone\b")
"""A number of conforming connections of the 320 of these runs, or the place where it would stand."""


@pytest.fixture(autouse=True)
def with_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "line", Entry(TOY, "the verdict in one line"))


def recorded(case: str, directory: Path) -> Judged[Any, Any]:
    RECORDS[case](directory / "run")
    return read_judged(directory / "run", judges())


def written(judged: Judged[Any, Any], name: str) -> str:
    """The output of a format; "" when it has nothing to say of the run, and says so in one line."""
    stream = io.StringIO()
    refused = None
    try:
        write(judged, name, stream)
    except (OutputError, RecordError) as error:
        refused = error
    if refused is not None:
        assert "\n" not in refused.message
        assert refused.hint
        assert stream.getvalue() == ""
        return ""
    assert stream.getvalue().endswith("\n")
    return stream.getvalue()


def test_there_are_records_of_every_kind_and_end() -> None:
    ends = ("good", "cut", "INVALID", "interrupted")
    never = {f"{kind} INVALID" for kind in NEVER_INVALID}
    assert set(RECORDS) == {f"{kind} {end}" for kind in KINDS for end in ends} - never


@pytest.mark.parametrize("case", RECORDS)
def test_the_records_are_what_they_are_called(case: str, tmp_path: Path) -> None:
    judged = recorded(case, tmp_path)
    kind, end = case.split()
    verdict = judged.result.verdict
    assert judged.header.kind == kind
    assert bool(judged.cut) is (end == "cut")
    assert (verdict is Verdict.INVALID) is (end == "INVALID")
    assert end != "interrupted" or verdict is Verdict.INTERRUPTED


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", RECORDS)
def test_a_format_writes_the_run_or_says_why_not(case: str, name: str, tmp_path: Path) -> None:
    assert written(recorded(case, tmp_path), name) or name not in ("text", "json", "line")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - NEVER_INVALID))
def test_a_format_that_shows_verdicts_calls_an_invalid_run_so_and_shows_no_score(
    kind: str, name: str, tmp_path: Path
) -> None:
    good = written(recorded(f"{kind} good", tmp_path / "good"), name)
    text = written(recorded(f"{kind} INVALID", tmp_path / "bad"), name)
    if re.search("conforming|valid", good, re.IGNORECASE):
        assert "INVALID" in text
    assert not SCORE.search(text)


def test_the_document_of_an_invalid_run_has_no_score(tmp_path: Path) -> None:
    document = json.loads(written(recorded("spec INVALID", tmp_path), "json"))
    assert document["conforming_connections"] is None


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_that_was_cut_before_its_first_point_is_no_bug_of_the_format(name: str, tmp_path: Path) -> None:
    RecordWriter(tmp_path / "run", unfinished(results.sweep_header(), results.sweep(0))).close()
    text = written(read_judged(tmp_path / "run", judges()), name)
    assert name == "json" or "conforming" not in text.lower()


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_says_that_the_run_was_cut(kind: str, tmp_path: Path) -> None:
    assert "cut" in written(recorded(f"{kind} cut", tmp_path), "text").lower()
