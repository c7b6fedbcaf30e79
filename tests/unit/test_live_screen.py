from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions

from coordinator.output.terminal.live import LiveView
from coordinator.output.terminal.plain import PlainView, news
from coordinator.output.terminal.runview import RunView
from coordinator.output.terminal.screen import MOST_PAGES, PAGE_S, Layout, Screen, open_view
from tests.support.unread import a_terminal
from tests.support.views import run_view, starting_view

HIDE, SHOW, CLEAR = "\x1b[?25l", "\x1b[?25h", "\x1b[2J"

views = st.builds(
    lambda vms, engines, failing, elapsed_s, notices, name: dataclasses.replace(
        run_view(vms, engines=engines, failing=tuple(failing), elapsed_s=elapsed_s),
        notices=tuple(notices),
        title=name,
        targets=tuple(
            dataclasses.replace(row, name=f"{name}{i}")
            for i, row in enumerate(run_view(vms, failing=tuple(failing)).targets)
        ),
    ),
    st.integers(1, 130),
    st.integers(1, 9),
    st.sets(st.integers(0, 129), max_size=60),
    st.floats(0, 1000),
    st.lists(st.text(st.characters(exclude_categories=["C", "Z", "M"]), max_size=120), max_size=6),
    st.text(st.characters(exclude_categories=["C", "Z", "M"]), max_size=90),
)


def plain_lines(view: RunView, width: int, height: int, *, ascii_only: bool = False) -> list[str]:
    return [line.plain for line in Screen(view).lines(width, height, ascii_only=ascii_only)]


@given(view=views, width=st.integers(1, 200), height=st.integers(2, 80), ascii_only=st.booleans())
def test_everything_fits_any_terminal(view: RunView, width: int, height: int, ascii_only: bool) -> None:
    lines = plain_lines(view, width, height, ascii_only=ascii_only)
    assert 0 < len(lines) < height
    assert max(cell_len(line) for line in lines) <= width


@given(view=views, height=st.integers(12, 60))
def test_the_pages_show_every_vm_once(view: RunView, height: int) -> None:
    pages = max(1, Layout.fit(view, height).pages)
    assume(pages <= MOST_PAGES)
    shown: list[str] = []
    for page in range(pages):
        at = dataclasses.replace(view, elapsed_s=float(page * PAGE_S), title="", notices=view.notices)
        rows = Layout.fit(at, height).rows
        heads = next(i for i, line in enumerate(plain_lines(at, 200, height)) if line.split()[:2] == ["VM", "address"])
        body = plain_lines(at, 200, height)[heads + 1 : heads + 1 + rows]
        shown += [line.split("127.0.0.1:")[1].split()[0] for line in body if "127.0.0.1:" in line]
    assert shown == [str(20001 + i) for i in range(len(view.targets))]


def test_of_more_pages_the_worst_vms_are_shown_all_the_time() -> None:
    view = run_view(512, failing=(2, 440))
    for elapsed_s in (0.0, 4.0, 400.0):
        text = plain_lines(dataclasses.replace(view, elapsed_s=elapsed_s), 80, 24)
        assert [line.split()[0] for line in text if line.startswith("!vm")] == ["!vm441", "!vm3"]
        assert any("the worst 17 of 512 VMs" in line for line in text)


def test_sixteen_vms_with_two_engines_and_two_notices_need_no_second_page_at_24_lines() -> None:
    assert Layout.fit(dataclasses.replace(run_view(16), notices=("a", "b")), 24).pages == 1
    assert Layout.fit(dataclasses.replace(run_view(18), notices=("a", "b")), 24).pages == 2


def test_problems_are_named_on_every_page() -> None:
    view = run_view(64, failing=(50,))
    for page in range(4):
        text = "\n".join(plain_lines(dataclasses.replace(view, elapsed_s=float(page * PAGE_S)), 80, 24))
        assert "! 1 VM with problems: vm51" in text


