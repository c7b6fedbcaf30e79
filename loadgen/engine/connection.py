"""One simultaneous connection: a user slot that plays operations back to back over TCP connections of its own.

Rules: no task, coroutine or new object per operation; every socket error becomes an Outcome; the
policy (what is due when, what counts) is the player's and the schedule's, only the socket is here.

It uses a bare non-blocking socket (see readiness.py) instead of a transport: cheaper per operation, far
cheaper per connect (three operations in eight open one), and errno and the moment of sending are ours
to see.
"""

from __future__ import annotations

import enum
import errno
import select
import socket
from typing import TYPE_CHECKING

from loadgen.engine.body import BodyCheck
from loadgen.engine.http1 import DONE, MORE, ReplyReader
from loadgen.engine.records import PACK, ROW_BYTES
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from loadgen.schedule.optape import CLOSE_AFTER

if TYPE_CHECKING:
    from loadgen.engine.player import Player

_IP_BIND_ADDRESS_NO_PORT = 24  # ip(7): bind the address now, and let connect choose the port
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EADDRINUSE})
_PACED_BUFFER_BYTES = 8_192  # small, so that what is not read yet waits in the server's send buffer


class Doing(enum.IntEnum):
    """What a connection is at."""

    RESTING = 0  # waits for its next operation to be due
    CONNECTING = 1
    SENDING = 2  # the kernel took part of the request
    READING = 3
    PAUSED = 4  # ahead of the line speed (paced reads only)
    STOPPED = 5


_RESTING, _CONNECTING, _SENDING, _READING, _PAUSED, _STOPPED = Doing  # looking up a member costs more than a name
_OK = Outcome.OK


def connect_outcome(error: int) -> Outcome:
    """What a failed connect means, by errno."""
    if error in _LOCAL:
        return Outcome.LOCAL_LIMIT
    return Outcome.REFUSED if error in (errno.ECONNREFUSED, errno.ECONNRESET) else Outcome.UNREACHABLE


