"""Reports as HTML: every kind and end of run has one, and it says what the text report says, and no more."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coordinator.cli import app
from coordinator.experiment import session
from coordinator.kinds.catalog import judges
from coordinator.output.html.catalog import PLOTS
from coordinator.output.html.report import report_text
from coordinator.output.judged import Judged, read_judged
from coordinator.record.catalog import KINDS
from loadgen.model.errors import PlanError
from loadgen.verdict.result import Verdict
from tests.support.long_runs import write_long
from tests.support.pages import Page, read_page
from tests.support.recorded import RECORDS
from tests.unit.test_old_records import ARCHIVE, EVERY

HOSTILE = "</script><script>window.broken=1</script><img src=x onerror='window.broken=1'>\"'`{{7*7}}"


def judged(directory: Path) -> Judged[Any, Any]:
    return read_judged(directory, judges())


def page_of(directory: Path) -> Page:
    return read_page(report_text([judged(directory)]))


@pytest.mark.parametrize("name", RECORDS)
def test_each_kind_and_end_has_a_report(name: str, tmp_path: Path) -> None:
    RECORDS[name](tmp_path / "run")
    run = judged(tmp_path / "run")
    page = read_page(report_text([run]))
    assert page.of("h1")
    if not (name == "spec-sweep cut" and not run.result.points):
        assert all(reason.split()[0] in page.text for reason in run.result.reasons)
    marks = [one.get("data-word") for one in page.of("div") if one.get("class") == "watermark"]
    if run.result.verdict is Verdict.INVALID:
        assert marks == ["INVALID"]
    elif run.cut:
        assert marks == ["CUT"]
    else:
        assert marks == (["INTERRUPTED"] if run.result.verdict is Verdict.INTERRUPTED else [])


@pytest.mark.parametrize("name", RECORDS)
def test_a_page_asks_nothing_of_the_network_and_each_plot_has_a_table(name: str, tmp_path: Path) -> None:
    RECORDS[name](tmp_path / "run")
    page = page_of(tmp_path / "run")
    assert [one for tag, one in page.tags if tag in ("link", "img", "iframe", "object")] == []
    assert [one for one in page.of("script") if "src" in one] == []
    assert [one["href"] for one in page.of("a") if not str(one["href"]).startswith("#")] == []
    assert any("default-src 'none'" in str(one.get("content")) for one in page.of("meta"))
    drawn = [one for one in page.of("div") if one.get("class") == "drawn"]
    assert len(drawn) == len(page.data)
    assert all(one.get("role") == "img" and one.get("aria-label") for one in drawn)
    assert len(page.of("table")) >= len(drawn)


def test_the_same_record_gives_the_same_page(tmp_path: Path) -> None:
    write_long(tmp_path / "run", vms=3, length_s=9)
    run = judged(tmp_path / "run")
    assert report_text([run]) == report_text([judged(tmp_path / "run")])


def test_each_kind_that_is_no_run_against_targets_has_plots() -> None:
    assert KINDS.keys() - PLOTS.keys() == {"spec", "http", "relative-round"}


def test_nothing_in_an_invalid_run_looks_like_a_score(tmp_path: Path) -> None:
    RECORDS["spec INVALID"](tmp_path / "run")
    page = page_of(tmp_path / "run")
    assert "says nothing about the servers" in page.text
    assert "320 of 320" not in page.text
    assert "Requests within the bound" not in page.text
    RECORDS["spec-sweep INVALID"](tmp_path / "sweep")
    [bars, *_] = page_of(tmp_path / "sweep").data
    assert [one["value"] for one in bars["bars"] if one["name"] == "conform"] == [None]


def test_text_of_servers_and_of_the_user_cannot_break_out(tmp_path: Path) -> None:
    write_long(tmp_path / "run", vms=3, length_s=9)
    file = tmp_path / "run" / "run.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["environment"]["host"] = document["environment"]["cpu"] = HOSTILE
    document["environment"]["command_line"] = ["loadgen", HOSTILE]
    document["environment"]["server"] = {"config": HOSTILE}
    document["reasons"], document["notes"] = [HOSTILE], [HOSTILE]
    for held in (document, *document["iterations"]):
        for row in held["targets"]:
            row["name"] += HOSTILE
    for row in document["driven_targets"]:
        row["name"] += HOSTILE
    file.write_text(json.dumps(document), encoding="utf-8")
    text = report_text([judged(tmp_path / "run")])
    page = read_page(text)
    assert "<img" not in text
    assert page.of("img") == []
    own = [one for one in page.of("script") if one.get("type") is None]
    assert len(own) == 2
    assert HOSTILE in page.words or HOSTILE in page.text
    assert any(one["name"] == f"vm3{HOSTILE}" for data in page.data for one in data.get("series", ()))


def test_a_report_names_the_worst_vm_with_the_time_and_the_reason(tmp_path: Path) -> None:
    write_long(tmp_path / "run", vms=12, length_s=30)
    text = page_of(tmp_path / "run").text
    assert "vm3 is the worst VM: 6 of 20 connections conform" in text
    assert "most of its failures were at 10 to 20 s of the run, 100 of 100; no load machine was disturbed then" in text
    assert "timed out (150)" in text
    assert "21.6% in failed operations" in text
    assert "4 of 27 seconds were disturbed" in text


def test_a_report_says_what_would_repeat_the_run(tmp_path: Path) -> None:
    write_long(tmp_path / "run", vms=3, length_s=9)
    text = page_of(tmp_path / "run").text
    assert f"loadgen spec --replay {tmp_path / 'run'}" in text
    assert "loadgen spec --plan plan.toml" in text
    assert "seed = 7" in text


@pytest.mark.timeout(300)
def test_a_thousand_vms_stay_small(tmp_path: Path) -> None:
    """Longer runs have longer columns, so the size of an hour is that of the most columns."""
    write_long(tmp_path / "run", vms=1024, length_s=250, engines=1)
    text = report_text([judged(tmp_path / "run")])
    assert len(text.encode()) < 5_000_000
    page = read_page(text)
    assert "Each point covers 2 s." in page.text
    assert "Each row is the worst of 4 VMs" in page.text


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    return directory / "v1"


@pytest.mark.parametrize("name", EVERY)
def test_each_old_record_has_a_report(old: Path, name: str) -> None:
    page = page_of(old / name)
    assert "exit code" in page.text


def report(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["report", *arguments], standalone_mode=False)


def test_the_command_writes_the_file_and_prints_its_name(tmp_path: Path) -> None:
    RECORDS["http good"](tmp_path / "run")
    file = tmp_path / "page.html"
    done = report(str(tmp_path / "run"), "-o", str(file))
    assert (done.return_value, done.output) == (0, f"{file}\n")
    assert "VALID (exit code 0)" in read_page(file.read_text(encoding="utf-8")).text
    assert sorted(one.name for one in tmp_path.iterdir()) == ["page.html", "run"]


def test_several_runs_are_compared_on_one_page(tmp_path: Path) -> None:
    for name in ("a", "b"):
        RECORDS["http good"](tmp_path / name)
    file = tmp_path / "page.html"
    assert report(str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(file)).return_value == 0
    page = read_page(file.read_text(encoding="utf-8"))
    assert "Comparison" in page.text
    assert len(page.of("h1")) == 3


def test_runs_of_different_commands_are_shown_without_a_comparison(tmp_path: Path) -> None:
    RECORDS["http good"](tmp_path / "a")
    RECORDS["pack good"](tmp_path / "b")
    file = tmp_path / "page.html"
    done = report(str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(file))
    assert done.return_value == 0
    assert "Comparison" not in read_page(file.read_text(encoding="utf-8")).text


def test_a_directory_that_does_not_exist_is_told_before_anything_is_read(tmp_path: Path) -> None:
    done = report(str(tmp_path / "nothing"), "-o", str(tmp_path / "no" / "page.html"))
    assert isinstance(done.exception, PlanError)
    assert "there is no directory" in str(done.exception)


def test_a_report_that_cannot_be_written_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RECORDS["http good"](tmp_path / "run")
    said: list[str] = []
    (tmp_path / "page.html").mkdir()
    session._report(tmp_path / "page.html", tmp_path / "run", said.append)
    session._report(tmp_path / "new.html", tmp_path / "missing", said.append)

    def broken(*_: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr("coordinator.output.html.files.report_text", broken)
    session._report(tmp_path / "new.html", tmp_path / "run", said.append)
    assert [line.split(":")[0] for line in said] == [
        f"the report {tmp_path / 'page.html'} cannot be written",
        "there is no record",
        f"the report {tmp_path / 'new.html'} could not be drawn (KeyError('a fault of ours')); try",
    ]
    monkeypatch.undo()
    session._report(tmp_path / "new.html", tmp_path / "run", said.append)
    assert said[-1] == f"report: {tmp_path / 'new.html'}"
