"""Keeps Dask's log lines off the user's terminal, for example those about foreign clients that connect to the port."""

from __future__ import annotations

import collections
import logging
from typing import Self

_KEPT = 200
_NAMES = ("distributed", "tornado")


class QuietLogs(logging.Handler):
    """A context manager: inside, all loggers of Dask and Tornado write to it only; it keeps the last 200 `lines`."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: collections.deque[str] = collections.deque(maxlen=_KEPT)
        self._before: list[tuple[logging.Logger, list[logging.Handler], bool]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a log record as one line."""
        self.lines.append(f"{record.name}: {record.getMessage()}")

    def __enter__(self) -> Self:
        below = tuple(f"{name}." for name in _NAMES)
        names = [name for name in logging.root.manager.loggerDict if name.startswith(below)]
        for logger in map(logging.getLogger, [*_NAMES, *names]):
            self._before.append((logger, logger.handlers, logger.propagate))
            logger.handlers = [self] if logger.name in _NAMES else []
            logger.propagate = logger.name not in _NAMES
        return self

    def __exit__(self, *_: object) -> None:
        for logger, handlers, propagate in self._before:
            logger.handlers, logger.propagate = handlers, propagate
        self._before.clear()
