"""Which sockets are ready: an epoll of the engine's own below the event loop's.

One call tells all that are ready, one look-up finds whose each is, and one stamp is the time of all of them.  A handle
of the event loop for each socket costs more, per event and most of all per connection that is opened.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Protocol

_READABLE = select.EPOLLIN
_AT_ONCE = 512


class Owner(Protocol):
    """Who owns a socket."""

    def readable(self, found_ns: int) -> None:
        """There is something to read; when that was found."""

    def ready(self, events: int, found_ns: int) -> None:
        """These bits of epoll(7) are set, anything but EPOLLIN alone; when that was found."""

    def begin(self, now_ns: int) -> None:
        """What it asked for with `then`."""


class Readiness:
    """Tells owners what is ready, until it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now_ns: Callable[[], int]) -> None:
        self._loop = loop
        self._now_ns = now_ns
        self._owners: dict[int, Owner] = {}
        self._after: list[Owner] = []
        self.then: Callable[[Owner], None] = self._after.append
        """Have `owner` begin once all that is ready now has been told.

        Requests that go out one after another find a server awake; each one that has to wake it costs the client more
        than all that it does itself.
        """
        self._seen: dict[int, int] = {}  # when it was found, of what is ready and has not been told
        self._epoll = select.epoll()
        loop.add_reader(self._epoll.fileno(), self._tell)

    def watch(self, descriptor: int, owner: Owner) -> None:
        """Tell `owner` when there is something to read."""
        self._owners[descriptor] = owner
        self._epoll.register(descriptor, _READABLE)

    def want_writable(self, descriptor: int, wanted: bool) -> None:
        """Also tell when it can be written to; or no longer."""
        self._epoll.modify(descriptor, _READABLE | select.EPOLLOUT if wanted else _READABLE)

    def unwatch(self, descriptor: int) -> None:
        """Tell nothing of it for a while."""
        self._epoll.unregister(descriptor)

    def forget(self, descriptor: int) -> None:
        """It is about to be closed, which takes it out of the epoll."""
        del self._owners[descriptor]
        self._seen.pop(descriptor, None)

    def look(self) -> None:
        """Note when what is ready was found; it is told in its turn.

        For whoever keeps the loop busy with many things at once: nobody else's reply shall wait for them.
        """
        if found := self._epoll.poll(0, _AT_ONCE):
            now_ns, seen = self._now_ns(), self._seen
            for descriptor, events in found:
                if events & ~select.EPOLLOUT:  # that a request can go on is no reply
                    seen.setdefault(descriptor, now_ns)

    def close(self) -> None:
        """Tell nothing any more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _tell(self) -> None:
        owners, seen = self._owners, self._seen
        found = self._epoll.poll(0, _AT_ONCE)
        now_ns = self._now_ns()  # not before: nothing may be stamped earlier than it was there
        for descriptor, events in found:
            owner = owners.get(descriptor)
            if owner is None:  # closed in this same turn
                continue
            found_ns = seen.pop(descriptor, now_ns) if seen else now_ns
            if events == _READABLE:
                owner.readable(found_ns)
            else:
                owner.ready(events, found_ns)
        if self._after:
            after, clock = self._after.copy(), self._now_ns
            self._after.clear()
            for owner in after:
                owner.begin(clock())
