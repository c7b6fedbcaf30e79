"""Reports which sockets are ready: an epoll of the engine's own, itself registered with the event loop.

One call returns all ready sockets, one look-up finds the owner of each, and one time-stamp serves all of them.
A reader of the event loop for each socket costs more per event, and much more per connection that is opened.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Protocol

_READABLE = select.EPOLLIN
_AT_ONCE = 512


class Owner(Protocol):
    """The owner of a socket, which handles its events."""

    def readable(self, found_ns: int) -> None:
        """The socket has bytes to read, which was found at `found_ns`."""

    def ready(self, events: int, found_ns: int) -> None:
        """The socket has `events` of epoll(7), other than EPOLLIN alone, which was found at `found_ns`."""


class Beginner(Protocol):
    """An object that `then` calls back."""

    def begin(self, now_ns: int) -> None:
        """Begin an operation, as requested with `then`."""


class Readiness:
    """Tells the owners of sockets about their events, until `close`.  Times are of the clock `now_ns`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now_ns: Callable[[], int]) -> None:
        self._loop = loop
        self._now_ns = now_ns
        self._owners: dict[int, Owner] = {}
        self._after: list[Beginner] = []
        self.then: Callable[[Beginner], None] = self._after.append
        """Call `begin` of an object after all events that are pending now have been handled.

        Requests sent one right after another find the server awake.  Waking the server costs the client more CPU than
        all its own work on a request.
        """
        self._seen: dict[int, int] = {}  # by descriptor: when `look` found it ready, if its owner has not been told yet
        self._epoll = select.epoll()
        loop.add_reader(self._epoll.fileno(), self._tell)

    def watch(self, descriptor: int, owner: Owner) -> None:
        """Tell `owner` when `descriptor` is readable."""
        self._owners[descriptor] = owner
        self._epoll.register(descriptor, _READABLE)

    def want_writable(self, descriptor: int, wanted: bool) -> None:
        """Begin or stop to tell the owner also when `descriptor` is writable."""
        self._epoll.modify(descriptor, _READABLE | select.EPOLLOUT if wanted else _READABLE)

    def unwatch(self, descriptor: int) -> None:
        """Stop telling the owner about `descriptor`, until it is watched again."""
        self._epoll.unregister(descriptor)

    def forget(self, descriptor: int) -> None:
        """Forget `descriptor`, which is about to be closed; closing removes it from the epoll."""
        del self._owners[descriptor]
        self._seen.pop(descriptor, None)

    def look(self) -> None:
        """Note now which sockets are ready; their owners are told in their turn, with this time.

        Called between many operations that begin in one turn of the loop, so that their duration is not added to the
        response times of replies that arrive meanwhile.
        """
        if found := self._epoll.poll(0, _AT_ONCE):
            now_ns, seen = self._now_ns(), self._seen
            for descriptor, events in found:
                if events & ~select.EPOLLOUT:  # EPOLLOUT alone is not a reply
                    seen.setdefault(descriptor, now_ns)

    def catch_up(self) -> None:
        """Tell the owners now about all sockets that are ready now."""
        for _ in range(len(self._owners) // _AT_ONCE + 1):
            if self._tell() < _AT_ONCE:
                return

    def close(self) -> None:
        """Stop, and close the epoll."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _tell(self) -> int:
        owners, seen = self._owners, self._seen
        found = self._epoll.poll(0, _AT_ONCE)
        now_ns = self._now_ns()  # after the poll: no event may be stamped before it happened
        for descriptor, events in found:
            owner = owners.get(descriptor)
            if owner is None:  # closed in the same turn
                continue
            found_ns = seen.pop(descriptor, now_ns) if seen else now_ns
            if events == _READABLE:
                owner.readable(found_ns)
            else:
                owner.ready(events, found_ns)
        if self._after:
            after, clock = self._after.copy(), self._now_ns
            self._after.clear()
            for one in after:
                one.begin(clock())
        return len(found)
