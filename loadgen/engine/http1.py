"""The reading side of an HTTP/1.x client without I/O: bytes in, one reply at a time out.

Nothing here uses a socket or a clock.  No body is stored: a sink checks each piece as it arrives.  Heads and lines
are bounded, and so is memory.  Any input ends in DONE or in an Outcome, never in an exception.

One :class:`ReplyReader` serves one connection for all its replies.  `begin` prepares it for the next reply; `feed`
returns MORE until the reply is DONE or wrong.  The hot path is a complete reply in one piece whose head is known:
it takes one comparison, or one `find` and one look-up.
"""

from __future__ import annotations

import re
from typing import Protocol

from loadgen.engine.head import (
    HEAD_END,
    MAX_SHOWN_BYTES,
    canonical,
    is_chunked,
    length_of,
    line_at,
    may_go_on,
    values_of,
    wrong_length,
    wrong_line,
)
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
MAX_CHUNK_LINE_BYTES = 4_096
"""The limit for a chunk-size line.  All trailers together are limited like a head."""

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""The methods of requests that may be sent twice with the effect of once (RFC 9110, 9.2.2)."""

_HEAD, _FIXED, _UNTIL_CLOSE, _CHUNK_SIZE, _CHUNK_DATA, _CHUNK_END, _TRAILERS, _OVER = range(8)
_CRLF2 = b"\r\n\r\n"
_HEAD_ROOM = MAX_HEAD_BYTES + 4  # with the end of its last line, and the empty line
_SIZE_LINE = re.compile(rb"[ \t]*([0-9a-fA-F]*)[ \t]*(;[^\r]*)?")
_CONNECTION, _LENGTH, _ENCODING = b"\r\nconnection:", b"\r\ncontent-length:", b"\r\ntransfer-encoding:"

Head = tuple[bytes, int, bytes, bytes, int, int, bool]
"""A parsed head: (its bytes with the empty line, status, lower-cased canonical head, canonical head, the state that
reads the body, length of the body, whether the connection can be reused)."""

_NO_HEAD: Head = (b"\0", 0, b"", b"", _OVER, 0, False)
"""Stands for "no known head": no reply begins like this."""


class Sink(Protocol):
    """Checks a body as it arrives."""

    def look(self, data: bytes, start: int, end: int) -> bool:
        """Check the body bytes `data[start:end]`.  False ends the reply at once as BAD_LENGTH."""


class ReplyReader:
    """Reads replies.  After DONE, `status`, `head` (lower-cased), `body_bytes` and `reusable` describe the reply.

    `surplus`: bytes follow the reply.  `wrong`: the line that was not understood, or its beginning.  `known` maps the
    bytes of each known head to its parsed form; readers may share it.
    """

    __slots__ = (
        "_bodyless",
        "_kept",
        "_known",
        "_last",
        "_left",
        "_others",
        "_seen",
        "_sink",
        "_state",
        "body_bytes",
        "head",
        "raw_head",
        "reusable",
        "status",
        "surplus",
        "wrong",
    )

    def __init__(self, known: dict[bytes, Head]) -> None:
        self._known = known
        self._others: dict[bytes, Head] = {}  # the known heads of replies without a body, or the others
        self._bodyless = False
        self._last = _NO_HEAD  # the known head of the last reply
        self._state = _OVER
        self._kept = b""  # an unfinished head or chunk line
        self._seen = 0  # bytes of the unfinished head, up to the end of a line, that are understood
        self._left = 0  # bytes to come of a fixed body or a chunk; in trailers: bytes seen
        self._sink: Sink | None = None
        self.status = 0
        self.head = b""
        self.raw_head = b""
        self.body_bytes = 0
        self.reusable = False
        self.surplus = False
        self.wrong = b""

    def begin(self, sink: Sink | None, bodyless: bool = False) -> None:
        """Prepare for the next reply.  `sink` checks its body; None leaves the body unchecked.

        `bodyless`: the reply ends with its head, whatever that says, as after a HEAD request (RFC 9112, 6.3).
        """
        if bodyless is not self._bodyless:
            self._bodyless = bodyless
            self._known, self._others, self._last = self._others, self._known, _NO_HEAD
        self._state = _HEAD
        self._kept = b""
        self._seen = 0
        self._sink = sink
        self.body_bytes = 0
        self.surplus = False
        self.wrong = b""

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

    def _fail(self, outcome: Outcome, wrong: bytes = b"") -> int:
        self._state = _OVER
        self.reusable = False
        self.wrong = wrong[:MAX_SHOWN_BYTES]
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
            found = HEAD_END.search(data, at, min(end, at + _HEAD_ROOM))
            if found is None:
                return self._keep_head(data[at:end])
            given = data[at : found.start() + 1]
            raw = canonical(given)
            if raw is None:
                return self._fail(Outcome.MALFORMED, wrong_line(given, first=True) or b"")
            status = int(raw[9:12])
            if status >= 200:
                break
            at, self._seen = found.end(), 0  # an interim reply (1xx): the final one follows
        body_at = found.end()
        self._kept = b""
        self.status = status
        self.raw_head = raw
        self.head = lowered = raw.lower()
        wrong = self._frame(lowered)
        if wrong:
            return wrong
        if at == 0 and len(raw) <= MAX_KNOWN_BYTES:
            if len(self._known) >= MAX_HEADS:
                self._known.clear()
            whole = data[:body_at]
            self._known[whole] = whole, status, lowered, raw, self._state, self._left, self.reusable
        return body_at

    def _keep_head(self, part: bytes) -> int:
        """Keep an unfinished head, within bounds, until more bytes come; refuse it if it cannot become a right one."""
        near = part[:_HEAD_ROOM]
        line = near.rfind(b"\n", self._seen) + 1
        if line > self._seen:
            wrong = wrong_line(near[self._seen : line], first=self._seen == 0)
            if wrong is not None:
                return self._fail(Outcome.MALFORMED, wrong)
            self._seen = line
        if not may_go_on(near[self._seen :], first=self._seen == 0):
            return self._fail(Outcome.MALFORMED, line_at(near, self._seen))
        if len(part) >= _HEAD_ROOM:
            return self._fail(Outcome.HEAD_TOO_LARGE, line_at(near, self._seen))
        self._kept = part
        return MORE

    def _frame(self, head: bytes) -> int:
        """Decide how the body ends (RFC 9112, 6.3).  0, or minus the value of an Outcome."""
        connection = values_of(head, _CONNECTION)
        old = head[7:8] == b"0"
        self.reusable = b"close" not in connection and (not old or b"keep-alive" in connection)
        codings = [coding for coding in values_of(head, _ENCODING) if coding not in (b"", b"identity")]
        lengths = values_of(head, _LENGTH)
        if self._bodyless or self.status in (204, 304):
            self._state, self._left = _FIXED, 0
        elif codings:
            # Both framings at once may be an attempt at request smuggling (RFC 9112, 6.1): refuse to guess.
            chunked = is_chunked(codings)
            if lengths or chunked is None:
                return self._fail(Outcome.MALFORMED, line_at(self.raw_head, head.rfind(_ENCODING) + 2))
            self._state = _CHUNK_SIZE if chunked else _UNTIL_CLOSE
            self.reusable &= chunked and not old  # HTTP/1.0 has no transfer codings (RFC 9112, 6.1)
        elif lengths:
            length = length_of(lengths)
            if length is None:
                return self._fail(Outcome.MALFORMED, line_at(self.raw_head, wrong_length(head, _LENGTH)))
            self._state, self._left = _FIXED, length
        else:
            self._state = _UNTIL_CLOSE
            self.reusable = False
        return 0

    def _read_body(self, data: bytes, at: int, end: int) -> int:
        if self._state == _FIXED:
            take = min(self._left, end - at)
            if take and not self._pass(data, at, at + take):
                return -self._fail(Outcome.BAD_LENGTH)
            self._left -= take
            if self._left:
                return MORE
            return self._end(at + take < end)
        if self._state == _UNTIL_CLOSE:
            if end > at and not self._pass(data, at, end):
                return -self._fail(Outcome.BAD_LENGTH)
            return MORE
        if self._state == _OVER:  # the data begin like _NO_HEAD
            return -self._fail(Outcome.MALFORMED, line_at(data, 0))
        return self._read_chunks(data, at, end)

    def _end(self, surplus: bool) -> int:
        self._state = _OVER
        if surplus:
            self.surplus = True
            self.reusable = False
        return DONE

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
            line_end = data.find(b"\n", at, end)
            if line_end < 0:
                wrong = self._unfinished(data[at:end])
                if wrong:
                    return wrong
                self._kept = data[at:end]
                return MORE
            wrong = self._read_line(data[at:line_end])
            if wrong:
                return wrong
            at = line_end + 1
            if self._state == _OVER:
                return self._end(at < end)

    def _unfinished(self, part: bytes) -> int:
        """0 if `part`, the beginning of a line between chunks, can become a right one; else the value of an Outcome."""
        content = part.rstrip(b"\r")
        if self._state == _TRAILERS:
            if len(part) > MAX_HEAD_BYTES + 1 or self._left + len(content) > MAX_HEAD_BYTES:
                return -self._fail(Outcome.HEAD_TOO_LARGE, content)
            return 0
        wrong = bool(content) if self._state == _CHUNK_END else _chunk_size(content, unfinished=True) < 0
        if wrong or len(part) > MAX_CHUNK_LINE_BYTES + 1:  # it may end in a CR
            return -self._fail(Outcome.MALFORMED, content)
        return 0

    def _read_line(self, line: bytes) -> int:
        """Process a complete line between chunks.  0, or the value of an Outcome; _OVER: the reply is complete."""
        content = line.rstrip(b"\r")
        if self._state == _TRAILERS:
            if not content and len(line) <= MAX_HEAD_BYTES + 1:  # the empty line after the trailers
                self._state = _OVER
                return 0
            self._left += len(content)  # counts the bytes of trailers here
            if self._left > MAX_HEAD_BYTES or len(line) > MAX_HEAD_BYTES + 1:
                return -self._fail(Outcome.HEAD_TOO_LARGE, content)
            if wrong_line(line + b"\n", first=False) is not None:
                return -self._fail(Outcome.MALFORMED, content)
            return 0
        if len(line) > MAX_CHUNK_LINE_BYTES + 1:
            return -self._fail(Outcome.MALFORMED, content)
        if self._state == _CHUNK_END:
            if content:
                return -self._fail(Outcome.MALFORMED, content)
            self._state = _CHUNK_SIZE
            return 0
        size = _chunk_size(content, unfinished=False)
        if size < 0:
            return -self._fail(Outcome.MALFORMED, content)
        self._left = size
        self._state = _CHUNK_DATA if size else _TRAILERS
        return 0


def _chunk_size(line: bytes, *, unfinished: bool) -> int:
    """The size in a chunk line (RFC 9112, 7.1); -1 if the line is wrong.  An unfinished line may have no digits yet."""
    found = _SIZE_LINE.fullmatch(line)
    if found is None:
        return -1
    if not found[1]:
        return 0 if unfinished and found[2] is None else -1
    return int(found[1], 16) if len(found[1].lstrip(b"0")) <= 15 else -1
