"""The live view on a terminal, and the choice between it and plain lines."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar
from weakref import WeakKeyDictionary

from rich.console import Console
from rich.live import Live

from coordinator.output.stderr import settle, waiting_s
from coordinator.output.terminal.frame import Frame, LiveScreen
from coordinator.output.terminal.keys import Controls, Decoder, Key, Order, Window, press, press_all
from coordinator.output.terminal.plain import Line, PlainView
from coordinator.output.terminal.tty import (
    Handlers,
    Keyboard,
    descriptor_of,
    in_foreground,
    moves_cursor,
    stdin_keyboard,
)

T = TypeVar("T")
Shown = TypeVar("Shown", contravariant=True)

DRAW_S = 0.1
"""Keys and new sizes change the screen at most so often: each drawing takes CPU from the engines on this machine."""

STALLED_S = 2.0
"""A terminal that takes no output for so long has stopped; a slow connection takes a screen in this time."""

_ORDERS: WeakKeyDictionary[Console, Order | None] = WeakKeyDictionary()
"""The order that the user chose on a console: the view of the next run of an experiment begins with it."""


class View(Protocol[Shown]):
    """Shows a run in progress.  It is a context manager: leaving it restores the terminal."""

    def __enter__(self) -> Self:
        """Take over the terminal, until the view is left."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the terminal, also after an error."""

    def update(self, view: Shown, /) -> None:
        """Show `view`; it may be called any number of times."""


class LiveView(Generic[T]):
    """Redraws in place on a terminal, and clears the view when it ends: the report follows.

    `draw` makes a screen of a value and of what the user chose by keys.  Keys are read while this process is in the
    foreground; in the background, the lines of `aside` are printed instead of the screen.  While the terminal takes no
    output, nothing is drawn.
    """

    def __init__(self, console: Console, draw: Callable[[T, Controls], LiveScreen], aside: View[T]) -> None:
        self._console = console
        self._draw = draw
        self._aside = aside
        self._live: Live | None = None
        self._size = console.size
        self._terminal = descriptor_of(console.file)
        self._controls = Controls(order=_ORDERS.get(console))
        self._view: T | None = None
        self._decoder = Decoder()
        self._keyboard: Keyboard | None = None
        self._handlers = Handlers(leave=self._leave, back=self._return, resized=self._draw_soon)
        self._due: asyncio.TimerHandle | None = None  # until then, nothing is drawn for keys and sizes
        self._asked = False  # there is something to draw when it is due

    def __enter__(self) -> Self:
        self._handlers.set()
        if _has_loop():
            self._keyboard = stdin_keyboard(self._typed)
        self._redraw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._handlers.unset()
        try:
            self._stop()
        finally:
            if self._keyboard is not None:
                self._keyboard.close()
                self._keyboard = None

    def update(self, view: T) -> None:
        """Draw `view` at the terminal's present size."""
        self._view = view
        if Key.ESCAPE in self._decoder.idle():
            self._controls = press(self._controls, Key.ESCAPE, self._window())
            _ORDERS[self._console] = self._controls.order
        self._redraw()

    def _ours(self) -> bool:
        """Whether the terminal is ours to draw on; one that nobody controls is."""
        return self._terminal is None or in_foreground(self._terminal) is not False

    def _redraw(self) -> None:
        """Draw the newest value, if there is one; in the background, pass it on."""
        if not self._ours():
            if self._live is not None:  # this process went into the background without a signal
                self._stop()
            if self._view is not None:
                self._aside.update(self._view)
            return
        if waits_s := waiting_s(self._console):
            if waits_s > STALLED_S and self._live is not None:
                self._stop()  # lines that are printed meanwhile wait without a screen below them
            self._draw_later()
            return
        size = self._console.size
        if self._live is None:
            self._start()
        elif size != self._size:
            self._begin_anew()
        if self._live is not None and self._view is not None:
            controls = dataclasses.replace(self._controls, keys=self._keyboard is not None and self._keyboard.taken)
            self._live.update(Frame(self._draw(self._view, controls), controls), refresh=True)

    def _typed(self, data: bytes) -> None:
        before = self._controls
        if keys := self._decoder.feed(data):
            self._controls = press_all(before, keys, self._window())
            if Key.SORT in keys:
                _ORDERS[self._console] = self._controls.order
        if self._controls != before:
            self._draw_soon()

    def _draw_soon(self) -> None:
        """Draw at once, or `DRAW_S` after the last time."""
        if self._due is not None:
            self._asked = True
            return
        self._redraw()
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(DRAW_S, self._draw_due)

    def _draw_later(self) -> None:
        self._asked = True
        if self._due is None and _has_loop():
            self._due = asyncio.get_running_loop().call_later(DRAW_S, self._draw_due)

    def _draw_due(self) -> None:
        self._due = None
        if self._asked:
            self._asked = False
            self._draw_soon()

    def _window(self) -> Window:
        if self._view is None:
            return Window()
        return self._draw(self._view, self._controls).window(*self._console.size)

    def _leave(self) -> None:
        """Leave the terminal to the shell, which writes to it at once."""
        self._stop()
        settle(self._console)

    def _return(self) -> None:
        """Begin anew: another process may have drawn, and set the terminal, in the meantime."""
        if self._live is not None:
            self._stop()
        self._redraw()

    def _begin_anew(self) -> None:
        # A terminal that became narrower has wrapped the old lines: where they begin now is not known.
        self._stop()
        self._console.clear()
        self._start()

    def _start(self) -> None:
        self._size = self._console.size
        if self._keyboard is not None:
            self._keyboard.take()
        # stdout is not redirected: it carries the result, and may be a pipe.
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            vertical_overflow="crop",
        )
        self._live.start()

    def _stop(self) -> None:
        """Clear the screen's lines, show the cursor, and give the terminal's settings back."""
        try:
            if self._live is not None:
                self._live.stop()
        finally:
            self._live = None
            if self._keyboard is not None:
                self._keyboard.give_back()


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def choose_view(
    console: Console, draw: Callable[[T, Controls], LiveScreen], tell: Callable[[T], Iterable[Line]]
) -> View[T]:
    """The live screen where the terminal can move its cursor, plain lines everywhere else.

    `draw` makes the screen, `tell` the lines.
    """
    plain = PlainView(console, tell)
    if moves_cursor(console):
        return LiveView(console, draw, plain)
    return plain
