"""Splits the bytes that arrive on an HTTP/2 connection into frames (RFC 9113, section 4.1).

The h2 library reads frames, too.  It does not say how many bytes a frame had, it accepts no frame of a running stream
after a GOAWAY, and it loses the events of the frames before a wrong one.  So each frame is cut out here, and is
handed to h2 by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

SETTINGS, GOAWAY = 4, 7
"""Frame types (RFC 9113, section 6)."""

HEADER_BYTES = 9
MAX_PAYLOAD_BYTES = 16_384
"""The longest payload that a server may send: the default of SETTINGS_MAX_FRAME_SIZE."""

_GOAWAY_BYTES = 8


class FrameError(Exception):
    """The bytes are not HTTP/2; the text says why."""


class Frames:
    """The frames of one connection, and what is left of an unfinished one."""

    __slots__ = ("_is_first", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._is_first = True

    def take(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield (type, stream, bytes with the header) of each frame that `data` completes.

        Raises FrameError at the first frame that cannot be right: too long, or a first frame that is no SETTINGS.
        """
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        self._rest = b""
        while end - at >= HEADER_BYTES:
            length = int.from_bytes(data[at : at + 3], "big")
            kind = data[at + 3]
            if self._is_first and kind != SETTINGS:
                raise FrameError(_not_http2(data[at:]))
            if length > MAX_PAYLOAD_BYTES:
                raise FrameError(f"a frame of {length:,} bytes, where at most {MAX_PAYLOAD_BYTES:,} are allowed")
            after = at + HEADER_BYTES + length
            if after > end:
                break
            self._is_first = False
            yield kind, int.from_bytes(data[at + 5 : at + 9], "big") & 0x7FFFFFFF, data[at:after]
            at = after
        self._rest = data[at:]
        if self._is_first and self._rest.startswith(b"HTTP/"):
            raise FrameError(_not_http2(self._rest))

    @property
    def unfinished(self) -> tuple[int, int]:
        """(stream, bytes so far) of the frame that has not arrived whole; stream 0 when it is not known."""
        rest = self._rest
        if len(rest) < HEADER_BYTES:
            return 0, len(rest)
        return int.from_bytes(rest[5:9], "big") & 0x7FFFFFFF, len(rest)


def read_goaway(frame: bytes) -> tuple[int, int]:
    """(last stream that the server processes or processed, error code).  Raises FrameError for a wrong frame."""
    if len(frame) < HEADER_BYTES + _GOAWAY_BYTES or any(frame[5:9]):
        raise FrameError("a GOAWAY frame of the wrong form")
    return int.from_bytes(frame[9:13], "big") & 0x7FFFFFFF, int.from_bytes(frame[13:17], "big")


def _not_http2(data: bytes) -> str:
    if data.startswith(b"HTTP/"):
        return "the server answers with HTTP/1, not with HTTP/2"
    return "the first frame is no SETTINGS frame: the server does not speak HTTP/2"
