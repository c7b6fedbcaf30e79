"""A session: the stream slots that share a TCP connection.

Usually a session has one link.  It opens a further one when the server allows fewer streams than the session has
slots, and a new one when the old one is retired.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from socket import socket

from loadgen.engine.agenda import LOOK_EVERY
from loadgen.engine.context import EngineContext
from loadgen.engine.dialing import connect_outcome, dial
from loadgen.engine.http2.link import Link
from loadgen.engine.http2.parts import Beginner, Carrier, Stream
from loadgen.engine.http2.requests import Request
from loadgen.engine.http2.sealed import Sealed
from loadgen.engine.http2.slot import StreamSlot
from loadgen.engine.remarks import Remarks
from loadgen.engine.resolve import Address
from loadgen.model.target import Target


class Requests:
    """The requests of a tape to one target, each made when it is first played."""

    def __init__(self, context: EngineContext, target: Target) -> None:
        self._context = context
        self._authority = target.host_header.encode()
        self._tls = target.tls
        self._known: dict[int, Request] = {}

    def get(self, row: int, number: int) -> Request:
        """The request of `row` on the slot with that number; one with values is made anew each time."""
        found = self._known.get(row)
        if found is None:
            found = Request.of(self._context.request(row, b"", number), self._authority, tls=self._tls)
            if not self._context.tape.templates[row]:
                self._known[row] = found
        return found


class Session:
    """The slots with the global connection numbers `numbers`, to the target with index `index`."""

    def __init__(
        self,
        context: EngineContext,
        numbers: Sequence[int],
        index: int,
        requests: Requests,
        *,
        streams: int,
        host: str,
        tls_context: ssl.SSLContext | None,
        address: Address,
        sources: Sequence[str],
        turn: int,
        remarks: Remarks,
        window_bytes: int,
        resume: bool,
    ) -> None:
        self.context = context
        self.first = numbers[0]
        self.streams = streams
        self.remarks = remarks
        self._requests = requests
        self.window_bytes = window_bytes
        self.target = index
        self._host = host
        self._tls_context = tls_context
        self._address = address
        self._sources = sources
        self._turn = turn  # which of the sources is the first one to try
        self._resume = resume
        self.ticket: ssl.SSLSession | None = None
        self._links: list[Link] = []
        self._going: list[Beginner] = []  # slots whose next operation begins when all events are handled
        self._held = 0
        self._is_dirty = False  # a request was given to a link since the last flush
        self.slots = [StreamSlot(self, number, index) for number in numbers]

    def request(self, row: int, number: int) -> Request:
        """The request of `row` of the tape on the slot with that number."""
        return self._requests.get(row, number)

    def submit(self, slot: Stream, now_ns: int) -> None:
        """Send the request of `slot` on a link that has room, or on a new one."""
        link = next((link for link in self._links if link.has_room), None) or self._open(slot, now_ns)
        if link is not None:
            link.add(slot)
            self._is_dirty = True
            if not self._held:
                self._flush()

    def then(self, slot: Beginner) -> None:
        """Begin the next operation of `slot` when all events that are pending now have been handled."""
        if not self._going:
            self.context.readiness.then(self)
        self._going.append(slot)

    def begin(self, now_ns: int) -> None:
        """Begin the operations that were put off by `then`; their requests are handed to the kernel together."""
        going, self._going = self._going, []
        context = self.context
        for at in range(0, len(going), LOOK_EVERY):
            self.hold()
            for slot in going[at : at + LOOK_EVERY]:
                slot.begin(now_ns)
            self.release()
            context.readiness.look()

    def hold(self) -> None:
        """Collect what is to be sent until :meth:`release`."""
        self._held += 1

    def release(self) -> None:
        """Send what was collected since :meth:`hold`."""
        self._held -= 1
        if not self._held:
            self._flush()

    def forget(self, link: Carrier) -> None:
        """`link` is closed."""
        self._links = [one for one in self._links if one is not link]

    def sockets(self) -> Sequence[socket]:
        """The TCP connections of all links."""
        return [link.sock for link in self._links]

    def stop(self) -> None:
        """Close all links."""
        self._going.clear()
        for link in list(self._links):
            link.close()

    def _flush(self) -> None:
        self._held += 1
        self._is_dirty = True
        while self._is_dirty:  # a link that fails may submit requests again
            self._is_dirty = False
            for link in self._links.copy():
                link.flush()
        self._held -= 1

    def _open(self, slot: Stream, now_ns: int) -> Link | None:
        """Begin to connect; None when that failed at once, which `slot` is told."""
        context = self.context
        slot.opened()
        try:
            sock = dial(self._address, self._sources, self._turn, paced=False)
        except OSError as error:
            slot.fail(now_ns, connect_outcome(error))
            return None
        ticket = self.ticket if self._resume else None
        sealed = None if self._tls_context is None else Sealed(self._tls_context, self._host, ticket)
        link = Link(self, sock, sealed, now_ns)
        self._links.append(link)
        context.open_sockets += 1
        context.readiness.watch(sock.fileno(), link)
        return link
