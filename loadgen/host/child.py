"""Start of a child process that generates load: it cannot outlive its parent, and talks to it through pipes."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from loadgen.host.limits import raise_open_files
from loadgen.model.errors import ExitCode

if TYPE_CHECKING:
    import asyncio

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def begin() -> None:
    """Set up this process as a child: it dies with its parent, ignores Ctrl-C, and raises its limit of open files."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator handles the terminal's Ctrl-C
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    raise_open_files()


async def pipes() -> tuple[asyncio.StreamReader, asyncio.WriteTransport]:
    """Standard input and output for frames.  From now on, an exception in a callback ends the process."""
    import asyncio  # a child without an event loop starts sooner

    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    writer, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout.buffer)
    loop.set_exception_handler(_die_of)
    return reader, writer


def _die_of(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End the process after an exception in a callback: a bug, after which measurements would be incomplete."""
    loop.default_exception_handler(context)
    sys.stderr.flush()
    os._exit(ExitCode.INTERNAL)
