"""The shared objects of all connections of a Python engine: clock, tape, targets, limits, and where results go.

A connection reads from this class and never from the player that owns it, so that imports inside the engine
point one way.  The class is slotted because every operation reads its attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from socket import socket
from typing import Protocol

from loadgen.engine.agenda import Agenda
from loadgen.engine.api import Load
from loadgen.engine.columns import TapeColumns
from loadgen.engine.http1 import Head
from loadgen.engine.quota import Quota
from loadgen.engine.readiness import Readiness
from loadgen.engine.records import Records
from loadgen.engine.resolve import Ways
from loadgen.engine.tcp_looks import NoLooks
from loadgen.engine.values import Filler
from loadgen.measure.shown import MAX_SHOWN
from loadgen.model.outcome import Outcome
from loadgen.model.sending import PACED_READ_BYTES
from loadgen.model.units import NS_PER_S
from loadgen.schedule.optape import OWN_HOST

_NEVER_NS = 1 << 62
_READ_BYTES = 65_536  # the kernel allocates memory for each read, so a larger buffer costs more


class Playable(Protocol):
    """A connection as the open loop sees it: it plays one operation at a time, on request."""

    number: int
    target: int

    def offer(self) -> None:
        """Become free at the start of a segment."""

    def play(self, row: int, due_ns: int, now_ns: int) -> None:
        """Play the operation of tape row `row`, due at `due_ns`, now.  The connection must be free."""


class Slot(Playable, Protocol):
    """A connection as the player sees it: a connection of HTTP/1.1, or a stream slot of HTTP/2."""

    def start(self, row: int, due_ns: int) -> None:
        """Play from `row`, whose operation is due at `due_ns` (closed loop)."""

    def expire(self, now_ns: int, timeout_ns: int) -> None:
        """Fail the operation if nothing has happened for `timeout_ns`."""

    def stop(self, now_ns: int) -> None:
        """End the segment: an operation in progress is recorded as CUT."""

    def sockets(self) -> Iterable[socket]:
        """The open TCP connections; those that several slots share are the first one's."""


class Dispatcher(Protocol):
    """Assigns the due operations of an open loop to free connections."""

    def free(self, connection: Playable, target: int, now_ns: int) -> None:
        """Take `connection` to target number `target` back: it has no operation any more."""


class EngineContext:
    """The state that connections share.  Times are in ns of `now_ns`.

    The player sets `readiness` anew for each segment, and `dispatcher` once if the load is an open loop;
    connections update `open_sockets`, the number of open TCP connections.
    """

    __slots__ = (
        "agenda",
        "dispatcher",
        "error_rest_ns",
        "filler",
        "handshakes",
        "known_heads",
        "line_bps",
        "now_ns",
        "ns_per_byte",
        "open_sockets",
        "paced_reads",
        "quota",
        "read_bytes",
        "readiness",
        "records",
        "request_ns",
        "shown",
        "tape",
        "tcp",
        "timed",
        "ways",
    )

    def __init__(
        self,
        load: Load,
        *,
        now_ns: Callable[[], int],
        agenda: Agenda,
        records: Records,
        tape: TapeColumns,
        ways: Sequence[Ways],
        quota: Quota | None = None,
        tcp: NoLooks | None = None,
    ) -> None:
        self.now_ns = now_ns
        self.agenda = agenda
        self.records = records
        self.tape = tape
        self.filler = Filler(tape.values, part=load.part, parts=load.parts)
        self.ways = ways  # by target
        self.readiness: Readiness
        self.dispatcher: Dispatcher | None = None
        self.known_heads: dict[bytes, Head] = {}
        self.open_sockets = 0
        self.handshakes = [0, 0]  # of TLS: full ones, resumed ones
        self.tcp = tcp or NoLooks()  # is told of each TCP connection that is about to be closed
        self.quota = quota  # None where the number of operations is not given
        self.shown: dict[tuple[int, Outcome], bytes] = {}  # by target and outcome: what was seen first
        self.line_bps = load.line_bps
        self.ns_per_byte = 8 * NS_PER_S / load.line_bps if load.line_bps else 0.0
        self.paced_reads = load.paced_reads and load.line_bps > 0
        self.read_bytes = PACED_READ_BYTES if self.paced_reads else _READ_BYTES
        self.error_rest_ns = load.error_rest_ns
        self.request_ns = load.request_ns or _NEVER_NS
        self.timed = load.request_ns > 0  # whether `request_ns` is a limit: asked for each reply, so kept ready

    def request(self, row: int, host_line: bytes, connection: int) -> bytes:
        """The request of tape row `row`, on the connection with that number; with values, the next one each time."""
        tape = self.tape
        if template := tape.templates[row]:
            return self.filler.write(template, host_line, connection)
        own = b"" if tape.flags[row] & OWN_HOST else host_line
        request: bytes = tape.lines[row] + own + tape.rests[row]
        return request

    def show(self, target: int, outcome: Outcome, text: bytes) -> None:
        """Keep what the report shows of a failed operation, if it is the first of its kind."""
        if text and len(self.shown) < MAX_SHOWN:
            self.shown.setdefault((target, outcome), text)
