"""The coordinator's copy of a spool: chunks go in, frames come out, and each byte counts once.  Pure.

A spool is a file that only grows.  It consists of frames (a length of four bytes, then msgpack).  Chunks may be lost,
repeated, overlapping or damaged on the way; the offset alone says what is new.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack

from loadgen.agent.chunk import Chunk

_MAX_FRAME_BYTES = 64 << 20
"""A snapshot of 100,000 connections is about 6 MB."""
_HEAD_BYTES = 4


class Stream:
    """The copy of one machine's spool: `received` of the `announced` bytes."""

    def __init__(self) -> None:
        self.received = 0
        self.announced = 0
        self._rest = bytearray()  # the beginning of an incomplete frame

    @property
    def missing_bytes(self) -> int:
        """Bytes that were announced and not received."""
        return self.announced - self.received

    def announce(self, total_bytes: int) -> None:
        """Note that the spool has at least this length."""
        self.announced = max(self.announced, total_bytes)

    def take(self, chunk: Chunk) -> Iterator[Any]:
        """Yield the frames that are complete now, unpacked: each should be an event as plain data.

        A chunk that is damaged, or begins after what was received, changes nothing.  Raises ValueError, and nothing
        else, if the data does not consist of frames; the frames before that are yielded.
        """
        known = self.received - chunk.offset
        if known < 0 or not chunk.intact:
            return
        new = memoryview(chunk.data)[known:]
        self.received += len(new)
        self.announce(self.received)
        yield from self._frames(new)

    def _frames(self, new: memoryview) -> Iterator[Any]:
        data: memoryview | bytearray = new  # nearly always complete frames, which need not be copied
        if self._rest:
            self._rest += new
            data = self._rest
        at = 0
        try:
            while len(data) - at >= _HEAD_BYTES:
                begin = at + _HEAD_BYTES
                size = int.from_bytes(data[at:begin], "big")
                if size > _MAX_FRAME_BYTES:
                    raise ValueError(f"a frame of {size} bytes is larger than allowed ({_MAX_FRAME_BYTES})")
                if len(data) - begin < size:
                    break
                at = begin + size
                yield _unpacked(data[begin:at])
        finally:
            if data is self._rest:
                del self._rest[:at]
            else:
                self._rest += data[at:]


def _unpacked(body: memoryview | bytearray) -> Any:
    try:
        return msgpack.unpackb(body)
    except (ValueError, TypeError, OverflowError, msgpack.exceptions.UnpackException) as error:
        raise ValueError(f"a frame cannot be unpacked: {error}") from error
