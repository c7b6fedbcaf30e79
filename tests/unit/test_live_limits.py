"""What a terminal does to a live view costs the engines little: pastes, dragged windows, output that stops."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from coordinator.output.stderr import patient_console
from coordinator.output.terminal import live
from coordinator.output.terminal.keys import Controls, Order
from coordinator.output.terminal.live import LiveView
from coordinator.output.terminal.plain import PlainView, news
from coordinator.output.terminal.runview import RunView
from coordinator.output.terminal.screen import Screen
from tests.support.unread import Ends, a_terminal
from tests.support.views import run_view

HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"


class Drawn:
    """Makes screens, and remembers for which choices of the user."""

    def __init__(self) -> None:
        self.controls: list[Controls] = []

    def __call__(self, view: RunView, controls: Controls) -> Screen:
        self.controls.append(controls)
        return Screen(view, controls)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[bytes], None]]:
    """The functions that take what is typed, instead of a keyboard."""
    found: list[Callable[[bytes], None]] = []

    def no_keyboard(on_bytes: Callable[[bytes], None]) -> None:
        found.append(on_bytes)

    monkeypatch.setattr(live, "stdin_keyboard", no_keyboard)
    return found


@contextlib.contextmanager
def stderr_on_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    monkeypatch.setenv("TERM", "xterm")
    with (
        a_terminal() as ends,
        os.fdopen(ends.inner, "w", encoding="utf-8", closefd=False) as stream,
        monkeypatch.context() as patch,
    ):
        patch.setattr(sys, "stderr", stream)
        yield ends


async def read_until(ends: Ends, *texts: bytes) -> bytes:
    """Read until these texts came, one after the other."""
    found, at = b"", 0
    async with asyncio.timeout(30):
        for text in texts:
            while (place := found.find(text, at)) < 0:
                await asyncio.sleep(0.02)
                found += ends.read_all()
            at = place + len(text)
    return found


def view_on(console: Console, drawn: Drawn) -> LiveView[RunView]:
    return LiveView(console, drawn, PlainView(console, news))


def test_a_paste_makes_few_screens(typed: list[Callable[[bytes], None]], monkeypatch: pytest.MonkeyPatch) -> None:
    async def paste() -> tuple[list[Controls], float]:
        with stderr_on_terminal(monkeypatch) as ends, patient_console() as console:
            drawn = Drawn()
            with view_on(console, drawn) as view:
                view.update(run_view(1024))
                drawn.controls.clear()
                began_s = asyncio.get_running_loop().time()
                for _ in range(20):
                    typed[0](b"j" * 4096)
                    ends.read_all()
                    await asyncio.sleep(0)
                await asyncio.sleep(3 * live.DRAW_S)
                took_s = asyncio.get_running_loop().time() - began_s
                ends.read_all()
            return drawn.controls, took_s

    made, took_s = asyncio.run(paste())
    assert made[-1].order is Order.WORST
    assert len(made) <= 20 + took_s / live.DRAW_S + 2  # one for each chunk, and those that are drawn


def test_a_window_that_is_dragged_is_drawn_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drag() -> int:
        with stderr_on_terminal(monkeypatch) as ends, patient_console() as console:
            drawn = Drawn()
            with view_on(console, drawn) as view:
                view.update(run_view())
                drawn.controls.clear()
                began_s = asyncio.get_running_loop().time()
                for width in range(60, 110):
                    termios.tcsetwinsize(ends.inner, (24, width))
                    os.kill(os.getpid(), signal.SIGWINCH)
                    await asyncio.sleep(0.002)
                    ends.read_all()
                await asyncio.sleep(3 * live.DRAW_S)
                took_s = asyncio.get_running_loop().time() - began_s
                ends.read_all()
            assert len(drawn.controls) <= took_s / live.DRAW_S + 2
            return len(drawn.controls)

    assert asyncio.run(drag()) > 0


def test_a_terminal_that_stops_gets_no_frames_and_then_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STALLED_S", 0.2)

    async def stall() -> tuple[bytes, int]:
        with stderr_on_terminal(monkeypatch) as ends, patient_console() as console:
            drawn = Drawn()
            with view_on(console, drawn) as view:
                view.update(run_view())
                await asyncio.sleep(0.2)
                ends.read_all()
                termios.tcflow(ends.inner, termios.TCOOFF)
                for number in range(60):
                    view.update(run_view(elapsed_s=float(number)))
                    if number == 50:
                        console.print("a line")
                    await asyncio.sleep(0.01)
                drawn_meanwhile = len(drawn.controls)
                termios.tcflow(ends.inner, termios.TCOON)
                return await read_until(ends, b"a line", b"vm16"), drawn_meanwhile

    shown, drawn_meanwhile = asyncio.run(stall())
    assert drawn_meanwhile <= 4
    before, after = shown.split(b"a line\r\n")
    assert before.count(SHOW) == 1  # the screen was left: nothing is below the lines that wait
    assert HIDE in after
    assert len(shown) < 40_000


def test_the_end_does_not_wait_for_a_terminal_that_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def end() -> None:
        with stderr_on_terminal(monkeypatch) as ends:
            with patient_console() as console, view_on(console, Drawn()) as view:
                view.update(run_view())
                termios.tcflow(ends.inner, termios.TCOOFF)
                for number in range(10):
                    view.update(run_view(elapsed_s=float(number)))
                    console.print("a line")
                    await asyncio.sleep(0.01)
            termios.tcflow(ends.inner, termios.TCOON)
            await read_until(ends, SHOW)

    asyncio.run(end())


def test_the_next_run_of_an_experiment_keeps_the_order(typed: list[Callable[[bytes], None]]) -> None:
    async def two_runs() -> list[Order | None]:
        console = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm"})
        first, second, third = Drawn(), Drawn(), Drawn()
        with view_on(console, first) as view:
            view.update(run_view())
            typed[-1](b"s")
        with view_on(console, second) as view:
            view.update(run_view())
            typed[-1](b"\x1b")
            view.update(run_view())
        with view_on(console, third) as view:
            view.update(run_view())
        return [drawn.controls[-1].order for drawn in (first, second, third)] + [second.controls[0].order]

    assert asyncio.run(two_runs()) == [Order.WORST, None, None, Order.WORST]
