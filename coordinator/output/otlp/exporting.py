"""The export of a command's live views by OTLP, from before its first run until its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from coordinator.output.otlp.endpoint import check_installed
from coordinator.output.terminal.live import View

if TYPE_CHECKING:  # most commands send nothing
    from coordinator.output.otlp.sender import Sender

Exported = Callable[[View[Any]], View[Any]]
"""Makes a view that is also sent of one that is only shown."""

_CLOSING_S = 2.0
"""How long the end of a command waits for the last message: a receiver must not keep the user waiting."""


@contextlib.asynccontextmanager
async def exporting(endpoint: str, say: Callable[[str], None]) -> AsyncIterator[Exported]:
    """Send the views to the receiver at `endpoint`, until the end of the context; "" sends nothing.

    `say` shows the user one line of text.  Raises PlanError when OpenTelemetry is not installed.
    """
    if not endpoint:
        yield _as_it_is
        return
    check_installed()
    from coordinator.output.otlp.sender import Sender, exporter_to

    loop = asyncio.get_running_loop()

    def tell(text: str) -> None:
        with contextlib.suppress(RuntimeError):  # the command has ended meanwhile
            loop.call_soon_threadsafe(say, text)

    sender = Sender(exporter_to(endpoint), endpoint, tell)
    sender.start()
    try:
        yield lambda shown: SentView(shown, sender)
    finally:
        await asyncio.shield(loop.run_in_executor(None, sender.close, _CLOSING_S))


def _as_it_is(shown: View[Any]) -> View[Any]:
    return shown


class SentView:
    """A view (coordinator.output.terminal.live.View) that is also sent."""

    def __init__(self, shown: View[Any], sender: Sender) -> None:
        self._shown = shown
        self._sender = sender

    def __enter__(self) -> Self:
        self._shown.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.__exit__(kind, error, trace)

    def update(self, view: Any) -> None:
        """Show `view`, and remember it for the next message."""
        self._shown.update(view)
        self._sender.update(view)
