"""Messages between an agent and its engines: msgpack maps behind a 4-byte length, over pipes."""

from __future__ import annotations

import asyncio
from typing import Any

import msgpack

MAX_FRAME_BYTES = 1 << 30
"""A tape of 100,000 operations is about 20 MB; anything near this bound is not a frame of ours."""


class FrameError(Exception):
    """What arrived is not a frame."""


def encode(message: dict[str, Any]) -> bytes:
    """One message as bytes."""
    body = msgpack.packb(message)
    return len(body).to_bytes(4, "big") + bytes(body)


async def receive(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next message; None at the end of the stream.  Raises FrameError on anything else."""
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > MAX_FRAME_BYTES:
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
