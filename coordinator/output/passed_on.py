"""A live view that is also shown elsewhere: on pages, or by OTLP."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol, Self

from coordinator.output.terminal.live import View


class Follower(Protocol):
    """An object that takes each value of a live view."""

    def update(self, view: Any) -> None:
        """Take the newest value."""


class PassedOn:
    """A view (coordinator.output.terminal.live.View) that passes each value on: to `shown`, then to `follower`."""

    def __init__(self, shown: View[Any], follower: Follower) -> None:
        self._shown = shown
        self._follower = follower

    def __enter__(self) -> Self:
        self._shown.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.__exit__(kind, error, trace)

    def update(self, view: Any) -> None:
        """Show `view`, and pass it on."""
        self._shown.update(view)
        self._follower.update(view)
