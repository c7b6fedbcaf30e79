"""Reports in a browser: no error, no request, no serious fault of accessibility, and plots that are drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordinator.kinds.catalog import judges
from coordinator.output.html.files import write_report
from coordinator.output.judged import read_judged
from loadgen.verdict.compare import Group, compare
from tests.support import repeats
from tests.support.browser import Browser, browsing, needs_browser
from tests.support.cli import loadgen
from tests.support.long_runs import write_long
from tests.support.recorded import RECORDS
from tests.support.timelines import timeline

pytestmark = needs_browser

KINDS = [*(name for name in RECORDS if name.endswith(" good")), "spec INVALID", "forward INVALID"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as started:
        yield started


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Any:
    """A function that shows the report on a record."""

    def show(record: Path) -> Browser:
        file = tmp_path / "report.html"
        write_report(file, [read_judged(record, judges())])
        browser.show_as()
        browser.open_file(file)
        return browser

    return show


def assert_clean(browser: Browser) -> None:
    assert browser.errors() == []
    assert browser.requests_outside() == []
    assert browser.faults() == []


def undrawn(browser: Browser) -> list[str]:
    """The titles of the plots that can be seen and have no picture."""
    return list(
        browser.run(
            "return [...document.querySelectorAll('figure.plot')].filter(one => !one.parentElement.closest("
            "'details:not([open])') && !one.querySelector('.drawn svg')).map(one => one.innerText)"
        )
    )


def overflows(browser: Browser) -> bool:
    """Whether the page is wider than its window."""
    return bool(browser.run("return document.documentElement.scrollWidth > window.innerWidth"))


@pytest.mark.parametrize("name", KINDS)
def test_each_kind(page: Any, tmp_path: Path, name: str) -> None:
    RECORDS[name](tmp_path / "run")
    browser = page(tmp_path / "run")
    assert_clean(browser)
    assert undrawn(browser) == []


def test_dark_phone_and_print(page: Any, tmp_path: Path) -> None:
    write_long(tmp_path / "run", vms=12, length_s=30)
    browser = page(tmp_path / "run")
    light = browser.run("return getComputedStyle(document.body).backgroundColor")
    for shown in ({"dark": True}, {"width": 390, "height": 800}, {"width": 794, "printed": True}):
        browser.show_as(**shown)
        browser.open(browser.driver.current_url)
        assert_clean(browser)
        assert undrawn(browser) == []
        assert not overflows(browser), shown
        if "dark" in shown:
            assert browser.run("return getComputedStyle(document.body).backgroundColor") != light


def test_runs_below_an_experiment_are_drawn_when_they_are_opened(page: Any, tmp_path: Path) -> None:
    RECORDS["http-repeats good"](tmp_path / "run")
    browser = page(tmp_path / "run")
    before = browser.run("return document.querySelectorAll('.drawn svg').length")
    browser.run("document.querySelectorAll('details.part').forEach(one => one.open = true)")
    browser.driver.execute_async_script("setTimeout(arguments[0], 300)")
    assert browser.run("return document.querySelectorAll('.drawn svg').length") > before
    assert undrawn(browser) == []
    assert_clean(browser)


def test_what_is_silent_and_what_is_infinite_is_drawn(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are drawn by marks of their own: a second picture over the heat map, and an arrow."""
    ok = np.full((300, 9), 20)
    ok[7, 3:6] = 0
    monkeypatch.setattr("coordinator.output.html.targets.timeline_of", lambda *_: timeline(ok.tolist()))
    write_long(tmp_path / "run", vms=300, length_s=9, engines=1)
    nothing, some = (
        Group(name=name, runs=tuple(repeats.run(at, 100.0, failed=failed) for at in range(1, 7)))
        for name, failed in (("A", 0.0), ("B", 1.0))
    )
    write_report(tmp_path / "page.html", [read_judged(tmp_path / "run", judges())], compare([nothing, some]))
    browser.show_as()
    browser.open_file(tmp_path / "page.html")
    assert_clean(browser)
    assert undrawn(browser) == []
    pictures = "[...document.querySelectorAll('figure.plot')].map(one => one.querySelectorAll('image').length)"
    assert browser.run(f"return {pictures}").count(3) == 2  # within the bound, and p99; one is the legend
    texts = "[...document.querySelectorAll('.drawn text')].map(one => one.textContent)"
    assert browser.run(f"return {texts}").count("→") == 1


def test_text_of_a_record_does_not_run(page: Any, tmp_path: Path) -> None:
    write_long(tmp_path / "run", vms=3, length_s=9)
    file = tmp_path / "run" / "run.json"
    hostile = "</script><script>window.broken=1</script><img src=http://192.0.2.1/x onerror=window.broken=1>"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["reasons"], document["environment"]["host"] = [hostile], hostile
    for held in (document, *document["iterations"]):
        held["targets"][2]["name"] = hostile
    document["driven_targets"][2]["name"] = hostile
    file.write_text(json.dumps(document), encoding="utf-8")
    browser = page(tmp_path / "run")
    assert browser.run("return window.broken === undefined")
    assert_clean(browser)
    assert undrawn(browser) == []
    assert hostile in browser.run("return document.body.innerText")


def test_a_run_leaves_a_report(browser: Browser, tmp_path: Path) -> None:
    load = ("--vms", "2", "--server", "builtin", "--connections", "3", "--bound", "rate:100k", "--iterations", "1")
    phases = ("--ramp-up", "500ms", "--warmup", "0s", "--duration", "2s", "--ramp-down", "0s")
    done = loadgen("spec", *load, *phases, "--out", "run", "--html", "page.html", cache=tmp_path, cwd=tmp_path)
    assert done.code in (0, 1, 3), done.err
    assert "report: page.html" in done.err, done.err
    browser.show_as()
    browser.open_file(tmp_path / "page.html")
    assert_clean(browser)
    assert undrawn(browser) == []
    text = browser.run("return document.body.innerText")
    assert f"(exit code {done.code})" in text
    assert "loadgen spec --vms 2 --server builtin" in text
