"""Wakes connections at the times they ask for: a heap and one timer of the kernel.

At high rates one timer for all connections, in steps, costs less CPU than a timer for each.  A step adds at most its
length to the lateness.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Protocol

from loadgen.engine.timer import Alarm

STEP_NS = 500_000
"""Wakes are at multiples of this.  Timers of uvloop have steps of 1 ms, and may fire 1.5 ms early."""

LOOK_EVERY = 16
"""Operations that are begun in a row, in about 0.2 ms, before the agenda looks for replies that have arrived."""

_WAKES = 64
_TURN_NS = 2_000_000
"""Wakes in a row, and their time, before the event loop has a turn.  Without a bound, operations that become due faster
than they begin would keep the engine from reading replies, from its lease and from its end.
"""

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
        self._alarm: Alarm | None = None  # from the first entry of a segment on

    def push(self, at_ns: int, sleeper: Sleeper) -> None:
        """Wake `sleeper` at `at_ns` or up to STEP_NS later.  A sleeper may have one entry at a time."""
        heapq.heappush(self._heap, (at_ns, sleeper.number, sleeper))
        if at_ns < self._armed_ns:
            self._arm(at_ns, self._now_ns())

    def clear(self) -> None:
        """Remove all entries without waking them."""
        self._heap.clear()
        self._armed_ns = _NEVER
        if self._alarm is not None:
            self._loop.remove_reader(self._alarm.descriptor)
            self._alarm.close()
            self._alarm = None

    def _arm(self, at_ns: int, now_ns: int) -> None:
        if self._alarm is None:
            self._alarm = Alarm()
            self._loop.add_reader(self._alarm.descriptor, self._fire)
        self._armed_ns = at_ns
        self._alarm.set(-(-max(at_ns, now_ns) // STEP_NS) * STEP_NS)

    def _fire(self) -> None:
        self._armed_ns = -1  # pushes must not arm the timer here: it is armed once, below
        heap, now_ns = self._heap, self._now_ns
        now, woken = now_ns(), 0
        until = now + _TURN_NS
        while heap and heap[0][0] <= now and woken < _WAKES and now < until:
            sleeper = heapq.heappop(heap)[2]
            sleeper.wake(now)
            woken += 1
            if not woken % LOOK_EVERY:
                self._look()
            now = now_ns()
        if heap and heap[0][0] <= now:
            return  # the alarm stays readable: this goes on after the turn of the loop
        self._armed_ns = _NEVER
        if heap:
            self._arm(heap[0][0], now)
        elif self._alarm is not None:
            self._alarm.clear()
