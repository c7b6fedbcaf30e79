"""Each live screen at each size: it fits, the hint and the sums stay, and the worst VMs are on it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
from rich.cells import cell_len

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.frame import HINT, Frame, LiveScreen
from coordinator.output.terminal.isolate_live import IsolateProgress, IsolateScreen
from coordinator.output.terminal.keys import UNTOUCHED, Controls, Order
from coordinator.output.terminal.network_live import NetworkScreen
from coordinator.output.terminal.pack_live import PackProgress, PackScreen
from coordinator.output.terminal.relative_live import RelativeProgress, RelativeScreen
from coordinator.output.terminal.runview import RunView
from coordinator.output.terminal.screen import Screen, Screens
from coordinator.output.terminal.trend import SPAN_S, Trend, cells_in
from loadgen.measure.isolation import Phase
from loadgen.model.isolate import Hog
from tests.support.networks import progress
from tests.support.views import fleet_view, run_view

SIZES = [(width, height) for width in (40, 60, 80, 120, 200) for height in (10, 24, 50)]
KEYS = Controls(keys=True)


def screens(view: RunView, controls: Controls = KEYS) -> Screen:
    """The screen after a minute, with charts."""
    draw = Screens()
    for interval in range(61):
        draw(dataclasses.replace(view, interval=interval), controls)
    return draw(dataclasses.replace(view, interval=61), controls)


PHASES = tuple(Phase(hog=hog, failed="the hog was killed by the kernel" if hog is Hog.FORK else "") for hog in Hog)
SCREENS: dict[str, Callable[[Controls], LiveScreen]] = {
    "16 VMs": lambda controls: screens(run_view(16, failing=(2,)), controls),
    "1,024 VMs": lambda controls: screens(run_view(1024, failing=(2, 900)), controls),
    "12 machines": lambda controls: screens(fleet_view(12, lost=(3,)), controls),
    "network": lambda controls: NetworkScreen(progress(30), controls),
    "pack": lambda controls: PackScreen(
        PackProgress(doing="starting", vms=3, wanted=900, pss_bytes=1 << 33, free_bytes=1 << 34, kept_bytes=1 << 30),
        controls,
    ),
    "isolate": lambda controls: IsolateScreen(
        IsolateProgress(hog="cpu", doing="measuring", phases=PHASES, planned=len(PHASES)), controls
    ),
    "relative": lambda controls: RelativeScreen(
        RelativeProgress(
            round=2, rounds=9, environments=("bare", "ns"), environment="ns", vms=8, doing="building: running"
        ),
        controls,
    ),
}  # fmt: skip


def text(
    screen: LiveScreen, width: int, height: int, controls: Controls = KEYS, *, ascii_only: bool = False
) -> list[str]:
    return [line.plain for line in Frame(screen, controls).lines(width, height, ascii_only=ascii_only)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("name", SCREENS)
@pytest.mark.parametrize(
    "controls",
    [KEYS, UNTOUCHED, dataclasses.replace(KEYS, help=True), dataclasses.replace(KEYS, order=Order.WORST, first=5)],
)
def test_each_screen_fits_and_shows_the_hint(name: str, controls: Controls, width: int, height: int) -> None:
    for ascii_only in (False, True):
        lines = text(SCREENS[name](controls), width, height, controls, ascii_only=ascii_only)
        assert 0 < len(lines) < height
        assert max(cell_len(line) for line in lines) <= width
        assert lines[0].endswith(HINT) == controls.keys
        assert not ascii_only or "".join(lines[1:]).isascii()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("name", SCREENS)
def test_each_screen_has_the_same_help(name: str, width: int, height: int) -> None:
    controls = dataclasses.replace(KEYS, help=True)
    lines = text(SCREENS[name](controls), width, height, controls)
    for key in ("?  h", "s ", "PgUp PgDn", "Up Down", "Home End", "Esc", "Ctrl-C"):
        assert any(line.startswith(f" {key}") for line in lines), key


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("vms", [16, 64, 1024])
@pytest.mark.parametrize("elapsed_s", [0.0, 9.0])
def test_the_worst_vm_the_sum_and_the_time_left_are_always_there(
    width: int, height: int, vms: int, elapsed_s: float
) -> None:
    """Whichever page is shown by the clock, and whichever the user chose: the worst VM is on it, or named."""
    view = run_view(vms, failing=(3, vms - 1), elapsed_s=elapsed_s)
    for controls in (KEYS, dataclasses.replace(KEYS, order=Order.GIVEN, first=5), dataclasses.replace(KEYS, first=7)):
        lines = text(screens(view, controls), width, height, controls)
        assert any(f"vm{vms}" in line for line in lines[2:]), "\n".join(lines)
        assert any(line.startswith(f"!all {vms} ") for line in lines)
        assert any(line.endswith(" left") for line in (one.rstrip() for one in lines[:2]))


def test_the_chosen_rows_are_shown_in_the_chosen_order() -> None:
    view = run_view(1024, failing=(2, 900))
    chosen = dataclasses.replace(KEYS, order=Order.GIVEN, first=500)
    lines = text(screens(view, chosen), 80, 24, chosen)
    assert [line.split()[0] for line in lines[3:20]] == [f"vm{number}" for number in range(501, 518)]
    assert any(" VMs 501-517 of 1,024 " in line for line in lines)
    worst = dataclasses.replace(KEYS, order=Order.WORST)
    few = text(screens(run_view(16, failing=(2, 9)), worst), 80, 24, worst)
    assert [line.split()[0] for line in few if "vm" in line][:4] == ["!vm10", "!vm3", "vm16", "vm15"]
    assert few[0].endswith(f"worst first  {HINT}")


def test_tests_are_sorted_by_their_rates() -> None:
    worst = dataclasses.replace(KEYS, order=Order.WORST)
    view = dataclasses.replace(progress(), finished=(("a", 3.0), ("b", 1.0), ("rr", -1.0), ("c", 2.0)))
    lines = text(NetworkScreen(view, worst), 40, 24, worst)
    heading = next(at for at, line in enumerate(lines) if "finished tests" in line)
    assert " ".join(lines[heading + 1 :]).split()[:2] == ["b", "1.0"]
    assert "rr" in " ".join(lines[heading + 1 :]).split()[-2]


def test_charts_have_room_from_some_width_on_and_no_number_goes_for_them() -> None:
    view = run_view(16)
    with_charts = [width for width in range(20, 220) if "last 60 s" in "\n".join(text(screens(view), width, 24))]
    assert with_charts == list(range(min(with_charts), 220))
    assert min(with_charts) <= 90
    plain = [line.split() for line in text(Screen(view, UNTOUCHED), 90, 24, UNTOUCHED)]
    charted = [line.split() for line in text(screens(view, UNTOUCHED), 90, 24, UNTOUCHED)]
    assert all(set(one) - {"address"} - {f"127.0.0.1:{20001 + i}" for i in range(16)} <= set(other)
               for one, other in zip(plain, charted, strict=True))  # fmt: skip


@pytest.mark.parametrize(
    ("room", "cells"), [(11, 0), (12, 12), (16, 15), (20, 20), (29, 20), (59, 30), (60, 60), (200, 60)]
)
def test_the_cells_of_a_chart_are_whole_seconds(room: int, cells: int) -> None:
    assert cells_in(room) == cells


def test_a_chart_tells_unknown_zero_and_skipped_seconds_apart() -> None:
    trend = Trend()
    for interval in (0, 1, 2, 5):
        trend.add(interval, [8.0 if interval != 1 else 0.0, 1.0])
    trend.add(5, [99.0, 99.0])  # was filed before
    assert trend.line(0, 60, ascii_only=False) == " " * 54 + "█·█  █"
    assert trend.line(0, 60, ascii_only=True) == " " * 54 + "%_%  %"
    assert trend.line(1, 60, ascii_only=False)[-6:] == "███  █"
    assert trend.line(7, 12, ascii_only=False) == " " * 12


def test_a_chart_moves_by_whole_cells_and_forgets_what_is_older() -> None:
    trend, drawn = Trend(), []
    for interval in range(200):
        trend.add(interval, [1.0 + math.sin(interval // 5)])
        drawn.append(trend.line(0, 12, ascii_only=False))
    assert {len(line) for line in drawn} == {12}
    # At the end of each cell of 5 s, the older cells are those of the cell before, moved by one.
    tops = {tuple(drawn[at][1:-1]) == tuple(drawn[at + 1][1:-1]) for at in (100, 101, 102, 103)}
    assert tops == {True}
    trend.add(200 + 2 * SPAN_S, [5.0])
    assert trend.line(0, 60, ascii_only=False) == " " * 59 + "█"


def test_names_that_are_cut_keep_their_ends() -> None:
    cut = {fmt.pad_name(f"web-server-of-shop-{number:04}", 12, ascii_only=True) for number in range(300)}
    assert len(cut) == 300
    assert {len(name) for name in cut} == {12}
    assert fmt.pad_name("vm1", 5) == "vm1  "
