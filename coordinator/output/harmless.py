"""A live view that cannot cost a run: whatever is wrong with it, the run goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rich.console import Console

from coordinator.faults import say_stopped
from coordinator.output.terminal.live import View


class Harmless:
    """A view (coordinator.output.terminal.live.View) that `open_view` opens on a console.

    When it fails, this is said once with its traceback, and plain lines follow; nothing, when these fail, too.
    """

    def __init__(self, open_view: Callable[[Console], View[Any]], console: Console, say: Callable[[str], None]) -> None:
        self._open = open_view
        self._console = console
        self._say = say
        self._shown: View[Any] | None = open_view(console)
        self._failed = False

    def __enter__(self) -> Self:
        self._try(lambda shown: shown.__enter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._try(lambda shown: shown.__exit__(kind, error, trace))

    def update(self, view: Any) -> None:
        """Show `view`, if that is possible."""
        self._try(lambda shown: shown.update(view))

    def _try(self, act: Callable[[View[Any]], object]) -> None:
        if self._shown is None:
            return
        try:
            act(self._shown)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a view, the run goes on
            self._leave(self._shown, error)

    def _leave(self, broken: View[Any], error: Exception) -> None:
        self._shown = None
        with contextlib.suppress(Exception):
            broken.__exit__(None, None, None)  # gives the terminal back
        if self._failed:
            return
        self._failed = True
        say_stopped("the live view", error, self._say)
        with contextlib.suppress(Exception):
            self._shown = self._open(Console(file=self._console.file, force_terminal=False))
