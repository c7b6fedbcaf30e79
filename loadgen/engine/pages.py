"""Pages with embedded objects: a user loads a page, and then its objects over several TCP connections in parallel.

The operation is the page: it has one record, from the request of the page to the last byte of the last object.  The
objects are the rows after the row of the page that have the flag EMBEDDED, in their order.  The first is requested when
the whole page is there.  A TCP connection requests the next object when it has all of the one before, and when its part
of the line allows that.

A page ends as its first failed request did.  No more objects are requested then; those that are under way are read,
and those that wait for the line are given up when it is their turn.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from loadgen.engine.connection import Connection
from loadgen.engine.context import EngineContext
from loadgen.engine.doing import Doing
from loadgen.measure.record import CONNECTED, MORE_CONNECTS_SHIFT, MOST_MORE_CONNECTS, RESTED, RETRIED, STATUS_SHIFT
from loadgen.model.outcome import Outcome
from loadgen.schedule.optape import EMBEDDED

_RESTING, _CONNECTING, _, _, _, _STOPPED = Doing
_OK = Outcome.OK


class _Lane(Connection):
    """One of the TCP connections of `user`, which has an equal part of the user's line."""

    __slots__ = ("_user", "fetches")

    def __init__(
        self, user: User, context: EngineContext, number: int, target: int, host_line: bytes, sources: Sequence[str]
    ) -> None:
        super().__init__(context, number, target, host_line, sources=sources)
        self._user = user
        self.fetches = False  # whether an embedded object is under way, or waits for the line

    def __lt__(self, other: _Lane) -> bool:
        """False: in the agenda, those of a user that are due at the same time may come in any order."""
        return False

    def begin(self, now_ns: int) -> None:
        """Begin the request, which is due, unless it is of an object whose page has failed."""
        if self.fetches and self._user.has_failed:
            self._user.give_up(self._due_ns)
            self._go_on(now_ns)
        else:
            super().begin(now_ns)

    def fetch(self, row: int, now_ns: int) -> None:
        """Request the object of `row` as soon as the bytes of the request before have crossed the line."""
        context = self._context
        self.fetches = True
        self._row = row
        free_ns = self._sent_ns + int(self._received * context.ns_per_byte * context.tape.lanes)
        if free_ns > now_ns:
            self._rest_until(free_ns)
        else:
            self._due_ns = now_ns
            self._doing = _RESTING
            context.readiness.then(self)

    def halt(self) -> None:
        """End the segment without a record."""
        self._doing = _STOPPED
        self.fetches = False
        self._flags = 0
        self._close()

    @property
    def under_way(self) -> bool:
        """Whether a request was begun whose reply is not complete."""
        return self._doing not in (_RESTING, _STOPPED)

    @property
    def taken(self) -> tuple[int, int]:
        """The bytes and the flags of the request that is under way."""
        return self._received, self._flags

    def _record(self, done_ns: int, outcome: Outcome) -> None:
        if done_ns - self._sent_ns > self._context.request_ns and outcome is _OK:
            outcome = Outcome.TIMED_OUT
        self._user.add(self._begun_ns(), done_ns, self._received, outcome, self._flags)
        self._flags = 0

    def _begun_ns(self) -> int:
        """When the request was begun; negative if no TCP connection came about."""
        unsent = self._doing is _CONNECTING and not self._received and not self._flags & RETRIED
        return -self._sent_ns if unsent else self._sent_ns

    def _go_on(self, now_ns: int, thinks: bool = True) -> None:
        self._doing = _RESTING
        self.fetches = False
        self._user.freed(now_ns)

    def _rest_after_error(self, now_ns: int) -> None:
        self._go_on(now_ns)

    def _pause_if_ahead(self, now_ns: int) -> None:
        context = self._context
        crossed_ns = self._sent_ns + int(self._received * context.ns_per_byte * context.tape.lanes)
        if crossed_ns > now_ns:
            context.readiness.unwatch(self._fd)
            self._doing = Doing.PAUSED
            context.agenda.push(crossed_ns, self)


