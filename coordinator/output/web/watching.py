"""A live view that is also shown on pages."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from coordinator.output.terminal.live import View
from coordinator.output.web.board import Board


class Watching:
    """A view (coordinator.output.terminal.live.View) that passes each value on: to the terminal, then the pages."""

    def __init__(self, shown: View[Any], board: Board) -> None:
        self._shown = shown
        self._board = board

    def __enter__(self) -> Self:
        self._shown.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.__exit__(kind, error, trace)

    def update(self, view: Any) -> None:
        """Show `view`."""
        self._shown.update(view)
        self._board.update(view)
