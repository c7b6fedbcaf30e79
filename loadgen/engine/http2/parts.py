"""The three parts of HTTP/2 in the engine as they see each other: sessions own links and slots, which do not know them.

A :class:`Stream` is a stream slot, a :class:`Carrier` is a TCP connection, and a :class:`Hub` is the session of both.
"""

from __future__ import annotations

import enum
import ssl
from collections.abc import Sequence
from socket import socket
from typing import Protocol

from loadgen.engine.context import EngineContext
from loadgen.engine.http2.requests import Request
from loadgen.engine.remarks import Remarks
from loadgen.model.outcome import Outcome


class Phase(enum.IntEnum):
    """How far a carrier is."""

    CONNECTING = 0
    SHAKING = 1  # TLS
    GREETING = 2  # the client's SETTINGS are sent, the server's have not arrived
    OPEN = 3
    CLOSED = 4


class Carrier(Protocol):
    """A TCP connection as slots see it.  `progress_ns`: when the server last sent anything."""

    phase: Phase
    progress_ns: int

    def expire(self, slot: Stream, *, silent: bool) -> None:
        """Fail the operation of `slot`, which waited too long.  `silent`: the server has sent nothing meanwhile."""


class Stream(Protocol):
    """A slot as carriers see it, while it has an operation.  `stream` is 0 until its request was sent."""

    request: Request
    sent_ns: int
    progress_ns: int
    received: int
    stream: int
    link: Carrier | None

    def opened(self) -> None:
        """A TCP connection is opened for the operation."""

    def handed_over(self, now_ns: int) -> None:
        """The request is handed to the kernel now."""

    def take_head(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Process the header fields of the reply."""

    def take_body(self, data: bytes) -> bool:
        """Process bytes of the body.  False when it is far longer than expected."""

    def give_up_body(self, now_ns: int) -> None:
        """Fail the operation, because `take_body` returned False."""

    def complete(self, now_ns: int) -> None:
        """The reply is complete."""

    @property
    def may_repeat(self) -> bool:
        """Whether a request that the server did not process may be sent once more."""

    def repeat(self, now_ns: int) -> None:
        """Send the request once more."""

    def not_processed(self, now_ns: int) -> None:
        """The server went away and did not process the request."""

    def lost(self, now_ns: int, within: Outcome, *, kept: bool) -> None:
        """The TCP connection ended; `within` is the outcome if the reply had begun."""

    def fail(self, now_ns: int, outcome: Outcome) -> None:
        """The operation failed."""


class Hub(Protocol):
    """A session as its carriers and slots see it.  `streams` is the number of slots that may share a carrier.

    `ticket` is the TLS session of the last carrier.  `first` is the lowest number of its slots.
    """

    context: EngineContext
    first: int
    target: int
    streams: int
    remarks: Remarks
    window_bytes: int
    ticket: ssl.SSLSession | None

    def request(self, row: int, number: int) -> Request:
        """The request of a row of the tape on the slot with that number."""

    def submit(self, slot: Stream, now_ns: int) -> None:
        """Send the request of `slot`."""

    def then(self, slot: Beginner) -> None:
        """Begin the next operation of `slot` when all events that are pending now have been handled."""

    def hold(self) -> None:
        """Collect what is to be sent until :meth:`release`."""

    def release(self) -> None:
        """Send what was collected since :meth:`hold`."""

    def forget(self, link: Carrier) -> None:
        """`link` is closed."""

    def stop(self) -> None:
        """Close all carriers."""

    def sockets(self) -> Sequence[socket]:
        """The TCP connections of all carriers."""


class Beginner(Protocol):
    """A slot that can begin its next operation."""

    def begin(self, now_ns: int) -> None:
        """Begin the operation, which is due."""