class User(_Lane):
    """A user slot: the first of its TCP connections, which requests the pages, and the others.

    For closed loops without a given number of operations.  The parameters are those of Connection.
    """

    __slots__ = (
        "_begun", "_bytes", "_connects", "_done_ns", "_ended_as", "_flags_of_page", "_lanes", "_next_object", "_page",
        "_page_due_ns", "_status",
    )  # fmt: skip

    def __init__(
        self, context: EngineContext, number: int, target: int, host_line: bytes, *, sources: Sequence[str]
    ) -> None:
        super().__init__(self, context, number, target, host_line, sources)
        more = range(1, context.tape.lanes)
        self._lanes = [self, *(_Lane(self, context, number, target, host_line, sources) for _ in more)]
        self._forget()

    def _forget(self) -> None:
        """Prepare for the next page."""
        self._page = -1  # its row, once its own reply is there
        self._next_object = 0
        self._page_due_ns = self._begun = self._done_ns = self._bytes = self._connects = 0
        self._flags_of_page = self._status = 0  # the status is that of the page, or of the request that failed
        self._ended_as = _OK

    def start(self, row: int, due_ns: int) -> None:
        """Play from the page of `row`, which is due at `due_ns`."""
        self._forget()
        super().start(row, due_ns)

    def expire(self, now_ns: int, timeout_ns: int) -> None:
        """Fail each request that takes too long."""
        for lane in self._lanes:
            Connection.expire(lane, now_ns, timeout_ns)

    def sockets(self) -> Sequence[socket.socket]:
        """The open TCP connections."""
        return [sock for lane in self._lanes for sock in Connection.sockets(lane)]

    def stop(self, now_ns: int) -> None:
        """End the segment: a page in progress is recorded with the bytes so far, as CUT unless it has failed."""
        if self._page >= 0 or self.under_way:
            if self._page < 0:
                self._page, self._page_due_ns, self._begun = self._row, self._due_ns, self._begun_ns()
            for lane in self._lanes:
                if lane.under_way:
                    self._count(*lane.taken)
            self._flags_of_page &= ~RESTED  # nobody rests after the end
            if not self.has_failed:
                self._ended_as, self._status = Outcome.CUT, 0
            self._write(now_ns, self._ended_as)
        self._forget()
        for lane in self._lanes:
            lane.halt()

    @property
    def has_failed(self) -> bool:
        """Whether a request of the page has failed."""
        return self._ended_as is not _OK

    def give_up(self, due_ns: int) -> None:
        """Do without an object for which the line was free at `due_ns`: the rest does not begin before."""
        self._done_ns = max(self._done_ns, due_ns)

    def add(self, begun_ns: int, done_ns: int, received: int, outcome: Outcome, flags: int) -> None:
        """Add a request that has ended to the page; the first is that of the page itself."""
        if self._page < 0:
            self._page, self._page_due_ns, self._begun = self._row, self._due_ns, begun_ns
            self._next_object = self._row + 1
            self._status = flags >> STATUS_SHIFT
        self._done_ns = max(self._done_ns, done_ns)
        if self._ended_as is _OK and outcome is not _OK:
            self._ended_as, self._status = outcome, flags >> STATUS_SHIFT
        self._count(received, flags)

    def freed(self, now_ns: int) -> None:
        """Give the next objects to the TCP connections that are free, or end the page."""
        flags = self._context.tape.flags
        if self._ended_as is _OK:
            for lane in self._lanes:
                at = self._next_object
                if not lane.fetches and at < len(flags) and flags[at] & EMBEDDED:
                    self._next_object = at + 1
                    lane.fetch(at, now_ns)
        if not any(lane.fetches for lane in self._lanes):
            self._end()

    def _count(self, received: int, flags: int) -> None:
        self._bytes += received
        self._connects += flags & CONNECTED
        self._flags_of_page |= flags & ((1 << STATUS_SHIFT) - 1)

    def _end(self) -> None:
        """Record the page, and go on as after any operation."""
        done_ns, outcome, page = self._done_ns, self._ended_as, self._page
        rests = bool(self._flags_of_page & RESTED)
        self._write(done_ns, outcome)
        self._due_ns, self._next_row = self._page_due_ns, self._context.tape.next_rows[page]
        self._think_ns = self._context.tape.think_ns[page]
        self._received = self._bytes if outcome is _OK else 0  # no pacing follows a failed operation
        self._forget()
        if rests:
            super(_Lane, self)._rest_after_error(done_ns)
        else:
            super(_Lane, self)._go_on(done_ns, thinks=outcome is _OK)

    def _write(self, done_ns: int, outcome: Outcome) -> None:
        more = min(max(self._connects - 1, 0), MOST_MORE_CONNECTS) << MORE_CONNECTS_SHIFT
        flags = self._flags_of_page | more | self._status << STATUS_SHIFT
        self._context.records.put(
            self._page_due_ns, self._begun, done_ns, self._bytes, self._page, self.number, outcome, flags
        )
