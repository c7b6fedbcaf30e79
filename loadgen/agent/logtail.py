"""What an agent has to say besides its measurements: the last warnings, for the coordinator to show."""

from __future__ import annotations

import logging

_MAX_LINES = 200
_MAX_LINE = 500  # characters


class LogTail(logging.Handler):
    """Keeps lines until they are taken; of more than 200 it keeps the first and counts the others.

    As a handler it takes warnings and worse.  Any thread may add lines.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: list[str] = []
        self._dropped = 0

    def add(self, line: str) -> None:
        """Keep a line; long ones are cut."""
        self.acquire()
        try:
            if len(self._lines) < _MAX_LINES:
                self._lines.append(line[:_MAX_LINE])
            else:
                self._dropped += 1
        finally:
            self.release()

    def take(self) -> tuple[list[str], int]:
        """The lines since the last time, and how many more there were."""
        self.acquire()
        try:
            lines, dropped = self._lines, self._dropped
            self._lines, self._dropped = [], 0
        finally:
            self.release()
        return lines, dropped

    def emit(self, record: logging.LogRecord) -> None:
        """A warning of some library: its text, and the last line of its traceback."""
        text = f"{record.name}: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        self.add(" ".join(text.split()))
