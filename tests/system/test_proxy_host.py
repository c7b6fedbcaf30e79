"""The process that hosts a proxy for the coordinator: its services, its report, and its end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from coordinator.ends import ProxyEnd
from loadgen.host.report import fetch
from loadgen.measure.forwarding import HostReport
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.probe import Mode
from tests.support.proxies import (
    PATIENCE_S,
    descriptors,
    free_ports,
    is_reset,
    read_all,
)
from tests.support.vms import is_running, within


async def _hosted(upstream: socket.socket) -> None:
    connect_port = upstream.getsockname()[1]
    first = free_ports(5)
    async with ProxyEnd("proxy") as proxy:
        port, report = await proxy.host(
            host="127.0.0.1",
            port=first,
            connect_host="127.0.0.1",
            connect_port=connect_port,
            modes=[Mode.SPLICE, Mode.COPY],
            windows_bytes=[0, 64 << 10],
        )
        assert port == first
        assert [(one.mode, one.window_bytes, one.port - first) for one in report.services] == [
            (Mode.SPLICE, 0, 1),
            (Mode.SPLICE, 64 << 10, 2),
            (Mode.COPY, 0, 3),
            (Mode.COPY, 64 << 10, 4),
        ]
        for number, service in enumerate(report.services, start=1):
            with socket.create_connection(("127.0.0.1", service.port), PATIENCE_S) as client:
                client.sendall(b"x" * 1000 * number)
                client.shutdown(socket.SHUT_WR)
                with upstream.accept()[0] as server:
                    assert len(read_all(server)) == 1000 * number
                    server.sendall(b"y")
                assert read_all(client) == b"y"
        later = await _report_when(port, lambda report: not any(one.counters.open for one in report.services))
        assert [one.counters.forwarded_bytes for one in later.services] == [1000, 2000, 3000, 4000]
        assert [one.counters.accepted for one in later.services] == [1, 1, 1, 1]
        assert later.cpu_ns >= report.cpu_ns > 0
        assert later.memory_bytes > 1 << 20
        with pytest.raises(PlanError, match="already"):
            await proxy.host(
                host="127.0.0.1", connect_host="127.0.0.1", connect_port=9, modes=[Mode.COPY], windows_bytes=[0]
            )
        with (
            socket.create_connection(("127.0.0.1", report.services[0].port), PATIENCE_S) as client,
            upstream.accept()[0] as server,
        ):
            proxy._process.stdin.close()  # type: ignore[union-attr]
            assert await asyncio.to_thread(is_reset, client)
            assert is_reset(server)
    assert proxy.is_lost
    assert not any(_connects_to(port) for port in range(first, first + 5))


async def _report_when(port: int, happened: Callable[[HostReport], bool]) -> HostReport:
    async with asyncio.timeout(PATIENCE_S):
        while not happened(report := await fetch("127.0.0.1", port)):  # noqa: ASYNC110 - set by another process
            await asyncio.sleep(0.02)
    return report


def _connects_to(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_a_proxy_host_forwards_in_each_mode_and_reports(upstream: socket.socket) -> None:
    asyncio.run(_hosted(upstream))


def test_an_invalid_host_is_refused_and_nothing_listens() -> None:
    async def refused(first: int) -> None:
        async with ProxyEnd("proxy") as proxy:

            async def host(port: int = 0, connect_host: str = "127.0.0.1", mode: Mode = Mode.COPY) -> int:
                got, _ = await proxy.host(
                    host="127.0.0.1",
                    port=port,
                    connect_host=connect_host,
                    connect_port=9,
                    modes=[mode],
                    windows_bytes=[0],
                )
                return got

            before = descriptors(proxy.pid)
            with pytest.raises(PlanError, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use"):
                await host(port=first)
            with pytest.raises(PlanError, match=r"cannot listen on 127\.0\.0\.1 port"):
                await host(port=first + 1)
            with pytest.raises(PlanError, match="must be splice or copy"):
                await host(mode=Mode.DIRECT)
            with pytest.raises(TargetError, match="the upstream ::g is not known"):
                await host(connect_host="::g")
            assert descriptors(proxy.pid) == before
            assert await host() > 0

    first = free_ports(3)
    with socket.create_server(("127.0.0.1", first + 1)):
        asyncio.run(refused(first))


PARENT = """
import asyncio, sys
from coordinator.ends import ProxyEnd
from loadgen.model.probe import Mode

async def main():
    async with ProxyEnd("proxy") as proxy:
        port, _ = await proxy.host(
            host="127.0.0.1", connect_host="127.0.0.1", connect_port=9, modes=[Mode.SPLICE], windows_bytes=[0]
        )
        print(proxy.pid, port, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_the_process_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, port = map(int, parent.stdout.readline().split())
        assert _connects_to(port)
        parent.kill()
    assert within(PATIENCE_S, lambda: not is_running(pid))
    assert within(PATIENCE_S, lambda: not _connects_to(port))  # its second thread may end slightly later
