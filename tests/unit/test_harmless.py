"""A live view that fails costs nothing: it is said once, and lines follow."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest
from rich.console import Console

from coordinator.output.harmless import Harmless
from coordinator.output.terminal.live import View, choose_view
from coordinator.output.terminal.plain import Line
from tests.support.unread import a_terminal


class Odd:
    """A view that fails in one of its methods."""

    def __init__(self, bad: str) -> None:
        self.calls: list[str] = []
        self.bad = bad

    def _do(self, name: str) -> None:
        self.calls.append(name)
        if name == self.bad:
            raise ZeroDivisionError(name)

    def __enter__(self) -> Odd:
        self._do("enter")
        return self

    def __exit__(self, *_: object) -> None:
        self._do("exit")

    def update(self, view: Any) -> None:
        self._do("update")


@pytest.mark.parametrize(
    ("bad", "calls"),
    [
        ("enter", ["enter", "exit"]),
        ("update", ["enter", "update", "exit"]),
        ("exit", ["enter", "update", "update", "exit", "exit"]),
    ],
)
def test_whatever_fails_is_said_once_and_the_view_is_left(bad: str, calls: list[str]) -> None:
    odd, said = Odd(bad), list[str]()
    opened: list[View[Any]] = []

    def open_view(console: Console) -> View[Any]:
        opened.append(
            odd if not opened else choose_view(console, _no_screen, lambda view: [Line(view, f"line {view}")])
        )
        return opened[-1]

    out = io.StringIO()
    with Harmless(open_view, Console(file=out), said.append) as view:
        view.update(1)
        view.update(2)
    assert odd.calls == calls
    assert said[0].startswith("Traceback")
    assert "ZeroDivisionError" in said[0]
    assert said[1].startswith("the live view stopped, the run goes on: this is a bug in loadgen")
    assert len(said) == 2
    assert out.getvalue().split("line ")[1:] == {"enter": ["1\n", "2\n"], "update": ["2\n"], "exit": []}[bad]


def test_lines_that_fail_too_are_left_without_a_word() -> None:
    said: list[str] = []
    with Harmless(lambda _: Odd("update"), Console(file=io.StringIO()), said.append) as view:
        for number in range(5):
            view.update(number)
    assert len(said) == 2


def _no_screen(*_: object) -> Any:
    raise ZeroDivisionError("no screen")


def test_a_screen_that_cannot_be_drawn_gives_the_terminal_back_and_lines_follow() -> None:
    with a_terminal() as ends, os.fdopen(ends.inner, "w", encoding="utf-8", closefd=False) as stream:
        console = Console(file=stream, _environ={"TERM": "xterm"})
        said: list[str] = []
        with Harmless(
            lambda one: choose_view(one, _no_screen, lambda view: [Line(view, f"line {view}")]), console, said.append
        ) as view:
            view.update(1)
            view.update(2)
        shown = ends.read_all().decode()
    assert "ZeroDivisionError: no screen" in said[0]
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1
    assert shown.index("\x1b[?25h") < shown.index("line 2")