def test_problems_are_marked_without_colour() -> None:
    lines = plain_lines(run_view(16, failing=(2,)), 80, 24)
    assert [line.split()[0] for line in lines if line.startswith("!")] == ["!vm3", "!all"]


def test_a_share_is_never_rounded_up_to_100_percent() -> None:
    view = run_view(16)
    nearly = dataclasses.replace(view, totals=dataclasses.replace(view.totals, requested=20_000, conforming=19_999))
    assert " 99.9 " in next(line for line in plain_lines(nearly, 80, 24) if "all 16" in line)


class Terminal(Console):
    """A terminal whose size is set by the test."""

    now = ConsoleDimensions(80, 24)

    @property
    def size(self) -> ConsoleDimensions:
        return self.now

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        self.now = ConsoleDimensions(*new)


def terminal() -> tuple[Terminal, io.StringIO]:
    out = io.StringIO()
    return Terminal(file=out, force_terminal=True, color_system=None, _environ={"TERM": "xterm"}), out


def live_view(console: Console) -> LiveView[RunView]:
    return LiveView(console, Screen, PlainView(console, news))


def test_the_cursor_is_restored_even_after_ctrl_c() -> None:
    console, out = terminal()

    def interrupted() -> None:
        with live_view(console) as live:
            live.update(run_view())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    text = out.getvalue()
    assert text.count(HIDE) == text.count(SHOW) == 1
    assert text.index(HIDE) < text.index("vm16") < text.index(SHOW)


def test_a_new_size_clears_the_screen_and_uses_the_room() -> None:
    console, out = terminal()
    with live_view(console) as live:
        live.update(run_view())
        assert CLEAR not in out.getvalue()
        assert "127.0.0.1" not in out.getvalue()
        console.size = (120, 40)
        live.update(run_view())
        assert CLEAR in out.getvalue()
        assert "127.0.0.1:20016" in out.getvalue()
    assert out.getvalue().count(HIDE) == out.getvalue().count(SHOW)


def test_an_ascii_terminal_gets_ascii() -> None:
    raw = io.BytesIO()
    console = Terminal(file=io.TextIOWrapper(raw, "ascii"), force_terminal=True, _environ={"TERM": "xterm"})
    with live_view(console) as live:
        live.update(dataclasses.replace(run_view(), title="x" * 100))
    assert b"####" in raw.getvalue()
    assert b"xx~" in raw.getvalue()


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({"TERM": "xterm"}, LiveView),
        ({"TERM": "dumb"}, PlainView),
        ({"TERM": "xterm", "TTY_COMPATIBLE": "0"}, PlainView),
    ],
)
def test_the_live_view_is_for_terminals_that_can_show_it(environment: dict[str, str], kind: type) -> None:
    with a_terminal() as ends, os.fdopen(ends.inner, "w", encoding="utf-8", closefd=False) as stream:
        assert type(open_view(Console(file=stream, _environ=environment))) is kind


@pytest.mark.parametrize("asked", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_who_asks_for_colour_does_not_make_a_terminal_of_a_pipe(asked: str, tmp_path: Path) -> None:
    environment = {"TERM": "xterm", asked: "1"}
    with (tmp_path / "log").open("w") as log:
        for file in (log, io.StringIO()):
            assert isinstance(open_view(Console(file=file, _environ=environment)), PlainView)


def test_plain_lines_are_printed_once_per_interval_and_notices_once() -> None:
    out = io.StringIO()
    with PlainView(Console(file=out, width=80), news) as view:
        view.update(starting_view())
        for interval in (5, 5, 5, 6):
            view.update(dataclasses.replace(run_view(), interval=interval, notices=("[disk] full",)))
        view.update(dataclasses.replace(run_view(), interval=6, phase="ramp-down"))
    lines = out.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["starting", "[disk]", "measure", "measure", "ramp-down"]
    assert lines[1] == "! [disk] full"
