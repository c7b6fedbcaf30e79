"""One stream slot: what a connection is in HTTP/1.1.  It plays one operation at a time, each as a stream of its own."""

from __future__ import annotations

from collections.abc import Sequence
from socket import socket

from loadgen.engine.body import BodyCheck
from loadgen.engine.doing import Doing
from loadgen.engine.http2.parts import Carrier, Hub, Phase
from loadgen.engine.http2.requests import NOTHING
from loadgen.measure.record import CONNECTED, RESTED, RETRIED, STATUS_SHIFT
from loadgen.model.outcome import Outcome

_RESTING, _READING, _STOPPED = Doing.RESTING, Doing.READING, Doing.STOPPED
_OK = Outcome.OK


class StreamSlot:
    """A slot with the global connection number `number`, of a session."""

    __slots__ = (
        "_check",
        "_checked",
        "_cookie",
        "_doing",
        "_due_ns",
        "_flags",
        "_row",
        "_session",
        "_set_cookie",
        "_status",
        "link",
        "number",
        "progress_ns",
        "received",
        "request",
        "sent_ns",
        "stream",
        "target",
    )

    def __init__(self, session: Hub, number: int, target: int) -> None:
        self.number = number
        self.target = target
        self._session = session
        self._check = BodyCheck()
        self._checked = False
        self._cookie = b""
        self._set_cookie = b""
        self._doing = _STOPPED
        self._row = 0
        self._due_ns = 0
        self._flags = 0
        self._status = 0
        self.request = NOTHING
        self.sent_ns = 0
        self.progress_ns = 0
        self.received = 0
        self.link: Carrier | None = None
        self.stream = 0  # 0: the request was not sent yet

    def start(self, row: int, due_ns: int) -> None:
        """Play from `row`, whose operation is due at `due_ns` (closed loop)."""
        self._row = row
        self._rest_until(due_ns)

    def offer(self) -> None:
        """Become free for any operation (open loop)."""
        self._doing = _RESTING

    def play(self, row: int, due_ns: int, now_ns: int) -> None:
        """Play the operation of `row` now (open loop).  The slot must be free."""
        self._row = row
        self._due_ns = due_ns
        self.begin(now_ns)

    def wake(self, now_ns: int) -> None:
        """Continue: the operation is due, or the rest after an error has ended."""
        if self._doing is not _RESTING:
            return
        dispatcher = self._session.context.dispatcher
        if dispatcher is None:
            self.begin(now_ns)
        else:
            dispatcher.free(self, self.target, now_ns)

    def begin(self, now_ns: int) -> None:
        """Begin the operation, which is due."""
        tape, quota, row = self._session.context.tape, self._session.context.quota, self._row
        if quota is not None and not quota.take():
            return
        self.request = self._session.request(row, self.number)
        self._checked = tape.checked[row]
        self._cookie = tape.cookies[row]
        self._flags = 0
        self.sent_ns = now_ns
        self._submit(now_ns)

    def expire(self, now_ns: int, timeout_ns: int) -> None:
        """Fail the operation if nothing has happened for `timeout_ns`."""
        link = self.link
        if self._doing is not _READING or link is None:
            return
        since_ns = self.progress_ns if link.phase is Phase.OPEN else max(self.progress_ns, link.progress_ns)
        if now_ns - since_ns > timeout_ns or now_ns - abs(self.sent_ns) > self._session.context.request_ns:
            self._session.hold()
            link.expire(self, silent=now_ns - link.progress_ns > timeout_ns)
            self._session.release()

    def sockets(self) -> Sequence[socket]:
        """The TCP connections of the session, for its first slot."""
        return self._session.sockets() if self.number == self._session.first else ()

    def stop(self, now_ns: int) -> None:
        """End the segment: an operation in progress is recorded as CUT, and the session's connections are closed."""
        if self._doing is _READING:
            self._record(now_ns, Outcome.CUT)
        self._doing = _STOPPED
        self._session.stop()

    def opened(self) -> None:
        """Note that a TCP connection is opened for the operation."""
        self._flags |= CONNECTED

    def handed_over(self, now_ns: int) -> None:
        """The request is handed to the kernel now: what came before, such as its encoding, was the client's own."""
        if not self._flags & RETRIED:
            self.sent_ns = now_ns

    def take_head(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Process the header fields of the reply."""
        status = b""
        for name, value in headers:
            if name == b":status":
                status = value
            elif name == b"set-cookie" and not self._set_cookie:
                self._set_cookie = value.split(b";", 1)[0].strip()
        self._status = int(status) if status.isdigit() and len(status) == 3 else 0

    def take_body(self, data: bytes) -> bool:
        """Process bytes of the body.  False when it is far longer than expected, or wrong in a way that ends it."""
        return not self._checked or self._check.look(data, 0, len(data))

    def give_up_body(self, now_ns: int) -> None:
        """Fail the operation, because `take_body` returned False."""
        is_right = self._status in self._session.context.tape.right_statuses[self._row]
        self.fail(now_ns, self._check.verdict() if is_right else Outcome.BAD_STATUS)

    def complete(self, now_ns: int) -> None:
        """Judge the reply, which is complete, record the operation, and go on."""
        if not self._status:
            self.fail(now_ns, Outcome.MALFORMED)
            return
        self._flags |= self._status << STATUS_SHIFT
        if self._status not in self._session.context.tape.right_statuses[self._row]:
            outcome = Outcome.BAD_STATUS
        else:
            outcome = self._check.verdict() if self._checked else _OK
            if now_ns - self.sent_ns > self._session.context.request_ns and outcome is _OK:
                outcome = Outcome.TIMED_OUT
            if outcome is _OK and self._cookie and self._set_cookie != self._cookie:
                outcome = Outcome.BAD_COOKIE
        self._record(now_ns, outcome)
        self._go_on(now_ns)

    @property
    def may_repeat(self) -> bool:
        """Whether a request that the server did not process may be sent once more."""
        return not self._flags & RETRIED

    def repeat(self, now_ns: int) -> None:
        """Send the request once more.  The operation keeps the times when it was due and first sent."""
        self._flags |= RETRIED
        self._submit(now_ns)

    def not_processed(self, now_ns: int) -> None:
        """The server went away and said that it did not process the request: send it once more, or fail."""
        if self.may_repeat:
            self.repeat(now_ns)
        else:
            self.fail(now_ns, Outcome.NO_REPLY)

    def lost(self, now_ns: int, within: Outcome, *, kept: bool) -> None:
        """The TCP connection ended.  `kept`: it had carried replies, so the server may have closed it between two.

        As in HTTP/1.1, a request that meets such a close is sent once more if its method allows that.  Otherwise it
        fails, but no rest follows.
        """
        closed_between = kept and not self.received and self.may_repeat
        if closed_between and self.request.idempotent:
            self.repeat(now_ns)
        elif closed_between:
            self._record(now_ns, Outcome.NO_REPLY)
            self._go_on(now_ns)
        else:
            self.fail(now_ns, within if self.received else Outcome.NO_REPLY)

    def fail(self, now_ns: int, outcome: Outcome) -> None:
        """Record a failed operation, rest, then go on with the next row."""
        self._flags |= RESTED
        if not self.stream and not self._flags & RETRIED:
            self.sent_ns = -abs(self.sent_ns)  # no request was sent
        self._record(now_ns, outcome)
        context = self._session.context
        if context.quota is not None and context.quota.left <= 0:
            self._doing = _RESTING
            context.quota.retire()
            return
        self._row = context.tape.next_rows[self._row]
        self._rest_until(max(now_ns, self._due_ns) + context.error_rest_ns)

    def _submit(self, now_ns: int) -> None:
        self.progress_ns = now_ns
        self.received = 0
        self.stream = 0
        self._status = 0
        self._set_cookie = b""
        self._doing = _READING
        if self._checked:
            tape = self._session.context.tape
            self._check.begin(tape.spec(self._row), tape.literals[self._row])
        self._session.submit(self, now_ns)

    def _go_on(self, now_ns: int) -> None:
        """Go on without a rest."""
        context = self._session.context
        self._doing = _RESTING
        if context.dispatcher is not None:
            context.dispatcher.free(self, self.target, context.now_ns())
            return
        self._row = context.tape.next_rows[self._row]
        self._due_ns = now_ns
        self._session.then(self)

    def _rest_until(self, due_ns: int) -> None:
        self._due_ns = due_ns
        self._doing = _RESTING
        self._session.context.agenda.push(due_ns, self)

    def _record(self, done_ns: int, outcome: Outcome) -> None:
        if outcome is Outcome.CUT and not self.stream and not self._flags & RETRIED:
            self.sent_ns = -abs(self.sent_ns)
        self.link = None
        self._session.context.records.put(
            self._due_ns, self.sent_ns, done_ns, self.received, self._row, self.number, outcome, self._flags
        )
