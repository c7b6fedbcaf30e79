"""The documentation site is built without a warning, without the network, and its links lead somewhere."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.browser import Browser, browsing, needs_browser

ROOT = Path(__file__).parents[2]
LOADS = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "srcset")}
"""Elements for which a browser fetches something by itself."""


class Page(HTMLParser):
    """The ids and links of one page of the site."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif value and tag == "a" and name == "href":
                self.links.append(value)
            elif value and (tag, name) in LOADS:
                self.loaded.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does, where no proxy answers, so that nothing can be fetched."""
    built = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", "-d", str(built / "doctrees")]
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [*command, ".", str(built / "html")], cwd=ROOT, env=nowhere, capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")
    return built / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_the_site_has_every_page(site: Path, pages: dict[Path, Page]) -> None:
    sources = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "RESULTS.md"]
    assert len(sources) > 90
    missing = [source for source in sources if site / source.relative_to(ROOT).with_suffix(".html") not in pages]
    assert missing == []
    assert "docs/index.html" in pages[site / "index.html"].links


def test_links_and_anchors_of_the_site_have_targets(site: Path, pages: dict[Path, Page]) -> None:
    assert sum(len(page.links) for page in pages.values()) > 1000
    wrong = []
    for path, page in pages.items():
        for link in (*page.links, *page.loaded):
            if link.startswith(("https://", "data:", "mailto:")):
                continue
            file, _, anchor = unquote(link).partition("#")
            target = (path.parent / file.partition("?")[0]).resolve() if file else path
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].ids):
                wrong.append(f"{path.relative_to(site)}: {link}")
    assert wrong == []


def test_a_page_loads_nothing_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    assert sum(len(page.loaded) for page in pages.values()) > 100
    outside = {link for page in pages.values() for link in page.loaded if "//" in link and not link.startswith("data:")}
    assert outside == set()
    for sheet in site.rglob("*.css"):
        assert "url(http" not in sheet.read_text(encoding="utf-8"), sheet.name


def test_the_site_can_be_searched_without_a_server(site: Path) -> None:
    """The index is a script that a page of a local file may load, and it has words of the pages."""
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert index.startswith("Search.setIndex(")
    assert all(word in index for word in ("docs/headroom", "jain", "splice"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as started:
        yield started


@needs_browser
@pytest.mark.parametrize("page", ["docs/index", "docs/tutorial", "docs/reference/trust-checks"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["desk", "dark phone"])
def test_a_page_is_good_to_read(site: Path, browser: Browser, page: str, width: int, dark: bool) -> None:
    """It fits its width (what is wider scrolls by itself), and axe-core finds no serious fault."""
    browser.show_as(width=width, height=844, dark=dark)
    browser.open_file(site / f"{page}.html")
    assert (browser.errors(), browser.requests_outside()) == ([], [])
    assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (background != "rgb(255, 255, 255)") == dark
    assert browser.faults() == []
    browser.errors()  # axe-core asks for style sheets, which a page of a local file may not


@needs_browser
def test_search_finds_a_page_without_a_server(site: Path, browser: Browser) -> None:
    browser.open(f"{(site / 'search.html').as_uri()}?q=headroom")
    script = "return [...document.querySelectorAll('#search-results li a')].map(link => link.getAttribute('href'))"
    deadline = time.monotonic() + 30
    found: list[str] = []
    while not found and time.monotonic() < deadline:
        found = browser.run(script)
        time.sleep(0.05)
    assert any(link.startswith("docs/headroom.html") for link in found)
    assert (browser.errors(), browser.requests_outside()) == ([], [])
