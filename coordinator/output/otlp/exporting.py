"""The export of a command's live views by OTLP, from before its first run until its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from coordinator.output.otlp.endpoint import check_installed
from coordinator.output.passed_on import PassedOn
from coordinator.output.terminal.live import View

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
        yield lambda shown: PassedOn(shown, sender)
    finally:
        await asyncio.shield(loop.run_in_executor(None, sender.close, _CLOSING_S))


def _as_it_is(shown: View[Any]) -> View[Any]:
    return shown
