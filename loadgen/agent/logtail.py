"""Log lines of an agent on their way to the coordinator, which keeps them with the run."""

from __future__ import annotations

import logging

_MAX_LINES = 200
_MAX_LINE = 500  # characters


class LogTail(logging.Handler):
    """Keeps lines until they are taken: the first 200, and the number of the others.

    It is also a logging handler for warnings and errors.  Any thread may add lines.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: list[str] = []
        self._dropped = 0

    def add(self, line: str) -> None:
        """Keep a line; only its first 500 characters are kept."""
        self.acquire()
        try:
            if len(self._lines) < _MAX_LINES:
                self._lines.append(line[:_MAX_LINE])
            else:
                self._dropped += 1
        finally:
            self.release()

    def take(self) -> tuple[list[str], int]:
        """Return the lines since the last call, and how many more were dropped."""
        self.acquire()
        try:
            lines, dropped = self._lines, self._dropped
            self._lines, self._dropped = [], 0
        finally:
            self.release()
        return lines, dropped

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning of a library: its text, and the last line of its traceback."""
        text = f"{record.name}: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        self.add(" ".join(text.split()))
