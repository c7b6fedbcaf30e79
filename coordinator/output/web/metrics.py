"""The metrics of a running command as text: written once for all who ask for them between two changes."""

from __future__ import annotations

import asyncio

from coordinator.output.prometheus import write_metrics
from coordinator.output.watched import Watched
from coordinator.output.web.board import Board
from coordinator.output.web.worker import Worker


class Metrics:
    """Writes the metrics of a board, and keeps the newest text of each format."""

    def __init__(self, board: Board, worker: Worker) -> None:
        self._board = board
        self._worker = worker
        self._kept: dict[str, tuple[Watched, asyncio.Task[bytes]]] = {}

    async def text(self, form: str) -> bytes:
        """The metrics of this moment in the format `form`."""
        watched = self._board.watched
        kept = self._kept.get(form)
        if kept is None or kept[0] is not watched:
            writing = self._worker.make(lambda: write_metrics(watched, form).encode(), lambda: True)
            kept = self._kept[form] = (watched, asyncio.ensure_future(writing))
        return await asyncio.shield(kept[1])  # others wait for it, too
