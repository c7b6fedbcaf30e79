"""The reading side of an HTTP/1.x client without I/O: bytes in, one reply at a time out.

Nothing here uses a socket or a clock.  No body is stored: a sink checks each piece as it arrives.  Heads and lines
are bounded, and so is memory.  Any input ends in DONE or in an Outcome, never in an exception.

One :class:`ReplyReader` serves one connection for all its replies.  `begin` prepares it for the next reply; `feed`
returns MORE until the reply is DONE or wrong.  The hot path is a complete reply in one piece whose head is known:
it takes one comparison, or one `find` and one look-up.
"""

from __future__ import annotations

from typing import Protocol

from loadgen.model.outcome import Outcome

MORE = -1
"""Result of `feed`: the reply is incomplete."""
DONE = int(Outcome.OK)
"""Result of `feed`: the reply is complete."""

MAX_HEAD_BYTES = 16_384
"""The limit for the head of a reply, and so for each line in it."""
MAX_HEADS = 1_024
"""The number of known heads before all are forgotten.  Servers repeat a head until their Date changes."""
MAX_KNOWN_BYTES = 2_048
"""A longer head is parsed each time."""
MAX_CHUNK_LINE_BYTES = 256
"""The limit for a chunk-size or trailer line.  All trailers together are limited like a head."""

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""The methods of requests that may be sent twice with the effect of once (RFC 9110, 9.2.2)."""

_HEAD, _FIXED, _UNTIL_CLOSE, _CHUNK_SIZE, _CHUNK_DATA, _CHUNK_END, _TRAILERS, _OVER = range(8)
_CRLF2 = b"\r\n\r\n"
_VERSION = b"HTTP/1."
_HEX = frozenset(b"0123456789abcdefABCDEF")

Head = tuple[bytes, int, bytes, bytes, int, int, bool]
"""A parsed head: (its bytes with the empty line, status, lower-cased head, head without the empty line, the state that
reads the body, length of the body, whether the connection can be reused)."""

_NO_HEAD: Head = (b"\0", 0, b"", b"", _OVER, 0, False)
"""Stands for "no known head": no reply begins like this."""


class Sink(Protocol):
    """Checks a body as it arrives."""

    def look(self, data: bytes, start: int, end: int) -> bool:
        """Check the body bytes `data[start:end]`.  False ends the reply at once as BAD_LENGTH."""


class ReplyReader:
    """Reads replies.  After DONE, `status`, `head` (lower-cased), `body_bytes` and `reusable` describe the reply.

    `known` maps the bytes of each known head to its parsed form; readers may share it.
    """

    __slots__ = (
        "_bodyless",
        "_kept",
        "_known",
        "_last",
        "_left",
        "_others",
        "_sink",
        "_state",
        "body_bytes",
        "head",
        "raw_head",
        "reusable",
        "status",
    )

    def __init__(self, known: dict[bytes, Head]) -> None:
        self._known = known
        self._others: dict[bytes, Head] = {}  # the known heads of replies without a body, or the others
        self._bodyless = False
        self._last = _NO_HEAD  # the known head of the last reply
        self._state = _OVER
        self._kept = b""  # an unfinished head or chunk line
        self._left = 0  # bytes to come of a fixed body or a chunk; in trailers: bytes seen
        self._sink: Sink | None = None
        self.status = 0
        self.head = b""
        self.raw_head = b""
        self.body_bytes = 0
        self.reusable = False

    def begin(self, sink: Sink | None, bodyless: bool = False) -> None:
        """Prepare for the next reply.  `sink` checks its body; None leaves the body unchecked.

        `bodyless`: the reply ends with its head, whatever that says, as after a HEAD request (RFC 9112, 6.3).
        """
        if bodyless is not self._bodyless:
            self._bodyless = bodyless
            self._known, self._others, self._last = self._others, self._known, _NO_HEAD
        self._state = _HEAD
        self._kept = b""
        self._sink = sink
        self.body_bytes = 0

    def feed(self, data: bytes) -> int:
        """Process `data`.  Returns MORE, DONE, or the value of the Outcome of a wrong reply.

        Requests are never pipelined, so bytes after the end of the reply belong to no request: the connection is then
        not reusable.
        """
        position, end = 0, len(data)
        if self._state == _HEAD:
            if self._kept:
                data, self._kept = self._kept + data, b""
                end = len(data)
            last = self._last
            position = len(last[0])
            if data[:position] == last[0]:
                _, self.status, self.head, self.raw_head, self._state, self._left, self.reusable = last
            else:
                position = self._recall_head(data, end)
                if position < 0:
                    return MORE if position == MORE else -position
        if self._state != _FIXED or self._left != end - position:
            return self._read_body(data, position, end)
        self._state = _OVER
        self.body_bytes += end - position
        if self._sink is None or position == end or self._sink.look(data, position, end):
            return DONE
        return -self._fail(Outcome.BAD_LENGTH)

    def eof(self) -> int:
        """Process the end of the stream.  Returns DONE if it ends the body, else the value of the Outcome."""
        state, self._state = self._state, _OVER
        self.reusable = False
        if state == _HEAD:
            self._forget_head()
        if state == _UNTIL_CLOSE:
            return DONE
        if state == _HEAD and not self._kept:
            return int(Outcome.NO_REPLY)
        return int(Outcome.CLOSED_EARLY)

    @property
    def started(self) -> bool:
        """Whether any byte of the reply was processed."""
        return self._state != _HEAD or bool(self._kept)

    def whole_head(self, size: int) -> bytes | None:
        """The head of a complete reply of `size` bytes if every reply with this head is complete after `size` bytes.

        None also when the head is not known, or when the connection is not reusable.
        """
        whole, _, _, raw, state, left, reusable = self._last
        is_last = raw is self.raw_head and state == _FIXED and len(whole) + left == size
        return whole if is_last and reusable and self.reusable else None

    def set_cookie(self) -> bytes:
        """The value of the first Set-Cookie header without its attributes; empty if there is none."""
        at = self.head.find(b"\r\nset-cookie:")
        if at < 0:
            return b""
        line_end = self.raw_head.find(b"\r\n", at + 2)
        value = self.raw_head[at + 13 : line_end if line_end >= 0 else len(self.raw_head)]
        return value.split(b";", 1)[0].strip()

    def _fail(self, outcome: Outcome) -> int:
        self._state = _OVER
        self.reusable = False
        return -int(outcome)

    def _forget_head(self) -> None:
        self.status = 0
        self.head = b""

    def _recall_head(self, data: bytes, end: int) -> int:
        """The position of the body in `data`, or MORE, or minus the value of an Outcome (these are above 1)."""
        self._forget_head()
        position = data.find(_CRLF2) + 4
        known = self._known.get(data[:position])
        if known is None:
            return self._read_head(data, end)
        self._last = known
        _, self.status, self.head, self.raw_head, self._state, self._left, self.reusable = known
        return position

    def _read_head(self, data: bytes, end: int) -> int:
        """Parse a head that is not known; returns the same as `_recall_head`."""
        at = 0
        while True:
            head_end = data.find(_CRLF2, at, end)
            if head_end < 0:
                return self._keep_head(data[at:end])
            raw = data[at : head_end + 2]
            if not raw.startswith(_VERSION):
                return self._fail(Outcome.MALFORMED)
            if len(raw) - 2 > MAX_HEAD_BYTES:
                return self._fail(Outcome.HEAD_TOO_LARGE)
            # "HTTP/1.x SSS": RFC 9112, 4.
            if raw[8:9] != b" " or not raw[9:12].isdigit() or raw[12:13] not in b" \r":
                return self._fail(Outcome.MALFORMED)
            status = int(raw[9:12])
            if status >= 200:
                break
            if status < 100 or status == 101:
                return self._fail(Outcome.MALFORMED)
            at = head_end + 4  # an interim reply (1xx): the final one follows
        self._kept = b""
        self.status = status
        self.raw_head = raw
        self.head = lowered = raw.lower()
        body_at = self._frame(lowered, head_end + 4)
        if body_at >= 0 and at == 0 and len(raw) <= MAX_KNOWN_BYTES:
            if len(self._known) >= MAX_HEADS:
                self._known.clear()
            whole = data[:body_at]
            self._known[whole] = whole, status, lowered, raw, self._state, self._left, self.reusable
        return body_at

    def _keep_head(self, part: bytes) -> int:
        """Keep an unfinished head, within bounds, until more bytes come."""
        if not (part.startswith(_VERSION) or _VERSION.startswith(part)):
            return self._fail(Outcome.MALFORMED)
        if len(part) > MAX_HEAD_BYTES + 3:  # `part` may hold all but one byte of the empty line
            return self._fail(Outcome.HEAD_TOO_LARGE)
        self._kept = part
        return MORE

    def _frame(self, head: bytes, body_at: int) -> int:
        """Decide how the body ends (RFC 9112, 6.3)."""
        connection = _header(head, b"\r\nconnection:")
        old = head[7:8] == b"0"
        self.reusable = b"keep-alive" in connection if old else b"close" not in connection
        encoding = _header(head, b"\r\ntransfer-encoding:")
        length = _header(head, b"\r\ncontent-length:")
        if self._bodyless or self.status in (204, 304):
            self._state, self._left = _FIXED, 0
        elif encoding:
            # Both framings at once may be an attempt at request smuggling (RFC 9112, 6.1): refuse to guess.
            if length or encoding != b"chunked":
                return self._fail(Outcome.MALFORMED)
            self._state = _CHUNK_SIZE
        elif length:
            if not length.isdigit() or len(length) > 18 or head.count(b"\r\ncontent-length:") > 1:
                return self._fail(Outcome.MALFORMED)
            self._state, self._left = _FIXED, int(length)
        else:
            self._state = _UNTIL_CLOSE
            self.reusable = False
        return body_at

    def _read_body(self, data: bytes, at: int, end: int) -> int:
        if self._state == _FIXED:
            take = min(self._left, end - at)
            if take and not self._pass(data, at, at + take):
                return -self._fail(Outcome.BAD_LENGTH)
            self._left -= take
            if self._left:
                return MORE
            self._state = _OVER
            if at + take < end:
                self.reusable = False
            return DONE
        if self._state == _UNTIL_CLOSE:
            if end > at and not self._pass(data, at, end):
                return -self._fail(Outcome.BAD_LENGTH)
            return MORE
        if self._state == _OVER:
            return int(Outcome.MALFORMED)
        return self._read_chunks(data, at, end)

    def _pass(self, data: bytes, start: int, end: int) -> bool:
        self.body_bytes += end - start
        return self._sink is None or self._sink.look(data, start, end)

    def _read_chunks(self, data: bytes, at: int, end: int) -> int:
        if self._kept:
            data = self._kept + data[at:end]
            at, end = 0, len(data)
            self._kept = b""
        while True:
            if self._state == _CHUNK_DATA:
                take = min(self._left, end - at)
                if take and not self._pass(data, at, at + take):
                    return -self._fail(Outcome.BAD_LENGTH)
                at += take
                self._left -= take
                if self._left:
                    return MORE
                self._state = _CHUNK_END
            line_end = data.find(b"\r\n", at, end)
            if line_end < 0:
                if end - at > MAX_CHUNK_LINE_BYTES + 1:  # it may end in a CR
                    return -self._fail(Outcome.MALFORMED)
                self._kept = data[at:end]
                return MORE
            line = data[at:line_end]
            at = line_end + 2
            if len(line) > MAX_CHUNK_LINE_BYTES:
                return -self._fail(Outcome.MALFORMED)
            if self._state == _CHUNK_END:
                if line:
                    return -self._fail(Outcome.MALFORMED)
                self._state = _CHUNK_SIZE
            elif self._state == _CHUNK_SIZE:
                size = line.split(b";", 1)[0].strip()
                if not size or len(size) > 15 or not _HEX.issuperset(size):
                    return -self._fail(Outcome.MALFORMED)
                self._left = int(size, 16)
                self._state = _CHUNK_DATA if self._left else _TRAILERS
            elif not line:  # the empty line after the trailers
                self._state = _OVER
                if at < end:
                    self.reusable = False
                return DONE
            else:
                self._left += len(line)  # counts the bytes of trailers here
                if self._left > MAX_HEAD_BYTES:
                    return -self._fail(Outcome.HEAD_TOO_LARGE)


def _header(head: bytes, name: bytes) -> bytes:
    """The value of the first header `name` in a lower-cased head; empty if there is none."""
    at = head.find(name)
    if at < 0:
        return b""
    at += len(name)
    return head[at : head.find(b"\r\n", at)].strip()
