"""A proxy host in a process of its own: frames on stdin and stdout in a second thread, the epoll loop in the first.

It ends when its stdin does, and with its parent, so it cannot outlive whoever started it.

down: host {host, port, connect_host, connect_port, modes, windows_bytes}
up:   hello {pid, version} · listening {host, port, report} · failed {whose, message, hint}
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import sys
import threading
import time
import traceback
from typing import Any

from loadgen import __version__
from loadgen.host import frames
from loadgen.model.errors import ExitCode, LoadgenError, PlanError
from loadgen.model.plain import from_plain, to_plain
from loadgen.proxy.api import HostConfig
from loadgen.proxy.host import ProxyHost
from loadgen.proxy.loop import ProxyLoop

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class ProxyProcess:
    """Carries frames to a loop in another thread, and what it says back."""

    def __init__(self, loop: ProxyLoop, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self._loop = loop
        self._reader = reader
        self._writer = writer
        self._host: ProxyHost | None = None

    async def serve(self) -> None:
        """Until stdin ends."""
        self._send({"is": "hello", "pid": os.getpid(), "version": __version__})
        while (message := await frames.receive(self._reader)) is not None:
            if message.pop("do") == "host":
                await self._become(message)
        if self._host is not None:
            await self._host.close()

    async def _become(self, wanted: dict[str, Any]) -> None:
        try:
            if self._host is not None:
                raise PlanError("this process is a proxy host already")
            host = ProxyHost(self._loop, from_plain(HostConfig, wanted, "the host"))
            port = await host.open()
        except LoadgenError as error:
            whose = "plan" if isinstance(error, PlanError) else "target"
            self._send({"is": "failed", "whose": whose, "message": error.message, "hint": error.hint})
            return
        self._host = host
        self._send({"is": "listening", "host": wanted["host"], "port": port, "report": to_plain(host.report())})

    def _send(self, message: dict[str, Any]) -> None:
        self._writer.write(frames.encode(message))


async def _serve(proxies: ProxyLoop) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    writer, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout.buffer)
    loop.set_exception_handler(_die_of)
    await ProxyProcess(proxies, reader, writer).serve()


def _die_of(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A callback raised: that is a bug, and going on would leave a proxy that nobody can ask."""
    loop.default_exception_handler(context)
    _die()


def _die() -> None:
    sys.stderr.flush()
    os._exit(ExitCode.INTERNAL)


def _control(proxies: ProxyLoop) -> None:
    """The second thread.  When it has nobody to listen to any more, the loop ends, and what is open is reset."""
    try:
        asyncio.run(_serve(proxies))
    except BaseException:  # noqa: BLE001 - a bug; and a thread alone would end unseen
        traceback.print_exc()
        _die()
    proxies.post(lambda: proxies.drain(0))


def main() -> int:
    """Run the proxy process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the coordinator's to answer
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a connection is two descriptors, and a pipe two more
    proxies = ProxyLoop(time.monotonic_ns)
    threading.Thread(target=_control, args=(proxies,), daemon=True).start()
    proxies.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
