"""A proxy host in a process of its own: the epoll loop in the main thread, frames on stdin and stdout in a second.

The process ends when its stdin closes or its parent ends.

down: host {host, port, connect_host, connect_port, modes, windows_bytes}
up:   hello {pid, version} · listening {host, port, report} · failed {whose, message, hint}
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
from typing import Any

from loadgen import __version__
from loadgen.host import child, frames
from loadgen.model.errors import ExitCode, LoadgenError, PlanError
from loadgen.model.plain import from_plain, to_plain
from loadgen.proxy.api import HostConfig
from loadgen.proxy.host import ProxyHost
from loadgen.proxy.loop import ProxyLoop


class ProxyProcess:
    """Passes frames between the parent and a loop in another thread."""

    def __init__(self, loop: ProxyLoop, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self._loop = loop
        self._reader = reader
        self._writer = writer
        self._host: ProxyHost | None = None

    async def serve(self) -> None:
        """Execute the frames from stdin until it closes, then close the report port."""
        self._send({"is": "hello", "pid": os.getpid(), "version": __version__})
        while (message := await frames.receive(self._reader)) is not None:
            if message.pop("do") == "host":
                await self._become(message)
        if self._host is not None:
            await self._host.close()

    async def _become(self, wanted: dict[str, Any]) -> None:
        try:
            if self._host is not None:
                raise PlanError("this process is already a proxy host")
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
    await ProxyProcess(proxies, *await child.pipes()).serve()


def _control(proxies: ProxyLoop) -> None:
    """Main function of the second thread; after stdin closes, ends the loop and resets open connections."""
    try:
        asyncio.run(_serve(proxies))
    except BaseException:  # noqa: BLE001 - a bug, which would otherwise end only this thread, unnoticed
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(ExitCode.INTERNAL)
    proxies.post(lambda: proxies.drain(0))


def main() -> int:
    """Run the proxy process until stdin closes; the exit code."""
    child.begin()
    proxies = ProxyLoop(time.monotonic_ns)
    threading.Thread(target=_control, args=(proxies,), daemon=True).start()
    proxies.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
