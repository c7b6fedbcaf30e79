"""A part of a spool on its way to the coordinator: the format that both ends share.  Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from loadgen.measure.wire import read_bytes, read_int, read_text

MAX_CHUNK_BYTES = 4 << 20
"""The largest chunk that is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A part of a spool, as it was received: `sha256` is the checksum that its sender computed (:func:`hash_of`)."""

    offset: int
    data: bytes
    sha256: str

    @property
    def intact(self) -> bool:
        """Whether the checksum matches the position and the data of the chunk."""
        return hash_of(self.offset, self.data) == self.sha256

    @classmethod
    def from_wire(cls, wire: object) -> Chunk:
        """Read a chunk from plain data.  Raises ValueError if it is malformed."""
        data = read_bytes(wire, "data")
        if len(data) > MAX_CHUNK_BYTES:
            raise ValueError(f"a chunk has {len(data)} bytes")
        return cls(offset=read_int(wire, "offset"), data=data, sha256=read_text(wire, "sha256", max_length=64))


def hash_of(offset: int, data: bytes) -> str:
    """Return the SHA-256 of `offset` (8 bytes, big endian) followed by `data`, in hexadecimal digits.

    The offset is included so that the checksum covers the position of a chunk as well as its content.
    """
    digest = hashlib.sha256(offset.to_bytes(8, "big"))
    digest.update(data)
    return digest.hexdigest()


def chunk_to_wire(offset: int, data: bytes) -> dict[str, Any]:
    """Return a chunk as plain data with its checksum; :meth:`Chunk.from_wire` reads it."""
    return {"offset": offset, "data": data, "sha256": hash_of(offset, data)}
