"""One simultaneous connection: a user slot that plays operations one after another, over TCP connections of its own.

No task, coroutine or object is created per operation, and every socket error becomes an Outcome.  A connection
decides nothing about the load: the tape and the player say what is due when.

The socket is bare and non-blocking (see readiness.py) instead of an asyncio transport.  That is cheaper per
operation and much cheaper per connect (three of eight operations open a TCP connection), and it gives access to
errno and to the moment of sending.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence

from loadgen.engine.body import BodyCheck
from loadgen.engine.context import EngineContext
from loadgen.engine.dialing import connect_outcome, dial
from loadgen.engine.doing import Doing
from loadgen.engine.head import wants_tls
from loadgen.engine.http1 import DONE, IDEMPOTENT, MORE, ReplyReader
from loadgen.engine.records import PACK, ROW_BYTES
from loadgen.measure.record import CONNECTED, RESTED, RETRIED, STATUS_SHIFT, SURPLUS
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from loadgen.schedule.optape import CLOSE_AFTER, NO_BODY

_RESTING, _CONNECTING, _SENDING, _READING, _PAUSED, _STOPPED = Doing  # a global is cheaper than an enum member
_OK = Outcome.OK


class Connection:
    """A connection to the target with index `target`.

    `number` is the global connection number, `host_line` the request's Host header line, and `sources` the local
    addresses to connect from, by number in turn (none leaves the address to the kernel).
    """

    __slots__ = (
        "_bodyless", "_born_ns", "_check", "_checked", "_closes", "_context", "_cookie", "_doing", "_due_ns", "_fd",
        "_flags", "_host_line", "_next_row", "_out", "_prepared_row", "_progress_ns", "_reader", "_received",
        "_request", "_right", "_row", "_sent_ns", "_sock", "_sources", "_tape", "_think_ns", "_used", "number",
        "target",
    )  # fmt: skip

    def __init__(
        self, context: EngineContext, number: int, target: int, host_line: bytes, *, sources: Sequence[str]
    ) -> None:
        self.number, self.target = number, target
        self._context = context
        self._tape = context.tape
        self._host_line, self._sources = host_line, sources
        self._reader = ReplyReader(context.known_heads)
        self._check = BodyCheck()
        self._sock: socket.socket | None = None
        self._fd = -1
        self._doing = _STOPPED
        self._row = self._received = 0
        self._due_ns = self._sent_ns = self._progress_ns = self._born_ns = 0
        self._flags = 0  # those of RECORD_DTYPE, of the current operation, or of the next one
        self._prepared_row = -1  # the row that the next eight fields belong to
        self._request = self._cookie = b""
        self._checked = False  # whether the body of the reply is checked
        self._right: frozenset[int] = frozenset()  # accepted statuses
        self._closes = False
        self._bodyless = False  # the reply has no body
        self._next_row = self._think_ns = 0
        self._used = True  # whether the reader must begin anew before the next reply
        self._out = b""  # the part of the request that the kernel has not accepted yet

    def start(self, row: int, due_ns: int) -> None:
        """Play from `row`, whose operation is due at `due_ns` (closed loop)."""
        self._row = row
        self._rest_until(due_ns)

    def offer(self) -> None:
        """Become free for any operation (open loop)."""
        self._doing = _RESTING

    def play(self, row: int, due_ns: int, now_ns: int) -> None:
        """Play the operation of `row` now (open loop).  The connection must be free."""
        self._row = row
        self._due_ns = due_ns
        self.begin(now_ns)

    def wake(self, now_ns: int) -> None:
        """Continue: the operation is due, the rest after an error has ended, or reading may go on."""
        context = self._context
        if self._doing is _RESTING:
            dispatcher = context.dispatcher
            if dispatcher is None:
                self.begin(now_ns)
            else:
                dispatcher.free(self, self.target, now_ns)
        elif self._doing is _PAUSED:
            self._doing = _READING
            self._progress_ns = now_ns  # the connection itself stopped reading, so the server is not to blame
            context.readiness.watch(self._fd, self)

    def expire(self, now_ns: int, timeout_ns: int) -> None:
        """Fail the operation if nothing has happened for `timeout_ns`, or if it takes too long as a whole."""
        late = now_ns - self._progress_ns > timeout_ns or now_ns - self._sent_ns > self._context.request_ns
        if late and self._doing in (_CONNECTING, _SENDING, _READING):
            self._fail(now_ns, Outcome.UNREACHABLE if self._doing is _CONNECTING else Outcome.TIMED_OUT)

    def stop(self, now_ns: int) -> None:
        """End the segment: an operation in progress is recorded as CUT, and the TCP connection is closed."""
        if self._doing not in (_RESTING, _STOPPED):
            self._record(now_ns, Outcome.CUT)
        self._doing, self._flags = _STOPPED, 0
        self._close()

    def sockets(self) -> Sequence[socket.socket]:
        """The open TCP connection."""
        return () if self._sock is None else (self._sock,)

    def begin(self, now_ns: int) -> None:
        """Begin the operation, which is due."""
        quota, row = self._context.quota, self._row
        if quota is not None and not quota.take():
            return
        self._sent_ns = self._progress_ns = now_ns
        self._received = 0
        if row != self._prepared_row:
            self._prepare(row)
        self._out = self._request
        if self._checked:
            self._check.begin(self._tape.spec(row), self._tape.literals[row])
            self._reader.begin(self._check, self._bodyless)
        elif self._used:  # a reply like the last one did not need the reader
            self._reader.begin(None, self._bodyless)
            self._used = False
        if self._sock is None and not self._connect(now_ns):
            return
        self._send(now_ns)

    def ready(self, events: int, found_ns: int) -> None:
        """Handle epoll events other than EPOLLIN alone: writable, closed, broken."""
        if events & select.EPOLLOUT:
            self._on_writable()
        if events & ~select.EPOLLOUT:
            self.readable(found_ns)

    def readable(self, found_ns: int) -> None:
        """Read the available data; `found_ns` is when the socket was found readable."""
        sock, context = self._sock, self._context
        if sock is None:  # closed in the same turn of the loop
            return
        try:
            data = sock.recv(context.read_bytes)
        except BlockingIOError:
            return
        except OSError as error:
            self._read_failed(context.now_ns(), error)
            return
        # The wait for this turn is not the server's.  A request that was sent within the turn needs an own stamp.
        now_ns = found_ns if found_ns >= self._sent_ns else context.now_ns()
        if self._doing is _RESTING:
            self._flags = SURPLUS if data else 0  # the server closed an idle connection, or sent unasked bytes
            self._close()
            return
        head, size, status = self._tape.repeats[self._row]
        if len(data) == size and data.startswith(head) and self._doing is _READING and not self._received:
            self._received = size
            self._flags |= status
            self._record(now_ns, _OK)
            self._go_on(now_ns)
        elif data:
            self._take(data, now_ns)
        else:
            self._ended(now_ns)

    def _rest_until(self, due_ns: int) -> None:
        self._due_ns = due_ns
        self._doing = _RESTING
        self._context.agenda.push(due_ns, self)

    def _prepare(self, row: int) -> None:
        """Look up the operation of `row`.  Kept until another row is played."""
        tape = self._tape
        self._used = True
        self._prepared_row = -1 if tape.templates[row] else row  # a request with values is made anew each time
        self._request = self._context.request(row, self._host_line, self.number)
        flags = tape.flags[row]
        self._bodyless = bool(flags & NO_BODY)
        self._checked = tape.checked[row]
        self._right = tape.right_statuses[row]
        self._cookie = tape.cookies[row]
        self._closes = bool(flags & CLOSE_AFTER)
        self._next_row = tape.next_rows[row]
        self._think_ns = tape.think_ns[row]

    def _connect(self, now_ns: int) -> bool:
        """Open a TCP connection; False when it failed at once."""
        context, ways = self._context, self._context.ways[self.target]
        self._doing = _CONNECTING
        try:
            turn, at = divmod(self.number, len(ways.used))
            sock = dial(ways.used[at], self._sources, turn, paced=context.paced_reads)
        except OSError as error:
            self._fail(now_ns, connect_outcome(error))
            return False
        self._sock, self._fd, self._born_ns = sock, sock.fileno(), now_ns
        self._flags |= CONNECTED
        context.open_sockets += 1
        context.readiness.watch(self._fd, self)
        return True

    def _send(self, now_ns: int) -> None:
        """Hand the request to the kernel.  On a new TCP connection, a failed connect is reported here."""
        sock = self._sock
        assert sock is not None
        try:
            taken = sock.send(self._out)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self._fail(now_ns, self._broken(error))
            return
        if taken == len(self._out):
            self._doing = _READING
            self._out = b""
            return
        if taken or self._doing is not _CONNECTING:
            self._doing = _SENDING
            self._out = self._out[taken:]
        self._context.readiness.want_writable(self._fd, True)

    def _on_writable(self) -> None:
        now_ns = self._context.now_ns()
        self._progress_ns = now_ns
        self._context.readiness.want_writable(self._fd, False)
        self._send(now_ns)

    def _read_failed(self, now_ns: int, error: OSError) -> None:
        """Handle an error of recv."""
        if self._doing is _RESTING:
            self._close()
        else:
            self._fail(now_ns, self._broken(error))

    def _ended(self, now_ns: int) -> None:
        """Handle the end of the stream: the server closed the connection."""
        self._used = True
        ended = self._reader.eof()
        if ended == DONE:
            self._finish(now_ns)
        else:
            self._fail(now_ns, Outcome(ended))

    def _take(self, data: bytes, now_ns: int) -> None:
        """Process `data` of a reply, which is not empty."""
        self._received += len(data)
        self._progress_ns = now_ns
        self._used = True
        result = self._reader.feed(data)
        if result == DONE:
            if self._reader.status == 400 and 400 not in self._right:
                self._context.show(self.target, Outcome.BAD_STATUS, wants_tls(data))
            self._finish(now_ns)
        elif result != MORE:
            outcome = Outcome(result)
            if outcome is Outcome.BAD_LENGTH:  # the body check gave up early
                self._flags |= self._reader.status << STATUS_SHIFT
                outcome = self._check.verdict() if self._reader.status in self._right else Outcome.BAD_STATUS
            else:
                self._context.show(self.target, outcome, self._reader.wrong)
            self._fail(now_ns, outcome)
        elif self._context.paced_reads and not self._out:
            self._pause_if_ahead(now_ns)

    def _pause_if_ahead(self, now_ns: int) -> None:
        """Stop reading until the line speed allows the received bytes."""
        crossed_ns = self._sent_ns + self._received * 8 * NS_PER_S // self._context.line_bps
        if crossed_ns > now_ns:
            self._context.readiness.unwatch(self._fd)
            self._doing = _PAUSED
            self._context.agenda.push(crossed_ns, self)

    def _broken(self, error: OSError) -> Outcome:
        """The outcome of an operation whose socket failed with `error`."""
        if self._doing is _CONNECTING:
            return connect_outcome(error)
        return Outcome.RESET if self._reader.started else Outcome.NO_REPLY

    def _finish(self, now_ns: int) -> None:
        """Judge a complete reply, record the operation, and go on."""
        reader = self._reader
        if reader.status not in self._right:
            outcome = Outcome.BAD_STATUS
        else:
            outcome = self._check.verdict() if self._checked else _OK
            if outcome is _OK and self._cookie and reader.set_cookie() != self._cookie:
                outcome = Outcome.BAD_COOKIE
        # A whole reply shows that the server works.  A paced connection rests nevertheless: the reply that it expected
        # would have taken about as long, and short error pages must not multiply its requests.
        rests = outcome is not _OK and self._context.line_bps > 0
        self._flags |= RESTED * rests | SURPLUS * reader.surplus | reader.status << STATUS_SHIFT
        self._record(now_ns, outcome)
        # If the reply came before the whole request was sent, the next request would be taken for the rest of it.
        if not reader.reusable or self._out or self._closes:
            self._close()
        if rests:
            self._rest_after_error(now_ns)
            return
        if outcome is _OK and self._sock is not None and not self._checked and not self._cookie:
            head = reader.whole_head(self._received)
            if head is not None:
                self._tape.repeats[self._row] = head, self._received, reader.status << STATUS_SHIFT
        self._go_on(now_ns)

    def _go_on(self, now_ns: int, thinks: bool = True) -> None:
        """Go on without a rest: the next operation is due when the line speed allows the bytes of this one.

        In a paced loop, it is due later by the think time if the user `thinks`.
        """
        context = self._context
        if context.dispatcher is not None:
            self._doing = _RESTING
            context.dispatcher.free(self, self.target, context.now_ns())
            return
        self._row = self._next_row
        if context.ns_per_byte:
            # Rounded as in loadgen.measure.fold, which finds the end of this operation: no ns is counted twice.
            due_ns = self._due_ns + int(self._received * context.ns_per_byte + 0.5)
            if self._think_ns and thinks:
                due_ns = max(due_ns, now_ns) + self._think_ns
            if due_ns > now_ns:
                self._rest_until(due_ns)
                return
        self._due_ns = now_ns
        self._doing = _RESTING
        context.readiness.then(self)

    def _fail(self, now_ns: int, outcome: Outcome) -> None:
        """Record a failed operation, close the TCP connection, rest, then go on with the next row.

        A server may close a kept TCP connection between two requests.  A request that meets such a close is sent once
        more on a new connection if its method allows that; otherwise it fails, but no rest follows.
        """
        closed_between = outcome is Outcome.NO_REPLY and not self._flags & CONNECTED and not self._received
        if closed_between and self._request.partition(b" ")[0] in IDEMPOTENT:
            self._send_again(now_ns)
            return
        if not closed_between:
            self._flags |= RESTED
        self._record(now_ns, outcome)
        self._close()
        if closed_between:
            self._go_on(now_ns, thinks=False)
        else:
            self._rest_after_error(now_ns)

    def _send_again(self, now_ns: int) -> None:
        """Send the request on a new TCP connection.  The operation keeps the times when it was due and first sent."""
        self._close()
        self._flags |= RETRIED
        self._progress_ns = now_ns
        self._out = self._request
        if self._checked:
            self._check.begin(self._tape.spec(self._row), self._tape.literals[self._row])
        self._reader.begin(self._check if self._checked else None, self._bodyless)
        if self._connect(now_ns):
            self._send(now_ns)

    def _rest_after_error(self, now_ns: int) -> None:
        self._row = self._next_row
        quota = self._context.quota
        if quota is not None and quota.left <= 0:
            self._doing = _RESTING
            quota.retire()
        else:
            self._rest_until(max(now_ns, self._due_ns) + self._context.error_rest_ns)

    def _record(self, done_ns: int, outcome: Outcome) -> None:
        context = self._context
        if context.timed and done_ns - self._sent_ns > context.request_ns and outcome is _OK:
            outcome = Outcome.TIMED_OUT
        if self._doing is _CONNECTING and not self._received and not self._flags & RETRIED:
            self._sent_ns = -abs(self._sent_ns)  # without a TCP connection no request was sent
        records = context.records
        at = records.at
        PACK(
            records.buffer, at, self._due_ns, self._sent_ns, done_ns,
            self._received, self._row, self.number, outcome, self._flags,
        )  # fmt: skip
        self._flags = 0
        records.at = at = at + ROW_BYTES
        if at == records.end:
            records.fold()

    def _close(self) -> None:
        if self._sock is None:
            return
        self._context.tcp.ended(self.number, self._sock, self._context.now_ns() - self._born_ns)
        self._context.readiness.forget(self._fd)
        self._sock.close()
        self._sock = None
        self._context.open_sockets -= 1
