"""Messages between an agent and its engines: msgpack maps behind a 4-byte length, over pipes."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import msgpack

MAX_FRAME_BYTES = 1 << 30
"""A tape of 100,000 operations is about 20 MB; anything near this bound is not a frame of ours."""


class Reader(Protocol):
    """Where frames come from: a stream of asyncio, or one like it."""

    async def readexactly(self, n: int, /) -> bytes:
        """So many bytes.  Raises asyncio.IncompleteReadError at the end."""


class FrameError(Exception):
    """What arrived is not a frame."""


def encode(message: dict[str, Any]) -> bytes:
    """One message as bytes."""
    body = msgpack.packb(message)
    return len(body).to_bytes(4, "big") + bytes(body)


async def receive(reader: Reader, max_bytes: int = MAX_FRAME_BYTES) -> dict[str, Any] | None:
    """The next message; None at the end of the stream.  Raises FrameError on anything else."""
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > max_bytes:
            raise FrameError(f"a frame of {size} bytes is announced")
        body = await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None
    try:
        message = msgpack.unpackb(body)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise FrameError(f"a frame cannot be unpacked: {error}") from error
    if not isinstance(message, dict):
        raise FrameError("a frame is not a map")
    return message
