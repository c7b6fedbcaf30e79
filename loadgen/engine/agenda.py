"""Wakes connections at the times they ask for: a heap and one timer of the event loop.

At high rates one timer for all connections, in steps of a millisecond, costs a third less CPU than a timer for each.
It adds at most that millisecond to the lateness.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Protocol

from loadgen.model.units import NS_PER_MS

LOOK_EVERY = 16
"""Operations that are begun in a row, in about 0.2 ms, before the agenda looks for replies that have arrived."""

_NEVER = 1 << 63


class Sleeper(Protocol):
    """An object that the agenda wakes.  Sleepers that are due at the same time are woken in the order of `number`.

    Sleepers with equal numbers need an order of their own (`<`).
    """

    number: int

    def wake(self, now_ns: int) -> None:
        """Continue: the time passed to `Agenda.push` has come."""


class Agenda:
    """A timer queue.  All times are of the clock `now_ns`.  `look` is called after every LOOK_EVERY wakes in a row."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now_ns: Callable[[], int], look: Callable[[], None]) -> None:
        self._loop = loop
        self._now_ns = now_ns
        self._look = look
        self._heap: list[tuple[int, int, Sleeper]] = []
        self._armed_ns = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def push(self, at_ns: int, sleeper: Sleeper) -> None:
        """Wake `sleeper` at `at_ns` or up to a millisecond later.  A sleeper may have one entry at a time."""
        heapq.heappush(self._heap, (at_ns, sleeper.number, sleeper))
        if at_ns < self._armed_ns:
            self._arm(at_ns, self._now_ns())

    def clear(self) -> None:
        """Remove all entries without waking them."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed_ns = _NEVER

    def _arm(self, at_ns: int, now_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_ns = at_ns
        wait_ms = max(1, -(-(at_ns - now_ns) // NS_PER_MS))
        self._timer = self._loop.call_later(wait_ms / 1000, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._armed_ns = -1  # pushes must not arm the timer here: it is armed once, below
        heap, now_ns = self._heap, self._now_ns
        now, woken = now_ns(), 0
        while heap and heap[0][0] <= now:
            sleeper = heapq.heappop(heap)[2]
            sleeper.wake(now)
            woken += 1
            if not woken % LOOK_EVERY:
                self._look()
            now = now_ns()
        self._armed_ns = _NEVER
        if heap:
            self._arm(heap[0][0], now)
