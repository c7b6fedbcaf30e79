"""QMP, the protocol by which a running QEMU is asked: one JSON object per line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from loadgen.model.errors import TargetError

_REPLY_S = 20.0
_AGAIN_S = 0.02


async def ask(control: Path, *commands: str) -> list[Any]:
    """The results of these commands, which have no arguments.  Raises TargetError when QEMU does not answer them."""
    try:
        async with asyncio.timeout(_REPLY_S):
            reader, writer = await _connect(control)
            try:
                await reader.readline()  # the greeting
                return [await _execute(reader, writer, name) for name in ("qmp_capabilities", *commands)][1:]
            finally:
                writer.close()
                await writer.wait_closed()
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise TargetError(f"QEMU does not answer at {control}: {error or f'no reply within {_REPLY_S:g} s'}") from error


async def _connect(control: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            return await asyncio.open_unix_connection(str(control))
        except (FileNotFoundError, ConnectionRefusedError):  # QEMU has not made the socket yet
            await asyncio.sleep(_AGAIN_S)


async def _execute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> Any:
    writer.write(json.dumps({"execute": name}).encode() + b"\n")
    while line := await reader.readline():
        reply = json.loads(line)
        if "return" in reply:
            return reply["return"]
        if "error" in reply:
            raise ValueError(f"{name}: {reply['error'].get('desc', 'refused')}")
    raise ValueError(f"{name}: the connection was closed")