class Connection:
    """See the module.  `number` is the global connection number."""

    __slots__ = (
        "_check",
        "_checked",
        "_closes",
        "_connected",
        "_cookie",
        "_doing",
        "_due_ns",
        "_fd",
        "_host_line",
        "_next_row",
        "_out",
        "_player",
        "_prepared_row",
        "_progress_ns",
        "_reader",
        "_received",
        "_request",
        "_right",
        "_row",
        "_sent_ns",
        "_sock",
        "_source",
        "number",
        "target",
    )

    def __init__(self, player: Player, number: int, target: int, host_line: bytes) -> None:
        self.number = number
        self._player = player
        self.target = target
        self._host_line = host_line
        self._source = player.source_of(number, target)
        self._reader = ReplyReader(player.known_heads)
        self._check = BodyCheck()
        self._sock: socket.socket | None = None
        self._fd = -1
        self._doing = _STOPPED
        self._row = 0
        self._due_ns = 0
        self._sent_ns = 0
        self._progress_ns = 0
        self._received = 0
        self._connected = 0
        self._prepared_row = -1  # of which are the six that follow
        self._request = b""
        self._checked = False  # whether the body of the reply is looked at
        self._right: frozenset[int] = frozenset()  # statuses
        self._cookie = b""
        self._closes = False
        self._next_row = 0
        self._out = b""  # what the kernel has not yet of the request

    def start(self, row: int, due_ns: int) -> None:
        """Play from `row`, whose operation is due at `due_ns`."""
        self._row = row
        self._rest_until(due_ns)

    def offer(self) -> None:
        """Be free for whatever is due (open loop)."""
        self._doing = _RESTING

    def play(self, row: int, due_ns: int, now_ns: int) -> None:
        """Play the operation of `row` now (open loop); only a connection that is free may be asked."""
        self._row = row
        self._due_ns = due_ns
        self.begin(now_ns)

    def wake(self, now_ns: int) -> None:
        """The agenda's call: the operation is due, the rest after an error is over, or reading may go on."""
        if self._doing is _RESTING:
            arrivals = self._player.arrivals
            if arrivals is None:
                self.begin(now_ns)
            else:
                arrivals.free(self, self.target, now_ns)
        elif self._doing is _PAUSED:
            self._doing = _READING
            self._progress_ns = now_ns  # that nothing came meanwhile was our doing
            self._player.readiness.watch(self._fd, self)

    def expire(self, now_ns: int, timeout_ns: int) -> None:
        """Give the operation up if nothing has happened for the time-out."""
        if self._doing in (_CONNECTING, _SENDING, _READING) and now_ns - self._progress_ns > timeout_ns:
            self._fail(now_ns, Outcome.UNREACHABLE if self._doing is _CONNECTING else Outcome.TIMED_OUT)

    def stop(self, now_ns: int) -> None:
        """End: an operation under way is recorded as cut."""
        if self._doing not in (_RESTING, _STOPPED):
            self._record(now_ns, Outcome.CUT)
        self._doing = _STOPPED
        self._close()

    def _rest_until(self, due_ns: int) -> None:
        self._due_ns = due_ns
        self._doing = _RESTING
        self._player.agenda.push(due_ns, self)

    def begin(self, now_ns: int) -> None:
        """The operation is due, and begins."""
        player, row = self._player, self._row
        self._sent_ns = self._progress_ns = now_ns
        self._received = 0
        self._connected = 0
        if row != self._prepared_row:
            self._prepare(row)
        self._out = self._request
        if self._checked:
            self._check.begin(player.spec(row), player.literals[row])
            self._reader.begin(self._check)
        else:
            self._reader.begin(None)
        if self._sock is None and not self._connect(now_ns):
            return
        self._send(now_ns)

    def _prepare(self, row: int) -> None:
        """Look up what the operation of `row` is: one that plays the same again need not."""
        player = self._player
        self._prepared_row = row
        self._request = player.lines[row] + self._host_line + player.rests[row]
        self._checked = player.checked[row]
        self._right = player.right_statuses[row]
        self._cookie = player.cookies[row]
        self._closes = bool(player.flags[row] & CLOSE_AFTER)
        self._next_row = player.next_rows[row]

    def _connect(self, now_ns: int) -> bool:
        """Open a TCP connection; False when it failed at once."""
        family, address = self._player.addresses[self.target]
        self._doing = _CONNECTING
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._fail(now_ns, connect_outcome(error.errno or 0))
            return False
        if self._player.paced_reads:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PACED_BUFFER_BYTES)
        failed = (self._source is not None and _bind(sock, self._source)) or sock.connect_ex(address)
        if failed and failed != errno.EINPROGRESS:
            sock.close()
            self._fail(now_ns, connect_outcome(failed))
            return False
        self._sock, self._fd = sock, sock.fileno()
        self._connected = 1
        self._player.open_sockets += 1
        self._player.readiness.watch(self._fd, self)
        return True

    def _send(self, now_ns: int) -> None:
        """Hand the request to the kernel; on a fresh connection this is also how its failure shows."""
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
        if taken:
            self._doing = _SENDING
            self._out = self._out[taken:]
        elif self._doing is not _CONNECTING:
            self._doing = _SENDING
        self._player.readiness.want_writable(self._fd, True)

    def _on_writable(self) -> None:
        now_ns = self._player.now_ns()
        self._progress_ns = now_ns
        self._player.readiness.want_writable(self._fd, False)
        self._send(now_ns)

    def ready(self, events: int, found_ns: int) -> None:
        """More than readable, or something else: writable, ended, broken."""
        if events & select.EPOLLOUT:
            self._on_writable()
        if events & ~select.EPOLLOUT:
            self.readable(found_ns)

    def readable(self, found_ns: int) -> None:
        """There is something to read."""
        sock, player = self._sock, self._player
        if sock is None:  # closed in the same turn of the loop
            return
        try:
            data = sock.recv(player.read_bytes)
        except BlockingIOError:
            return
        except OSError as error:
            self._torn(player.now_ns(), error)
            return
        # When each has its turn is not its server's doing; but what was sent, and answered, in this one came later.
        now_ns = found_ns if found_ns >= self._sent_ns else player.now_ns()
        if self._doing is _RESTING:
            self._close()  # the server ended an idle connection, or talks out of turn
            return
        head, size = player.repeats[self._row]
        if len(data) == size and data[: len(head)] == head and self._doing is _READING and not self._received:
            self._received = size
            self._record(now_ns, _OK)
            self._go_on(now_ns)
        elif data:
            self._take(data, now_ns)
        else:
            self._ended(now_ns)

    def _torn(self, now_ns: int, error: OSError) -> None:
        """Reading raised an error."""
        if self._doing is _RESTING:
            self._close()
        else:
            self._fail(now_ns, self._broken(error))

    def _ended(self, now_ns: int) -> None:
        """The server closed."""
        ended = self._reader.eof()
        if ended == DONE:
            self._finish(now_ns)
        else:
            self._fail(now_ns, Outcome(ended))

    def _take(self, data: bytes, now_ns: int) -> None:
        """`data` of a reply is there."""
        self._received += len(data)
        self._progress_ns = now_ns
        result = self._reader.feed(data)
        if result == DONE:
            self._finish(now_ns)
        elif result != MORE:
            outcome = Outcome(result)
            if outcome is Outcome.BAD_LENGTH:  # the body is hopeless
                outcome = self._check.verdict() if self._reader.status in self._right else Outcome.BAD_STATUS
            self._fail(now_ns, outcome)
        elif self._player.paced_reads and not self._out:
            self._pause_if_ahead(now_ns)

    def _pause_if_ahead(self, now_ns: int) -> None:
        crossed_ns = self._sent_ns + self._received * 8 * NS_PER_S // self._player.line_bps
        if crossed_ns > now_ns:
            self._player.readiness.unwatch(self._fd)
            self._doing = _PAUSED
            self._player.agenda.push(crossed_ns, self)

    def _broken(self, error: OSError) -> Outcome:
        if self._doing is _CONNECTING:
            return connect_outcome(error.errno or 0)
        return Outcome.RESET if self._reader.started else Outcome.NO_REPLY

    def _finish(self, now_ns: int) -> None:
        """A whole reply is there: judge it, and rest until its bytes have crossed the line."""
        player, reader = self._player, self._reader
        if reader.status not in self._right:
            outcome = Outcome.BAD_STATUS
        else:
            outcome = self._check.verdict() if self._checked else _OK
            if outcome is _OK and self._cookie and reader.set_cookie() != self._cookie:
                outcome = Outcome.BAD_COOKIE
        self._record(now_ns, outcome)
        # With part of the request still here (the reply came early), what is sent next would end that one.
        if not reader.reusable or self._out or self._closes:
            self._close()
        if outcome is not _OK:
            self._rest_after_error(now_ns)
            return
        if self._sock is not None and not self._checked and not self._cookie:
            head = reader.whole_head(self._received)
            if head is not None:
                player.repeats[self._row] = head, self._received
        self._go_on(now_ns)

    def _go_on(self, now_ns: int) -> None:
        """The operation went well: the next one is due when its bytes have crossed the line."""
        player = self._player
        if player.arrivals is not None:
            self._doing = _RESTING
            player.arrivals.free(self, self.target, player.now_ns())
            return
        self._row = self._next_row
        due_ns = int(self._due_ns + self._received * player.ns_per_byte) if player.ns_per_byte else now_ns
        if due_ns > now_ns:
            self._rest_until(due_ns)
        else:
            self._due_ns = now_ns
            self._doing = _RESTING
            player.readiness.then(self)

    def _fail(self, now_ns: int, outcome: Outcome) -> None:
        """The operation broke: record it, drop the TCP connection, rest, go on with the next."""
        self._record(now_ns, outcome)
        self._close()
        self._rest_after_error(now_ns)

    def _rest_after_error(self, now_ns: int) -> None:
        self._row = self._player.next_rows[self._row]
        self._rest_until(max(now_ns, self._due_ns) + self._player.error_rest_ns)

    def _record(self, done_ns: int, outcome: Outcome) -> None:
        if self._doing is _CONNECTING and not self._received:
            self._sent_ns = 0  # no request goes out before there is a connection
        records = self._player.records
        at = records.at
        PACK(
            records.buffer,
            at,
            self._due_ns,
            self._sent_ns,
            done_ns,
            self._received,
            self._row,
            self.number,
            outcome,
            self._connected,
        )
        records.at = at = at + ROW_BYTES
        if at == records.end:
            records.fold()

    def _close(self) -> None:
        if self._sock is None:
            return
        self._player.readiness.forget(self._fd)
        self._sock.close()
        self._sock = None
        self._player.open_sockets -= 1


def _bind(sock: socket.socket, source: str) -> int:
    """Send from the address `source`; the errno that it failed with, or 0."""
    try:
        sock.setsockopt(socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, 0))
    except OSError as error:
        return error.errno or errno.EADDRNOTAVAIL
    return 0
