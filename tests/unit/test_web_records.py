"""The list of records: whatever stands below a directory is a line of it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from aiohttp.test_utils import make_mocked_request

from coordinator.kinds.catalog import judges
from coordinator.output.web import browser, walk
from coordinator.output.web.browser import _compare, _list, _Query, _record, _report, _shown
from coordinator.output.web.shelf import Listed, Shelf
from coordinator.record.document import unfinished
from coordinator.record.header import RecordError
from coordinator.record.writer import RUN, RecordWriter
from tests.support import https, results
from tests.support.recorded import CUT, write_record

MARKUP = "<img src=x onerror=alert(1)>"


def query(path: str) -> _Query:
    return _Query(make_mocked_request("GET", path))


PAGES: dict[str, Callable[[Shelf], Callable[[_Query], Any]]] = {
    "/": lambda shelf: lambda asked: _list(shelf, asked),
    "/record": lambda shelf: lambda asked: _record(shelf, judges(), asked),
    "/report": lambda shelf: lambda asked: _report(shelf, judges(), asked),
    "/compare": lambda shelf: lambda asked: _compare(shelf, judges(), asked),
}


def shown(shelf: Shelf, path: str) -> tuple[int, str]:
    """Status and text of a page."""
    found = _shown(PAGES[path.partition("?")[0]](shelf), query(path), "Title")
    return found.status, str(found.body, "utf-8")  # type: ignore[arg-type]


def link(name: str) -> str:
    return f"/record?{urlencode({'run': quote(name, errors='surrogateescape')})}"


def a_run(directory: Path, started_at: str = "2026-02-03T04:05:06+00:00") -> None:
    write_record(directory, dataclasses.replace(https.header(), started_at=started_at), https.result())


def damage(directory: Path, content: bytes) -> None:
    directory.mkdir(parents=True)
    (directory / RUN).write_bytes(content)


def names(listed: list[Listed]) -> list[str]:
    return [one.name for one in listed]


def test_records_are_listed_with_the_newest_first(tmp_path: Path) -> None:
    a_run(tmp_path / "old", "2026-01-01T00:00:00+00:00")
    a_run(tmp_path / "deep" / "er" / "new", "2026-02-01T00:00:00+00:00")
    (tmp_path / "empty").mkdir()
    found = Shelf(tmp_path).all().records
    assert names(found) == ["deep/er/new", "old"]
    assert {one.kind for one in found} == {"http"}
    assert found[0].verdict == https.result().verdict.value


def test_a_directory_that_is_a_record_itself_is_listed(tmp_path: Path) -> None:
    a_run(tmp_path / "run")
    shelf = Shelf(tmp_path / "run")
    assert names(shelf.all().records) == ["."]
    assert shown(shelf, link("."))[0] == 200


def test_runs_of_an_experiment_are_in_its_record_and_only_then_in_the_list(tmp_path: Path) -> None:
    sweep = results.sweep()
    RecordWriter(tmp_path / "sweep", unfinished(results.sweep_header(), sweep)).close()
    a_run(tmp_path / "sweep" / "vms-1")
    shelf = Shelf(tmp_path)
    assert "sweep/vms-1" not in shown(shelf, "/")[1]
    assert "sweep/vms-1" in shown(shelf, "/?parts=on")[1]
    status, text = shown(shelf, link("sweep"))
    assert status == 200
    assert "sweep/vms-1" in text


DAMAGED = {
    "empty": b"",
    "half": b'{"kind": "http", "verdict": "conf',
    "list": b"[1, 2]",
    "types": b'{"kind": 7, "verdict": []}',
    "kind": b'{"kind": "<b>other</b>", "verdict": "conforming"}',
    "none": b'{"kind": "http"}',
    "binary": bytes(range(256)),
    "deep": b"[" * 100_000,
    "lone": b'{"kind": "http", "verdict": "\\ud800"}',
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_record_is_one_line_in_the_list_and_one_on_its_page(tmp_path: Path, name: str) -> None:
    damage(tmp_path / name, DAMAGED[name])
    a_run(tmp_path / "good")
    shelf = Shelf(tmp_path)
    by_name = {one.name: one for one in shelf.all().records}
    assert by_name["good"].verdict == https.result().verdict.value
    if name != "lone":
        assert by_name[name].verdict == "damaged"
        assert by_name[name].why
    assert shown(shelf, "/")[0] == 200
    for path in (link(name), link(name).replace("/record", "/report")):
        status, text = shown(shelf, path)
        assert status in (404, 422)
        assert "Traceback" not in text


def test_a_document_of_the_right_form_and_wrong_content_is_one_line(tmp_path: Path) -> None:
    damage(tmp_path / "run", json.dumps({"kind": "http", "verdict": "conforming", "schema_version": 1}).encode())
    shelf = Shelf(tmp_path)
    assert names(shelf.all().records) == ["run"]
    status, text = shown(shelf, link("run"))
    assert status == 404
    assert "is damaged" in text


def test_a_bug_on_a_page_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_run(tmp_path / "run")
    monkeypatch.setattr(browser, "report_in_words", lambda *_: 1 / 0)
    assert shown(Shelf(tmp_path), link("run"))[0] == 422


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("pipe", "folder", "link", "dangling"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe" / RUN)
    (tmp_path / "folder" / RUN).mkdir()
    (tmp_path / "link" / RUN).symlink_to("/dev/zero")
    (tmp_path / "dangling" / RUN).symlink_to("nowhere")
    shelf = Shelf(tmp_path)
    assert {one.verdict for one in shelf.all().records} == {"damaged"}
    for name in ("pipe", "folder", "link", "dangling"):
        assert shown(shelf, link(name))[0] == 404


def test_links_to_other_directories_are_not_followed(tmp_path: Path) -> None:
    a_run(tmp_path / "outside" / "run")
    root = tmp_path / "root"
    root.mkdir()
    (root / "loop").symlink_to(root)
    (root / "out").symlink_to(tmp_path / "outside")
    shelf = Shelf(root)
    assert shelf.all().records == []
    assert shown(shelf, link("out/run"))[0] == 404


@pytest.mark.parametrize(
    "name", ["../outside", "/etc", "a" * 300, "a/../../outside", "", "a//b", "a\0b", "./outside", "..", "a/."]
)
def test_no_other_directory_can_be_asked_for(tmp_path: Path, name: str) -> None:
    a_run(tmp_path / "outside")
    root = tmp_path / "root"
    a_run(root / "a" / "b")
    with pytest.raises(RecordError):
        Shelf(root).find(quote(name))
    assert shown(Shelf(root), link(name))[0] == 404


def test_a_record_that_was_deleted_while_it_was_listed_is_said(tmp_path: Path) -> None:
    a_run(tmp_path / "run")
    shelf = Shelf(tmp_path)
    assert names(shelf.all().records) == ["run"]
    shutil.rmtree(tmp_path / "run")
    assert shown(shelf, link("run"))[0] == 404
    assert shelf.all().records == []


def test_a_run_that_was_cut_and_one_that_is_played_are_told_apart(tmp_path: Path) -> None:
    write_record(tmp_path / "cut", https.header(), CUT, https.snapshots())
    with RecordWriter(tmp_path / "playing", unfinished(https.header())):
        found = {one.name: one.verdict for one in Shelf(tmp_path).all().records}
    assert found == {"cut": "cut off", "playing": "running"}
    assert shown(Shelf(tmp_path), link("cut"))[0] == 200


def test_a_record_that_changed_is_read_again(tmp_path: Path) -> None:
    damage(tmp_path / "run", b"{")
    shelf = Shelf(tmp_path)
    assert shelf.all().records[0].verdict == "damaged"
    shutil.rmtree(tmp_path / "run")
    a_run(tmp_path / "run")
    assert shelf.all().records[0].kind == "http"


def test_markup_in_names_and_reasons_is_text(tmp_path: Path) -> None:
    name = MARKUP.replace("/", "")
    a_run(tmp_path / name)
    document = json.loads((tmp_path / name / RUN).read_text())
    document["reasons"] = [f"</td><script>{MARKUP}</script>"]
    (tmp_path / name / RUN).write_text(json.dumps(document))
    shelf = Shelf(tmp_path)
    for path in ("/", link(name), f"/?text={quote(MARKUP)}", f"/compare?run={quote(MARKUP)}&run=x"):
        _, text = shown(shelf, path)
        assert "<img" not in text
        assert "<script>" not in text
    assert "&lt;img" in shown(shelf, "/")[1]


def test_names_that_are_not_utf8_can_be_opened(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 & co\n1")
    a_run(tmp_path / name)
    shelf = Shelf(tmp_path)
    status, text = shown(shelf, "/")
    assert status == 200
    text.encode()
    assert shown(shelf, link(name))[0] == 200


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", {"one", "two", "bad"}),
        ("text=two", {"two"}),
        ("text=TWO+http", {"two"}),
        ("text=nothing", set()),
        ("kind=http", {"one", "two"}),
        ("kind=spec", set()),
        ("verdict=damaged", {"bad"}),
        ("page=7", {"one", "two", "bad"}),
        ("page=x", {"one", "two", "bad"}),
        ("page=%D9%A7", {"one", "two", "bad"}),
    ],
)
def test_the_list_is_filtered(tmp_path: Path, asked: str, found: set[str]) -> None:
    a_run(tmp_path / "one")
    a_run(tmp_path / "two")
    damage(tmp_path / "bad", b"")
    _, text = shown(Shelf(tmp_path), f"/?{asked}")
    assert {name for name in ("one", "two", "bad") if f'value="{name}"' in text} == found


def test_a_long_list_is_shown_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "_ON_A_PAGE", 2)
    for number in range(5):
        a_run(tmp_path / f"run{number}", f"2026-01-0{number + 1}T00:00:00+00:00")
    shelf = Shelf(tmp_path)
    for page, found in ((1, ["run4", "run3"]), (2, ["run2", "run1"]), (3, ["run0"])):
        text = shown(shelf, f"/?page={page}")[1]
        assert [f"run{n}" for n in (4, 3, 2, 1, 0) if f'value="run{n}"' in text] == found
        assert f"part {page} of 3" in text


def test_records_are_compared_with_the_oldest_first(tmp_path: Path) -> None:
    a_run(tmp_path / "new", "2026-02-01T00:00:00+00:00")
    a_run(tmp_path / "old", "2026-01-01T00:00:00+00:00")
    status, text = shown(Shelf(tmp_path), "/compare?run=new&run=old")
    assert status == 200
    assert text.index(">old</a>") < text.index(">new</a>")


def test_different_plans_can_be_allowed_on_the_page(tmp_path: Path) -> None:
    a_run(tmp_path / "one")
    other = https.header(dataclasses.replace(https.PLAN, seed=99))
    write_record(tmp_path / "two", other, https.result())
    shelf = Shelf(tmp_path)
    status, text = shown(shelf, "/compare?run=one&run=two")
    assert (status, "the plans differ: seed" in text, 'name="allow"' in text) == (200, True, True)
    assert "the plans differ" not in shown(shelf, "/compare?run=one&run=two&allow=seed")[1]


@pytest.mark.parametrize("asked", ["", "run=one", "run=one&run=one", "&".join(f"run=r{n}" for n in range(30))])
def test_a_comparison_needs_some_records(tmp_path: Path, asked: str) -> None:
    a_run(tmp_path / "one")
    status, text = shown(Shelf(tmp_path), f"/compare?{asked}")
    assert status == 422
    assert "2 to 26 can be compared" in text


def test_a_report_may_run_its_own_scripts_only_and_has_an_origin_of_its_own(tmp_path: Path) -> None:
    a_run(tmp_path / "run")
    found = _shown(PAGES["/report"](Shelf(tmp_path)), query("/report?run=run"), "Title")
    policy = found.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "sandbox allow-scripts" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]


def test_a_comparison_with_a_damaged_record_is_one_line(tmp_path: Path) -> None:
    a_run(tmp_path / "one")
    damage(tmp_path / "bad", b"{")
    assert shown(Shelf(tmp_path), "/compare?run=one&run=bad")[0] in (404, 422)


def test_records_below_a_link_to_a_directory_can_be_opened(tmp_path: Path) -> None:
    a_run(tmp_path / "there" / "deep" / "run")
    (tmp_path / "here").symlink_to(tmp_path / "there")
    shelf = Shelf(tmp_path / "here")
    assert names(shelf.all().records) == ["deep/run"]
    assert shown(shelf, link("deep/run"))[0] == 200


@pytest.mark.parametrize("name", ["intervals.msgpack", "disturbance.msgpack"])
def test_a_pipe_in_a_record_is_not_waited_for(tmp_path: Path, name: str) -> None:
    write_record(tmp_path / "cut", https.header(), CUT, https.snapshots())
    (tmp_path / "cut" / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / "cut" / name)
    for path in (link("cut"), link("cut").replace("/record", "/report")):
        status, text = shown(Shelf(tmp_path), path)
        assert (status, "is not a regular file" in text) == (404, True)


def test_a_directory_that_cannot_be_searched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_run(tmp_path / "run")
    for name in ("shut", "gone"):
        (tmp_path / name).mkdir()
    real = os.scandir

    def scandir(path: Path) -> Any:
        if Path(path).name == "gone":
            raise FileNotFoundError(2, "No such file or directory")
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    listing = Shelf(tmp_path).all()
    assert (names(listing.records), listing.left_out) == (["run"], ("1 directory could not be read.",))
    assert "1 directory could not be read." in shown(Shelf(tmp_path), "/")[1]


def test_a_list_of_a_directory_that_cannot_be_read_is_no_empty_list(tmp_path: Path) -> None:
    status, text = shown(Shelf(tmp_path / "gone"), "/")
    assert status == 404
    assert "gone cannot be read: No such file or directory" in text


@pytest.mark.parametrize(
    ("bound", "found", "why"),
    [
        ("_MAX_RECORDS", 1, "The search ended after 1 records."),
        ("_MAX_DIRECTORIES", 0, "The search ended after 1 directories."),
        ("_MAX_DEPTH", 2, "What is more than 1 directories down was not searched."),
    ],
)
def test_a_search_that_was_cut_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, found: int, why: str
) -> None:
    for name in ("one", "two", "deep/er"):
        a_run(tmp_path / name)
    assert Shelf(tmp_path).all().left_out == ()
    monkeypatch.setattr(walk, bound, 1)
    listing = Shelf(tmp_path).all()
    assert (len(listing.records), listing.left_out) == (found, (why,))
    assert why in shown(Shelf(tmp_path), "/")[1]


def test_the_page_of_a_record_searches_its_own_directory_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two", "two/part"):
        a_run(tmp_path / name)
    searched: list[str] = []
    real = os.scandir

    def scandir(path: Path) -> Any:
        searched.append(Path(path).name)
        return real(path)

    monkeypatch.setattr("coordinator.output.web.walk.os.scandir", scandir)
    assert "two/part" in shown(Shelf(tmp_path), link("two"))[1]
    assert searched == ["two", "part"]
    shown(Shelf(tmp_path), "/compare?run=one&run=two")
    assert searched == ["two", "part"]


def test_pages_are_plain_whatever_the_environment_says_of_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_run(tmp_path / "one")
    a_run(tmp_path / "two")
    pages = (link("one"), "/compare?run=one&run=two")
    expected = [shown(Shelf(tmp_path), page) for page in pages]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert [shown(Shelf(tmp_path), page) for page in pages] == expected
