"""How a process that makes load for a coordinator begins: it can't outlive it, and it hears it through its pipes."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from typing import Any

from loadgen.host.limits import raise_open_files
from loadgen.model.errors import ExitCode

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def begin() -> None:
    """Die with the parent, leave Ctrl-C to it, and take all descriptors that this user may have."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the coordinator's to answer
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    raise_open_files()


async def pipes() -> tuple[asyncio.StreamReader, asyncio.WriteTransport]:
    """Standard input and output, for frames.  From now on a callback that raises ends the process."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    writer, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout.buffer)
    loop.set_exception_handler(_die_of)
    return reader, writer


def _die_of(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A callback raised: that is a bug, and going on would record half-truths."""
    loop.default_exception_handler(context)
    sys.stderr.flush()
    os._exit(ExitCode.INTERNAL)
