"""The given number of operations of a segment: how many are left to begin, and when the last one was done."""

from __future__ import annotations

import sys
from collections.abc import Callable

_UNLIMITED = sys.maxsize


class Quota:
    """`requests` operations of a closed loop's `connections`.  An open loop gives 0, and says when none is left.

    A segment without a given number of operations has no quota: a connection then counts nothing.

    `done` is called once, when no connection has anything to do any more.
    """

    __slots__ = ("_connections", "_done", "_idle", "_now_ns", "_requests", "done_ns", "left")

    def __init__(self, requests: int, connections: int, now_ns: Callable[[], int], done: Callable[[], object]) -> None:
        self._requests = requests
        self._connections = connections
        self._now_ns = now_ns
        self._done = done
        self.start()

    def start(self) -> None:
        """Begin a segment."""
        self.left = self._requests or _UNLIMITED
        self.done_ns = 0
        self._idle = 0

    def take(self) -> bool:
        """Whether a connection may begin one more operation; if not, the connection has nothing to do any more."""
        if self.left <= 0:
            self.retire()
            return False
        self.left -= 1
        return True

    def close(self, idle: int) -> None:
        """No operation is left to begin, and `idle` connections have nothing to do."""
        self.left = 0
        self._idle = idle - 1
        self.retire()

    def retire(self) -> None:
        """One more connection has nothing to do."""
        self._idle += 1
        if self._idle >= self._connections and not self.done_ns:
            self.done_ns = self._now_ns()
            self._done()
