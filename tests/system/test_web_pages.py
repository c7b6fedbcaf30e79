"""The pages in Chromium: they show what they should, without an error, a request outside or a serious fault."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coordinator.output.web import board as boards
from coordinator.output.web import live
from coordinator.output.web.board import Board
from tests.support import https
from tests.support.browser import Browser, browsing, needs_browser
from tests.support.judged import judged
from tests.support.recorded import CUT, write_record
from tests.support.views import fleet_view, run_view
from tests.support.web_pages import TOKEN, Pages, live_page, records
from tests.unit.test_live_metrics import PACK, http_view, isolate_view, network_view, relative_view

pytestmark = needs_browser

_LONGEST_S = 60.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as started:
        yield started


def until(browser: Browser, script: str) -> None:
    """Wait until a script returns something that is true."""
    deadline_s = time.monotonic() + _LONGEST_S
    while not browser.run(f"return {script}"):
        assert time.monotonic() < deadline_s, (script, browser.run("return document.body.innerText"))
        time.sleep(0.02)


def text(browser: Browser) -> str:
    found = browser.run("return document.body.innerText")
    assert isinstance(found, str)
    return found


def good(browser: Browser) -> None:
    """Fail when the page has an error, a request outside, a serious fault, or is wider than a phone."""
    for width, dark in ((1280, False), (1280, True), (380, False)):
        browser.show_as(width=width, dark=dark)
        assert browser.faults() == []
        assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth"), width
    assert browser.errors() == []
    assert browser.requests_outside() == []
    browser.show_as()


def play(pages: Pages, board: Any, view: Any, seconds: int = 30) -> None:
    """Show a run that goes up and down for some seconds."""

    def update() -> None:
        board.begin("spec")
        for second in range(seconds):
            rows = tuple(
                dataclasses.replace(row, ops_per_s=row.ops_per_s * (1 + 0.3 * math.sin(second / 3 + at)))
                for at, row in enumerate(view.targets)
            )
            totals = dataclasses.replace(view.totals, ops_per_s=sum(row.ops_per_s for row in rows))
            board.update(dataclasses.replace(view, interval=second, targets=rows, totals=totals))
            board._times[-1] = float(second)  # as if a second had passed

    pages.do(update)


def test_a_running_command(browser: Browser, tmp_path: Path) -> None:
    with live_page() as (pages, board):
        play(pages, board, run_view(16, failing=(3,)))
        pages.do(lambda: board.say("compiling <b>the operations</b>"))
        browser.open(pages.url)
        until(browser, "document.querySelectorAll('#tables tbody tr').length >= 16")
        found = text(browser)
        for part in (
            "SPECweb99-style: 16 VMs",
            "iteration 2 of 3",
            "317 of 320",
            "! vm4",
            "compiling <b>the operations</b>",
        ):
            assert part in found, part
        assert browser.run("return document.querySelectorAll('#plots figure').length") == 4
        assert browser.run("return document.querySelector('#plots path').getAttribute('d').split('L').length") == 30
        pages.do(lambda: board.update(dataclasses.replace(run_view(16), interval=99, elapsed_s=61.0)))
        until(browser, "document.getElementById('time').textContent.startsWith('1:01')")
        assert "320 of 320" in text(browser)
        good(browser)
        pages.do(lambda: board.ended("run", judged(https.header(), https.result())))
        write_record(tmp_path / "run", https.header(), https.result(), https.snapshots())
        pages.do(lambda: board.over(judged(https.header(), https.result(), path=tmp_path / "run")))
        until(browser, "!document.getElementById('over').hidden")
        assert "320 of 320" not in text(browser)  # what was seen in a second must not look like the result
        assert https.result().verdict.value in text(browser)
        good(browser)
        browser.run("document.querySelector('#result a[href=\"/text\"]').click()")
        until(browser, "document.querySelector('pre') !== null")
        assert "HTTP load" in text(browser)
        good(browser)
        browser.open(f"{pages.url}report")
        until(browser, "document.querySelectorAll('svg path').length > 0")
        good(browser)
    browser.open("about:blank")


def test_a_page_after_the_end_of_loadgen_says_so(browser: Browser) -> None:
    with live_page() as (pages, board):
        play(pages, board, run_view(2), seconds=3)
        browser.open(pages.url)
        until(browser, "document.querySelectorAll('#tables tbody tr').length >= 2")
    until(browser, "document.getElementById('link').textContent === 'No connection to loadgen.'")
    browser.open("about:blank")
    browser.errors()  # of the connection that is gone


def words(browser: Browser, identity: str) -> str:
    found = browser.run(f"return document.getElementById('{identity}').textContent")
    assert isinstance(found, str)
    return found


def test_a_page_says_when_nothing_comes_any_more(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_ALIVE_S", 1.0)
    with live_page() as (pages, board):
        play(pages, board, run_view(2), seconds=3)
        browser.open(pages.url)
        until(browser, "document.getElementById('link').textContent === 'Live'")
        time.sleep(6)  # nothing changes, but loadgen is there
        assert words(browser, "link") == "Live"
        monkeypatch.setattr(live, "_ALIVE_S", _LONGEST_S)  # as if the command were stopped
        until(browser, "document.getElementById('link').textContent.startsWith('No news for 5 s')")
        pages.do(lambda: board.say("going on"))
        until(browser, "document.getElementById('link').textContent === 'Live'")
        browser.open("about:blank")


def test_numbers_of_the_run_before_do_not_stand_under_the_next_one(browser: Browser) -> None:
    with live_page() as (pages, board):
        play(pages, board, run_view(2), seconds=3)
        browser.open(pages.url)
        until(browser, "document.querySelectorAll('#tables tbody tr').length >= 2")
        pages.do(lambda: board.ended("vms-2", judged(https.header(), https.result())))
        until(browser, "document.getElementById('link').textContent === 'Live. No run is being played.'")
        assert "40 of 40" not in text(browser)
        assert "vms-2" in text(browser)
        good(browser)
        pages.do(lambda: board.begin("spec"))
        until(browser, "document.getElementById('phase').textContent === 'No numbers yet.'")
        assert browser.run("return document.querySelectorAll('#tables tr, #plots figure, #headlines div').length") == 0
        assert words(browser, "link") == "Live"
        good(browser)
        pages.do(lambda: board.update(dataclasses.replace(run_view(2), interval=0)))
        until(browser, "document.querySelectorAll('#tables tbody tr').length >= 2")
        pages.do(lambda: board.update(dataclasses.replace(run_view(2), interval=0, notices=("machine b is lost",))))
        until(browser, "document.getElementById('notices').textContent === '! machine b is lost'")
        browser.open("about:blank")


def say_lines(board: Board, first: int, number: int) -> None:
    for line in range(first, first + number):
        board.say(f"line {line}")


def test_messages_on_a_page_are_as_many_as_loadgen_keeps(browser: Browser) -> None:
    with live_page() as (pages, board):
        browser.open(pages.url)
        until(browser, "document.getElementById('link').textContent === 'Live'")
        for first in range(0, 210, 10):
            pages.do(partial(say_lines, board, first, 10))
            until(browser, f"document.getElementById('said').textContent.includes('line {first + 9}')")
        assert browser.run("return document.querySelectorAll('#said li').length") == 200
        browser.open("about:blank")


def test_a_result_stays_on_the_page_when_loadgen_has_ended(browser: Browser) -> None:
    with live_page() as (pages, board):
        play(pages, board, run_view(2), seconds=3)
        pages.do(lambda: board.over(judged(https.header(), https.result())))
        browser.open(pages.url)
        until(browser, "!document.getElementById('over').hidden")
        assert words(browser, "link") == "The run is over. This page stays until loadgen is ended with Ctrl-C."
    gone = "No connection to loadgen, which has probably ended. This page shows its result."
    until(browser, f"document.getElementById('link').textContent === '{gone}'")
    assert https.result().verdict.value in text(browser)
    browser.open("about:blank")
    browser.errors()


def test_a_page_too_many_waits_for_its_turn(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "_MAX_READERS", 0)
    with live_page() as (pages, board):
        play(pages, board, run_view(2), seconds=3)
        browser.open(pages.url)
        until(browser, "document.getElementById('link').textContent.startsWith('Too many pages')")
        monkeypatch.setattr(boards, "_MAX_READERS", 1)
        until(browser, "document.getElementById('link').textContent === 'Live'")
        assert "vm2" in text(browser)
        good(browser)
        browser.open("about:blank")


def test_many_vms_are_filtered_in_the_page(browser: Browser) -> None:
    with live_page() as (pages, board):
        play(pages, board, run_view(1024, failing=(700,)), seconds=3)
        browser.open(pages.url)
        until(browser, "document.querySelectorAll('#tables section:first-child tbody tr').length === 200")
        assert "200 of 1024 rows are shown." in text(browser)
        browser.run("document.querySelector('#tables input[type=checkbox]').click()")
        until(browser, "document.querySelectorAll('#tables section:first-child tbody tr').length === 1")
        assert "! vm701" in text(browser)
        good(browser)
    browser.open("about:blank")
    browser.errors()


@pytest.mark.parametrize(
    "view",
    [fleet_view(lost=(1,)), http_view(), network_view(), PACK, isolate_view(), relative_view()],
    ids=lambda view: type(view).__name__,
)
def test_each_kind_of_run_has_a_page(browser: Browser, view: Any) -> None:
    with live_page() as (pages, board):
        pages.do(lambda: board.begin("kind"))
        pages.do(lambda: board.update(view))
        browser.open(pages.url)
        until(browser, "document.getElementById('phase').textContent !== ''")
        good(browser)
        browser.open("about:blank")


def test_the_token_of_the_url_opens_the_page(browser: Browser) -> None:
    with live_page(token=TOKEN) as (pages, board):
        play(pages, board, run_view(2), seconds=3)
        browser.open(pages.url)
        until(browser, "document.querySelectorAll('#tables tbody tr').length >= 2")
        assert TOKEN not in str(browser.run("return location.href"))
        assert browser.run("return document.cookie") == ""  # no script can read the token
        good(browser)
        browser.open("about:blank")


def a_shelf(root: Path) -> None:
    for number in range(3):
        header = dataclasses.replace(https.header(), started_at=f"2026-02-0{number + 1}T04:05:06+00:00")
        write_record(root / f"run{number}", header, https.result())
    write_record(root / "cut", https.header(), CUT, https.snapshots())
    markup = root / "<img src=x onerror=alert(1)>"
    markup.mkdir()
    (markup / "run.json").write_text("{")


def test_records_are_listed_filtered_opened_and_compared(browser: Browser, tmp_path: Path) -> None:
    a_shelf(tmp_path)
    with records(tmp_path) as pages:
        browser.open(pages.url)
        assert "<img src=x onerror=alert(1)>" in text(browser)
        assert "5 records" in text(browser)
        good(browser)
        click: Callable[[str], Any] = lambda what: browser.run(f"document.querySelector({what!r}).click()")  # noqa: E731
        click('a[href="/record?run=run1"]')
        until(browser, "document.getElementById('title').textContent === 'run1'")
        assert "HTTP load" in text(browser)
        good(browser)
        click("nav a")
        until(browser, "document.querySelector('form.filter') !== null")
        for name in ("run0", "run2"):
            click(f'input[value="{name}"]')
        click("form[action='/compare'] button")
        until(browser, "document.getElementById('title').textContent === 'Comparison'")
        assert "A: run0" in text(browser)
        assert "B: run2" in text(browser)
        good(browser)
        browser.open(f"{pages.url}?verdict=damaged")
        assert "run1" not in text(browser)
    browser.open("about:blank")
