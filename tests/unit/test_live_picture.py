"""The pictures of the documents are made by a tool, from a record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from coordinator.output.terminal.frame import Frame
from coordinator.output.terminal.screen import Screen
from loadgen.measure.snapshot import Snapshot
from tests.support import results
from tests.support.snapshots import cell, snapshot, tally
from tools.live_picture import HEIGHT, svg_of, view_of
from tools.pictures import FOLDER, pictures, recorded

ROOT = Path(__file__).parents[2]
HEADER = results.header(2)
WORKER = HEADER.own_fleet.placement.workers[0]


def played(interval: int, window: int, operations: int) -> Snapshot:
    """Return a second in which the first connection of each VM played, in `window` (-1: not measured)."""
    cells = {(window, target): cell(operations) for target in range(2)}
    return snapshot(WORKER, interval, cells, (tally(window, 0), tally(window, 20)))


# A warm-up, ten seconds of the first iteration, a pause, and eleven seconds of the second iteration.
SNAPSHOTS = [
    *(played(n, -1, 1) for n in range(5)),
    *(played(n, 0, 2) for n in range(5, 15)),
    *(played(n, -1, 1) for n in range(15, 18)),
    *(played(n, 1, n) for n in range(18, 29)),
]


def words(svg: str) -> list[str]:
    return " ".join("".join(element.itertext()) for element in ElementTree.fromstring(svg).iter()).split()


def test_the_last_iteration_is_shown_up_to_the_requested_second() -> None:
    view = view_of(HEADER, SNAPSHOTS, share=0.6)
    assert (view.iteration, view.interval, view.phase, view.phase_elapsed_s) == (1, 24, "measuring", 7)
    assert [row.ops_per_s for row in view.targets] == [24, 24]
    assert view.totals.conforming == 40
    phases = HEADER.plan.phases
    assert view.elapsed_s == (phases.length_ns(0) + phases.lead_ns(1)) / 1e9 + 7


def test_the_picture_has_the_text_of_the_terminal() -> None:
    view = Frame(Screen(view_of(HEADER, SNAPSHOTS)))
    svg = svg_of(lambda console: console.print(view), "loadgen spec", "live", HEIGHT)
    shown = words(svg)
    for word in ("vm1", "vm2", "48.0", "nginx", "compiled", "2/3", "measuring"):
        assert any(word in one for one in shown), word
    assert "@font-face" not in svg


def test_a_run_without_a_measured_window_is_refused() -> None:
    with pytest.raises(ValueError, match="no measured window"):
        view_of(HEADER, SNAPSHOTS[:5])


@pytest.fixture(scope="module")
def drawn() -> Mapping[str, str]:
    with recorded() as path:
        return pictures(path)


def test_the_pictures_are_those_of_the_recorded_run(drawn: Mapping[str, str]) -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(drawn)
    changed = [name for name, svg in drawn.items() if (FOLDER / name).read_text(encoding="utf-8") != svg]
    assert changed == [], "run: make picture, and look at the pictures"


def test_the_pictures_are_of_the_same_run_and_load_nothing(drawn: Mapping[str, str]) -> None:
    assert any("vm16" in word for word in words(drawn["live.svg"]))
    assert any("Verdict:" in word for word in words(drawn["report.svg"]))
    assert [name for name, svg in drawn.items() if "@font-face" in svg or "url(http" in svg] == []


def test_the_documents_show_every_picture(drawn: Mapping[str, str]) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert [name for name in drawn if f"images/{name})" not in text] == []
    assert "](docs/images/live.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")
