"""A proxy host: several proxies on one loop, and a report port with their counters."""

from __future__ import annotations

import contextlib

from loadgen import __version__
from loadgen.host import report
from loadgen.measure.forwarding import HostReport
from loadgen.measure.forwarding import Service as ServiceReport
from loadgen.proxy.api import HostConfig
from loadgen.proxy.loop import ProxyLoop
from loadgen.proxy.service import Service


class ProxyHost:
    """The proxies of `config`; they listen from construction on.  Used in another thread than that of `loop`.

    Raises PlanError if an address is not available, and TargetError if the upstream's name is unknown.
    """

    def __init__(self, loop: ProxyLoop, config: HostConfig) -> None:
        self._loop = loop
        self._config = config
        self._server: report.ReportServer | None = None
        self._services: list[Service] = []
        with contextlib.ExitStack() as undo:
            for each in config.proxies():
                self._services.append(Service(each))
                undo.callback(self._services[-1].close)
            undo.pop_all()

    async def open(self) -> int:
        """Start forwarding and reporting; returns the report port.  If it raises PlanError, nothing listens."""
        try:
            self._server = await report.serve(self._config.host, self._config.port, self.report)
        except BaseException:
            for service in self._services:
                service.close()
            raise
        self._loop.post(self._begin)
        port: int = self._server.port
        return port

    def _begin(self) -> None:
        for service in self._services:
            self._loop.add(service)

    def report(self) -> HostReport:
        """The current counters of all proxies, this process and its NICs."""
        return report.take(
            __version__,
            [
                ServiceReport(
                    mode=service.config.mode,
                    window_bytes=service.config.window_bytes,
                    port=service.port,
                    counters=service.counters(),
                )
                for service in self._services
            ],
        )

    async def close(self) -> None:
        """Close the report port.  The loop ends the proxies."""
        if self._server is not None:
            await self._server.close()
