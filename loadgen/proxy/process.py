"""A proxy host in a process of its own: frames on stdin and stdout in a second thread, the epoll loop in the first.

It ends when its stdin does, and with its parent, so it cannot outlive whoever started it.

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
    await ProxyProcess(proxies, *await child.pipes()).serve()


def _control(proxies: ProxyLoop) -> None:
    """The second thread.  When it has nobody to listen to any more, the loop ends, and what is open is reset."""
    try:
        asyncio.run(_serve(proxies))
    except BaseException:  # noqa: BLE001 - a bug; and a thread alone would end unseen
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(ExitCode.INTERNAL)
    proxies.post(lambda: proxies.drain(0))


def main() -> int:
    """Run the proxy process."""
    child.begin()
    proxies = ProxyLoop(time.monotonic_ns)
    threading.Thread(target=_control, args=(proxies,), daemon=True).start()
    proxies.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
