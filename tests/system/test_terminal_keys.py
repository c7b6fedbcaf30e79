"""The live view and its terminal: keys, sizes, job control, and settings that are given back on every way out."""

from __future__ import annotations

import os
import re
import signal
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tmux import TMUX, Pane, terminal
from tests.support.vms import within

pytestmark = pytest.mark.skipif(
    TMUX is None and os.environ.get("CI") != "true", reason="tmux is not installed (make debian installs it)"
)

ROOT = Path(__file__).resolve().parents[2]
SHOW = f"{sys.executable} -m tests.support.show_live"


@pytest.fixture
def pane(tmp_path: Path) -> Iterator[Pane]:
    with terminal(tmp_path, {"PYTHONPATH": str(ROOT)}) as pane:
        yield pane


def settings(pane: Pane) -> list[object]:
    with Path(pane.ask("pane_tty")).open("rb") as tty:
        return termios.tcgetattr(tty)


def children(pane: Pane) -> list[int]:
    """The processes that the shell started."""
    shell = pane.ask("pane_pid")
    return [int(pid) for pid in Path(f"/proc/{shell}/task/{shell}/children").read_text().split()]


def show(pane: Pane, tmp_path: Path, arguments: str, before: str = "", after: str = "") -> None:
    """Start the view with a command line that does not wrap."""
    script = tmp_path / f"go{len(list(tmp_path.glob('go*')))}"  # a new one each time: a shell may still read the last
    script.write_text(f"#!/bin/sh\nexec {SHOW} {arguments}\n")
    script.chmod(0o755)
    pane.type(f"{before} ./{script.name} {after}".strip())


def ready(pane: Pane, *texts: str, within_s: float = 60) -> list[str]:
    return pane.until(lambda screen: all(text in "\n".join(screen) for text in texts), within_s)


def names(screen: list[str]) -> list[str]:
    return [found[1] for line in screen if (found := re.match(r"[ !](vm\d+) ", line))]


def nothing_of_the_view(pane: Pane) -> None:
    """The cursor is shown, and no line of the view is left on the screen."""
    pane.until(lambda screen: "all 16 " not in "\n".join(screen) and "conf %" not in "\n".join(screen))
    assert pane.ask("cursor_flag") == "1"


def test_keys_reach_each_of_1024_vms_and_the_help(pane: Pane, tmp_path: Path) -> None:
    before = settings(pane)
    show(pane, tmp_path, "1024 --updates 1")
    assert names(ready(pane, "the worst 17 of 1,024 VMs", "?: help"))[0] == "vm513"
    pane.press("s")
    assert names(ready(pane, " VMs 1-17 of 1,024"))[0] == "vm1"
    pane.press("NPage")
    assert names(ready(pane, " VMs 18-34 of 1,024")) == [f"vm{number}" for number in range(18, 35)]
    pane.press("j")
    ready(pane, " VMs 19-35 of 1,024")
    pane.press("Up")
    ready(pane, " VMs 18-34 of 1,024")
    pane.press("End")
    assert names(ready(pane, " VMs 1,008-1,024 of 1,024"))[-1] == "vm1024"
    pane.press("?")
    screen = ready(pane, "PgUp PgDn", "Ctrl-Z")
    assert names(screen) == []
    pane.press("?")
    ready(pane, " VMs 1,008-1,024 of 1,024")
    pane.press("Home")
    ready(pane, " VMs 1-17 of 1,024")
    for key in ("/", "q", "x", "F5", "Left", "C-s"):
        pane.press(key)
    pane.resize(120, 12)  # nothing updates the view: it is the signal that draws
    screen = ready(pane, " VMs 1-5 of 1,024", "127.0.0.1:20001", "last 60 s")
    assert sum("update 0" in line for line in screen) == 1
    pane.resize(40, 10)
    ready(pane, " VMs 1-3 of 1,024", "?: help")
    assert pane.unwrapped() == pane.screen()
    pane.press("C-c")
    assert pane.exit_code() == 0
    assert settings(pane) == before
    nothing_of_the_view(pane)


