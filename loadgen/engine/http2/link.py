"""One TCP connection of a session, with the HTTP/2 state of the h2 library on it.

A link is *retired* when no further stream may be opened on it: after a GOAWAY, or when the server is silent.  Its
running streams go on, and it is closed with the last of them.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections import deque

from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error, StreamClosedError

from loadgen.engine.agenda import LOOK_EVERY
from loadgen.engine.dialing import connect_outcome
from loadgen.engine.http2.client import Uploads, new_client, outcome_of
from loadgen.engine.http2.codes import error_name
from loadgen.engine.http2.frames import GOAWAY, FrameError, Frames, read_goaway
from loadgen.engine.http2.parts import Hub, Phase, Stream
from loadgen.engine.http2.sealed import Sealed
from loadgen.engine.tls_words import tls_words
from loadgen.model.outcome import Outcome

_MAX_OUT_BYTES = 262_144  # bodies wait while so much is not yet accepted by the kernel
_LAST_STREAM = (1 << 31) - 1


class Link:
    """A TCP connection, whose connect has begun on `sock`; `sealed` for TLS."""

    __slots__ = (
        "_active", "_blocked", "_fd", "_frames", "_fresh", "_h2", "_limit", "_next_stream", "_opened_ns", "_out",
        "_sealed", "_session", "_uploads", "_waiting", "carried", "phase", "progress_ns", "retired", "sock",
    )  # fmt: skip

    def __init__(self, session: Hub, sock: socket.socket, sealed: Sealed | None, now_ns: int) -> None:
        self._session = session
        self.sock = sock
        self._fd = sock.fileno()
        self._sealed = sealed
        self._frames = Frames()
        self._limit = session.streams  # streams at once; the server's SETTINGS may lower it
        self._active: dict[int, Stream] = {}  # by stream
        self._waiting: deque[Stream] = deque()  # not sent yet
        self._fresh: list[Stream] = []  # whose requests were not handed to the kernel yet
        self._next_stream = 1
        self._blocked = False  # the kernel accepts no more
        self.phase = Phase.CONNECTING
        self.progress_ns = self._opened_ns = now_ns
        self.retired = False
        self.carried = False  # a reply was complete on it
        self._h2 = new_client(session.window_bytes)
        self._uploads = Uploads(self._h2)
        self._out = b"" if sealed is None else sealed.shake()

    @property
    def has_room(self) -> bool:
        """Whether one more request may be given to the link; before the server's SETTINGS it is not known for sure."""
        return not self.retired and len(self._active) + len(self._waiting) < (self._limit or self._session.streams)

    def add(self, slot: Stream) -> None:
        """Send the request of `slot`, as soon as the link is open."""
        slot.link = self
        if self.phase is Phase.OPEN and len(self._active) < self._limit:
            self._request(slot)
            self._fresh.append(slot)
        else:
            self._waiting.append(slot)

    def expire(self, slot: Stream, *, silent: bool) -> None:
        """Fail the operation of `slot`; a link that is not open fails with all its operations.  See `Carrier`."""
        if self.phase < Phase.OPEN:
            self._lose(Outcome.UNREACHABLE if self.phase is Phase.CONNECTING else Outcome.TIMED_OUT)
            return
        if slot.stream:
            del self._active[slot.stream]
            self._cancel(slot.stream)
        else:
            self._waiting.remove(slot)
        if silent:
            self._retire()
        slot.fail(self._session.context.now_ns(), Outcome.TIMED_OUT)
        self._next()

    def ready(self, events: int, found_ns: int) -> None:
        """Handle epoll events other than EPOLLIN alone: writable, closed, broken."""
        if events & select.EPOLLOUT:
            session = self._session
            session.context.readiness.want_writable(self._fd, False)
            self._blocked = False
            session.hold()
            self._pump()
            session.release()
        if events & ~select.EPOLLOUT and self.phase is not Phase.CLOSED:
            self.readable(found_ns)

    def readable(self, found_ns: int) -> None:
        """Read the available data; `found_ns` is when the socket was found readable."""
        session = self._session
        session.hold()
        try:
            data = self.sock.recv(session.context.read_bytes)
        except BlockingIOError:
            pass
        except OSError as error:
            self._broken(error)
        else:
            if data:
                self._take(data, found_ns)
            else:
                self._broken()
        session.release()

    def flush(self) -> None:
        """Hand to the kernel what is to be sent."""
        if self.phase is Phase.CLOSED:
            return
        if self._sealed is None or self._sealed.ready:
            if self._fresh:
                now_ns = self._session.context.now_ns()
                for slot in self._fresh:
                    slot.handed_over(now_ns)
                self._fresh.clear()
            self._collect()
        if not self._out or self._blocked:
            return
        try:
            taken = self.sock.send(self._out)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self._broken(error)
            return
        if taken and self.phase is Phase.CONNECTING:
            self.phase = Phase.GREETING if self._sealed is None else Phase.SHAKING
            self.progress_ns = self._session.context.now_ns()
        self._out = self._out[taken:]
        if self._out:
            self._blocked = True
            self._session.context.readiness.want_writable(self._fd, True)

    def _collect(self) -> None:
        if plain := self._h2.data_to_send():
            self._out += plain if self._sealed is None else self._sealed.seal(plain)

    def close(self) -> None:
        """Close the TCP connection.  The slots on it are left to the caller."""
        if self.phase is Phase.CLOSED:
            return
        self.phase = Phase.CLOSED
        self.retired = True
        context = self._session.context
        context.tcp.ended(self._session.first, self.sock, context.now_ns() - self._opened_ns)
        context.readiness.forget(self._fd)
        self.sock.close()
        context.open_sockets -= 1
        if self._sealed is not None and self._sealed.ready:
            self._session.ticket = self._sealed.ticket
        self._session.forget(self)

    def _take(self, data: bytes, found_ns: int) -> None:
        self.progress_ns = self._session.context.now_ns()
        sealed = self._sealed
        if sealed is not None:
            sealed.take(data)
            try:
                if not sealed.ready and not self._shake(sealed):
                    return
                data = sealed.open()
            except ssl.SSLError as error:
                self._lose(Outcome.BAD_TLS, said=": ".join(filter(None, tls_words(error))))
                return
        self._read(data, found_ns)
        if sealed is not None and sealed.ended and self.phase is not Phase.CLOSED:
            self._broken()

    def _shake(self, sealed: Sealed) -> bool:
        """Continue the handshake; whether it is complete, and HTTP/2 was agreed."""
        self._out += sealed.shake()
        if not sealed.ready:
            return False
        self._session.context.handshakes[sealed.resumed] += 1
        if not sealed.speaks_http2:
            self._lose(Outcome.BAD_TLS, said="the server did not agree to HTTP/2 in the TLS handshake (ALPN)")
            return False
        self.phase = Phase.GREETING
        return True

    def _read(self, data: bytes, found_ns: int) -> None:
        try:
            for number, (kind, stream, frame) in enumerate(self._frames.take(data), start=1):
                self._take_frame(kind, stream, frame, found_ns)
                if not number % LOOK_EVERY:
                    self._session.context.readiness.look()
                if self.phase is Phase.CLOSED:
                    return
        except FrameError as error:
            self._lose(Outcome.MALFORMED, said=str(error))
            return
        slot = self._active.get(self._frames.unfinished[0])
        if slot is not None:
            slot.progress_ns = self.progress_ns

    def _take_frame(self, kind: int, stream: int, frame: bytes, found_ns: int) -> None:
        slot = self._active.get(stream)
        if slot is not None:
            slot.received += len(frame)
            slot.progress_ns = self.progress_ns
        if kind == GOAWAY:
            self._go_away(*read_goaway(frame))
            return
        try:
            events = self._h2.receive_data(frame)
        except H2Error as error:
            self._wrong_frame(slot, error)
            return
        for event in events:
            self._handle(event, found_ns)

    def _wrong_frame(self, slot: Stream | None, error: H2Error) -> None:
        """End the connection, as HTTP/2 demands; only the stream with the wrong frame is to blame, if it is known."""
        self._collect()  # the GOAWAY that h2 has made
        with contextlib.suppress(OSError):
            self.sock.send(self._out)
        if slot is None:
            self._lose(outcome_of(error), said=f"a wrong frame: {error}")
            return
        self._note(outcome_of(error), f"a wrong frame: {error}")
        del self._active[slot.stream]
        self._lose(None)
        slot.fail(self.progress_ns, outcome_of(error))

    def _handle(self, event: Event, found_ns: int) -> None:
        stream: int = getattr(event, "stream_id", None) or 0  # events of the connection have none
        slot = self._active.get(stream)
        if isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            if slot is not None and event.data and not slot.take_body(event.data):
                del self._active[stream]
                self._cancel(stream)
                slot.give_up_body(self.progress_ns)
        elif isinstance(event, ResponseReceived):
            if slot is not None:
                slot.take_head(event.headers or ())
        elif isinstance(event, StreamEnded):
            self._finish(stream, found_ns)
        elif isinstance(event, StreamReset):
            self._reset(stream, int(event.error_code or 0), by_server=event.remote_reset)
        elif isinstance(event, RemoteSettingsChanged):
            self._settle()
        elif isinstance(event, WindowUpdated):
            self._pump()

    def _finish(self, stream: int, found_ns: int) -> None:
        slot = self._active.pop(stream, None)
        if slot is None:
            return
        self.carried = True
        if stream in self._uploads:  # the server does not want the rest of the request
            self._cancel(stream)
        slot.complete(found_ns if found_ns >= slot.sent_ns else self.progress_ns)
        self._next()

    def _reset(self, stream: int, code: int, *, by_server: bool) -> None:
        self._uploads.forget(stream)
        slot = self._active.pop(stream, None)
        if slot is None:  # its reply was complete, or it timed out
            return
        if by_server:
            self._session.remarks.add(f"RST_STREAM with {error_name(code)}")
        if code == ErrorCodes.REFUSED_STREAM and by_server and slot.may_repeat:
            slot.repeat(self.progress_ns)
        else:
            slot.fail(self.progress_ns, Outcome.RESET if by_server else Outcome.MALFORMED)
        self._next()

    def _settle(self) -> None:
        """Follow the server's SETTINGS."""
        session = self._session
        allowed = self._h2.remote_settings.max_concurrent_streams
        self._limit = min(session.streams, allowed)
        if self._limit < session.streams:
            session.remarks.add(f"the server allows {allowed:,} streams per connection, fewer than asked")
        if self.phase is Phase.GREETING:
            self.phase = Phase.OPEN
            self.progress_ns = session.context.now_ns()
        self._next()
        # The requests that have no room go to further connections.  A limit of 0 is a pause, which the server ends.
        while self._limit and self._waiting and not self.retired:
            session.submit(self._waiting.pop(), self.progress_ns)
        self._pump()

    def _next(self) -> None:
        """Send requests that wait, as many as may be sent; a retired link is closed with its last stream."""
        while self._waiting and not self.retired and self.phase is Phase.OPEN and len(self._active) < self._limit:
            self._request(self._waiting.popleft())
        self._end_if_idle()

    def _request(self, slot: Stream) -> None:
        stream = self._next_stream
        self._next_stream += 2
        if self._next_stream > _LAST_STREAM:
            self._retire()
        request = slot.request
        self._active[stream] = slot
        slot.stream = stream
        self._h2.send_headers(stream, request.fields, end_stream=not request.body)
        if request.body:
            self._uploads.add(stream, request.body)
            self._pump()

    def _pump(self) -> None:
        """Send as much of the bodies as flow control and the kernel allow."""
        if self.phase is Phase.OPEN:
            self._uploads.pump(self._has_space)

    def _has_space(self) -> bool:
        """Move what h2 has made to the output; whether more should be made."""
        self._collect()
        return len(self._out) < _MAX_OUT_BYTES

    def _cancel(self, stream: int) -> None:
        self._uploads.forget(stream)
        with contextlib.suppress(StreamClosedError):  # both sides had ended it
            self._h2.reset_stream(stream, ErrorCodes.CANCEL)

    def _go_away(self, last_stream: int, code: int) -> None:
        """Let the streams up to `last_stream` go on: the others were not processed."""
        self._session.remarks.add(f"GOAWAY with {error_name(code)}")
        self._retire()
        for stream in [stream for stream in self._active if stream > last_stream]:
            self._uploads.forget(stream)
            self._active.pop(stream).not_processed(self.progress_ns)
        self._end_if_idle()

    def _retire(self) -> None:
        if not self.retired:
            self.retired = True
            waiting, self._waiting = self._waiting, deque()
            for slot in waiting:
                self._session.submit(slot, self.progress_ns)

    def _end_if_idle(self) -> None:
        if self.retired and not self._active and not self._waiting:
            self.flush()
            self.close()

    def _broken(self, error: OSError | None = None) -> None:
        """Handle an error of the socket, or without one its end: the server closed the connection."""
        if error is not None and self.phase is Phase.CONNECTING:
            self._lose(connect_outcome(error))
        else:
            within = Outcome.CLOSED_EARLY if error is None else Outcome.RESET
            self._lose(Outcome.BAD_TLS if self.phase is Phase.SHAKING else None, within)

    def _note(self, outcome: Outcome, said: str) -> None:
        self._session.remarks.add(said)
        self._session.context.show(self._session.target, outcome, said.encode())

    def _lose(self, outcome: Outcome | None, within: Outcome = Outcome.CLOSED_EARLY, said: str = "") -> None:
        """Close, and fail all operations with `outcome`; None: each by itself, `within` if its reply had begun."""
        if outcome is not None and said:
            self._note(outcome, said)
        stream, size = self._frames.unfinished
        if (slot := self._active.get(stream)) is not None:
            slot.received += size
        slots = [*self._active.values(), *self._waiting]
        self._active, self._waiting = {}, deque()
        self.close()
        now_ns = self._session.context.now_ns()
        for slot in slots:
            if outcome is None:
                slot.lost(now_ns, within, kept=self.carried)
            else:
                slot.fail(now_ns, outcome)
