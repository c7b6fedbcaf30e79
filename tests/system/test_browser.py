"""The browser of the tests itself: it must tell what a bad page does, or it proves nothing about good ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.output.scripts import script
from tests.support.browser import Browser, browsing, needs_browser

pytestmark = needs_browser

HEAD = "<!doctype html><html lang=en><meta charset=utf-8><title>A page</title>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as started:
        yield started


def page(tmp_path: Path, body: str, head: str = "") -> Path:
    path = tmp_path / "page.html"
    path.write_text(f"{HEAD}{head}<body><main><h1>A page</h1>{body}</main>", encoding="utf-8")
    return path


def test_a_good_page_has_nothing_to_tell(browser: Browser, tmp_path: Path) -> None:
    browser.open_file(page(tmp_path, "<p>text</p>"))
    assert (browser.errors(), browser.requests_outside(), browser.faults()) == ([], [], [])


def test_errors_and_requests_are_told(browser: Browser, tmp_path: Path) -> None:
    browser.open_file(page(tmp_path, "<script>nothing.here()</script><img alt=x src='http://192.0.2.1/a.png'>"))
    assert any("nothing is not defined" in one for one in browser.errors())
    assert browser.requests_outside() == ["http://192.0.2.1/a.png"]


def test_faults_of_accessibility_are_told(browser: Browser, tmp_path: Path) -> None:
    browser.open_file(page(tmp_path, "<button></button><p style='color:#ccc;background:#fff'>pale</p>"))
    assert {one.rule for one in browser.faults()} == {"button-name", "color-contrast"}


def test_the_vendored_library_draws_without_eval(browser: Browser, tmp_path: Path) -> None:
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    draw = "<script>document.body.append(Plot.lineY([1, 3, 2]).plot({ariaLabel: 'a line'}))</script>"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    browser.open_file(page(tmp_path, f"<script>{script()}</script>{draw}", head))
    assert browser.errors() == []
    assert browser.run("return document.querySelectorAll('svg[aria-label=\"a line\"] path').length") >= 1
