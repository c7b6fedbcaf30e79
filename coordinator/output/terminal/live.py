"""The live view on a terminal, and the choice between it and plain lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.live import Live

from coordinator.output.terminal.plain import Line, PlainView, news
from coordinator.output.terminal.runview import RunView
from coordinator.output.terminal.screen import Screen

T = TypeVar("T")
Shown = TypeVar("Shown", contravariant=True)


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

    `draw` makes a renderable that fits any terminal.
    """

    def __init__(self, console: Console, draw: Callable[[T], RenderableType]) -> None:
        self._console = console
        self._draw = draw
        self._live: Live | None = None
        self._size = console.size

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def update(self, view: T) -> None:
        """Draw `view` at the terminal's present size."""
        size = self._console.size
        if size != self._size:
            self._begin_anew(size)
        if self._live is not None:
            self._live.update(self._draw(view), refresh=True)

    def _begin_anew(self, size: ConsoleDimensions) -> None:
        # A terminal that became narrower has wrapped the old lines: where they begin now is not known.
        self._stop()
        self._console.clear()
        self._size = size
        self._start()

    def _start(self) -> None:
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
        if self._live is not None:
            self._live.stop()
            self._live = None


def open_view(console: Console) -> View[RunView]:
    """The view of a spec run that fits the console."""
    return choose_view(console, Screen, news)


def choose_view(console: Console, draw: Callable[[T], RenderableType], tell: Callable[[T], Iterable[Line]]) -> View[T]:
    """The live screen where the terminal can move its cursor, plain lines everywhere else.

    `draw` makes the screen, `tell` the lines.
    """
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console, draw)
    return PlainView(console, tell)