def test_a_suspended_view_gives_the_terminal_back_and_fg_brings_it_back(pane: Pane, tmp_path: Path) -> None:
    before = settings(pane)
    show(pane, tmp_path, "16")
    for _ in range(2):
        ready(pane, "all 16 ", "?: help")
        assert settings(pane) != before
        pane.press("C-z")
        assert pane.exit_code() == 128 + signal.SIGTSTP
        nothing_of_the_view(pane)
        assert settings(pane) == before
        pane.type("clear; fg")
    ready(pane, "all 16 ", "?: help")
    pane.press("s")
    ready(pane, "worst first")
    pane.press("C-c")
    assert pane.exit_code() == 0
    assert "over" in pane.history()
    assert settings(pane) == before
    nothing_of_the_view(pane)


def test_in_the_background_the_view_prints_lines_and_takes_no_keys(pane: Pane, tmp_path: Path) -> None:
    before = settings(pane)
    written = tmp_path / "err"
    show(pane, tmp_path, "16", after="2>err &")
    assert within(60, lambda: written.exists() and "measure 2/3" in written.read_text())
    show(pane, tmp_path, "16", after="&")
    ready(pane, "measure 2/3 11/20s conforming=317/320")  # lines as in a log
    assert settings(pane) == before
    pane.type("clear; echo typed $((40 + 2))")
    ready(pane, "typed 42")
    states = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in children(pane)]
    assert len(states) == 2, (pane.history(), written.read_text())
    assert "T" not in states
    assert settings(pane) == before
    pane.type("clear; fg %2")
    ready(pane, "all 16 ", "?: help")
    pane.press("C-z")
    ready(pane, "code=")
    pane.type("clear; bg %2; kill -INT %1")
    ready(pane, "conforming=317/320")
    assert settings(pane) == before
    assert pane.ask("cursor_flag") == "1"
    pane.type("kill -TERM %2; wait; echo ended $((1 + 1))")
    ready(pane, "ended 2")
    assert "over" in pane.history()
    assert settings(pane) == before


@pytest.mark.parametrize(
    ("arguments", "end", "code"),
    [("16 --fail-after 6", None, 1), ("16", signal.SIGTERM, 0), ("16", signal.SIGQUIT, 128 + signal.SIGQUIT)],
    ids=["exception", "SIGTERM", "SIGQUIT"],
)
def test_the_settings_are_given_back_on_each_way_out(
    pane: Pane, tmp_path: Path, arguments: str, end: signal.Signals | None, code: int
) -> None:
    before = settings(pane)
    show(pane, tmp_path, arguments, before="ulimit -c 0;")
    ready(pane, "all 16 ", "?: help")
    assert settings(pane) != before
    if end is signal.SIGQUIT:
        pane.press("C-\\")
    elif end is not None:
        (child,) = children(pane)
        os.kill(child, end)
    assert pane.exit_code() == code
    assert settings(pane) == before
    nothing_of_the_view(pane)


@pytest.mark.parametrize("stdin", ["</dev/null", "<&-", "<<X\nX"], ids=["null", "closed", "file"])
def test_without_keys_there_is_a_view_and_no_hint(pane: Pane, tmp_path: Path, stdin: str) -> None:
    before = settings(pane)
    show(pane, tmp_path, "16", after=stdin)
    screen = ready(pane, "all 16 ")
    assert "help" not in "\n".join(screen)
    assert settings(pane) == before
    pane.press("C-c")
    assert pane.exit_code() == 0
    nothing_of_the_view(pane)


@pytest.mark.parametrize("choice", ["LC_ALL=C", "LC_ALL= LANG=C", "PYTHONIOENCODING=ascii"])
def test_a_terminal_without_unicode_gets_ascii(pane: Pane, tmp_path: Path, choice: str) -> None:
    pane.resize(100, 24)
    show(pane, tmp_path, "16", before=choice)
    screen = ready(pane, "all 16 ", "last 60 s", "####")
    assert "\n".join(screen).isascii()
    pane.press("C-c")
    assert pane.exit_code() == 0
