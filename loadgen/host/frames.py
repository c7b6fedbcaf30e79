"""Frames between a parent and its child processes, over pipes: a 4-byte length, then a msgpack map."""

from __future__ import annotations

from typing import Any, Protocol

import msgpack

MAX_FRAME_BYTES = 1 << 30
"""Limit of a frame.  A tape of 100,000 operations is about 20 MB, so a larger frame is an error."""


class Reader(Protocol):
    """The source of frames: an asyncio.StreamReader, or an object like it."""

    async def readexactly(self, n: int, /) -> bytes:
        """The next `n` bytes.  Raises asyncio.IncompleteReadError at the end of the stream."""


class FrameError(Exception):
    """The received data is not a valid frame."""


def encode(message: dict[str, Any]) -> bytes:
    """`message` as a frame: its length as 4 bytes big endian, then msgpack."""
    body = msgpack.packb(message)
    return len(body).to_bytes(4, "big") + bytes(body)


async def receive(reader: Reader, max_bytes: int = MAX_FRAME_BYTES) -> dict[str, Any] | None:
    """The next message; None at the end of the stream.  Raises FrameError if the data is not a valid frame."""
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > max_bytes:
            raise FrameError(f"a frame of {size} bytes was announced; the limit is {max_bytes} bytes")
        body = await reader.readexactly(size)
    except (EOFError, ConnectionResetError):  # asyncio.IncompleteReadError is an EOFError
        return None
    try:
        message = msgpack.unpackb(body)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise FrameError(f"a frame cannot be unpacked: {error}") from error
    if not isinstance(message, dict):
        raise FrameError("a frame is not a map")
    return message
