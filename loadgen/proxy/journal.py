"""A line for each connection, in a file.  A thread writes the lines, so that a slow disk does not hold up traffic."""

from __future__ import annotations

import contextlib
import datetime
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loadgen.model.address import format_address
from loadgen.model.errors import PlanError
from loadgen.model.units import NS_PER_MS, NS_PER_S

_MOST_WAITING = 10_000


class Journal:
    """Writes to the end of the file `path`.  Raises PlanError when the file cannot be opened.

    `now_ns` is the time of day in ns since 1970.  `dropped`: lines that the file took too slowly, or not at all.
    """

    def __init__(self, path: Path, now_ns: Callable[[], int]) -> None:
        try:
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise PlanError(f"cannot write the log {path}: {error.strerror}", hint="name another file") from error
        self._now_ns = now_ns
        self._waiting: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()
        self.dropped = 0

    def note(self, client: tuple[Any, ...], end: str, **facts: object) -> None:
        """Add a line: the time, the client's address, `facts`, and how the connection ended."""
        found = {"client": say_address(client), **facts, "end": end}
        at = datetime.datetime.fromtimestamp(self._now_ns() / NS_PER_S, datetime.UTC).isoformat(timespec="milliseconds")
        fields = (f"{name}={value}" for name, value in found.items())
        try:
            self._waiting.put_nowait(f"{at.replace('+00:00', 'Z')} {' '.join(fields)}\n")
        except queue.Full:
            self.dropped += 1

    def close(self, within_s: float) -> None:
        """Write the lines that wait, and close the file; lines that take longer than `within_s` seconds are lost."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=within_s)
        self._writer.join(within_s)

    def _write(self) -> None:
        while (line := self._waiting.get()) is not None:
            self._try(line)
        try:
            self._file.close()
        except OSError:
            self.dropped += 1

    def _try(self, line: str) -> None:
        try:
            self._file.write(line)
            if self._waiting.empty():
                self._file.flush()
        except OSError:  # the disk is full
            self.dropped += 1


def milliseconds(duration_ns: int) -> str:
    """A duration as text in ms, with three decimals."""
    return f"{duration_ns / NS_PER_MS:.3f}"


def say_address(sockaddr: tuple[Any, ...]) -> str:
    """HOST:PORT of a socket address."""
    return format_address(sockaddr[0], sockaddr[1])
