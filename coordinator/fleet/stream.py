"""What a machine has measured, as it arrives: pieces of its spool in, frames out, each byte once.  Pure.

A spool is a file that only grows, of frames (a length of four bytes, then msgpack).  Pieces may be lost, come twice,
overlap or be spoilt on the way; what comes next is known by its offset alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgpack

from loadgen.measure.wire import read_bytes, read_int, read_text

MAX_CHUNK_BYTES = 4 << 20
_MAX_FRAME_BYTES = 64 << 20
"""A snapshot of 100,000 connections is about 6 MB."""
_HEAD_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a spool, as it came: `sha256` is what its sender computed, in hexadecimal digits."""

    offset: int
    data: bytes
    sha256: str

    @property
    def intact(self) -> bool:
        """Whether the data is what was sent."""
        return hashlib.sha256(self.data).hexdigest() == self.sha256

    @classmethod
    def from_wire(cls, wire: object) -> Chunk:
        """The chunk in plain data; raises ValueError on anything malformed."""
        data = read_bytes(wire, "data")
        if len(data) > MAX_CHUNK_BYTES:
            raise ValueError(f"a chunk has {len(data)} bytes")
        return cls(offset=read_int(wire, "offset"), data=data, sha256=read_text(wire, "sha256", max_length=64))


class Stream:
    """The copy of one machine's spool: `received` bytes of `announced`."""

    def __init__(self) -> None:
        self.received = 0
        self.announced = 0
        self._hash = hashlib.sha256()
        self._rest = bytearray()  # the beginning of a frame that is not whole yet

    @property
    def sha256(self) -> str:
        """Of all that was received, in hexadecimal digits."""
        return self._hash.hexdigest()

    @property
    def missing_bytes(self) -> int:
        """What is known to be there and has not come."""
        return self.announced - self.received

    def announce(self, total_bytes: int) -> None:
        """The spool is at least this long."""
        self.announced = max(self.announced, total_bytes)

    def take(self, chunk: Chunk) -> Iterator[Any]:
        """The frames that are whole now, unpacked, each an event as plain data if it is what it should be.

        A chunk that is spoilt or comes too early changes nothing.  Raises ValueError, and nothing else, when what was
        received are no frames; what came before is yielded.
        """
        known = self.received - chunk.offset
        if known < 0 or not chunk.intact:
            return
        new = memoryview(chunk.data)[known:]
        self._hash.update(new)
        self.received += len(new)
        self.announce(self.received)
        self._rest += new
        yield from self._frames()

    def _frames(self) -> Iterator[Any]:
        at = 0
        try:
            while len(self._rest) - at >= _HEAD_BYTES:
                begin = at + _HEAD_BYTES
                size = int.from_bytes(self._rest[at:begin], "big")
                if size > _MAX_FRAME_BYTES:
                    raise ValueError(f"a frame of {size} bytes is announced")
                if len(self._rest) - begin < size:
                    break
                at = begin + size
                yield _unpacked(bytes(self._rest[begin:at]))
        finally:
            del self._rest[:at]


def _unpacked(body: bytes) -> Any:
    try:
        return msgpack.unpackb(body)
    except (ValueError, TypeError, OverflowError, msgpack.exceptions.UnpackException) as error:
        raise ValueError(f"a frame cannot be unpacked: {error}") from error
