"""The report of a proxy host, and how it is requested: any answer is a report or a one-line error."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from loadgen.host import report
from loadgen.host.nics import parse_nics, read_nics
from loadgen.measure.forwarding import HostReport, NicCounters, ProxyCounters, Service
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.probe import Mode

DEV = """Inter-|   Receive                             |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0
   va1: 1234567     890    0    0    0     0          0         0    7654       32    0    0    0     0       0
odd:0:12 3 0 0 0 0 0 0 45 6 0 0 0 0 0 0
"""

SERVICE = Service(
    mode=Mode.SPLICE, window_bytes=65536, port=4001, counters=ProxyCounters(accepted=3, forwarded_bytes=1 << 40)
)


def test_the_counters_of_all_nics_but_the_loopback_are_read() -> None:
    assert parse_nics(DEV) == (
        NicCounters(name="va1", rx_bytes=1234567, tx_bytes=7654, rx_packets=890, tx_packets=32),
        NicCounters(name="odd:0", rx_bytes=12, tx_bytes=45, rx_packets=3, tx_packets=6),
    )


@pytest.mark.parametrize("text", ["", "\n", "eth0: 1 2 3", "eth0: a b c d e f g h i j", "no colon at all"])
def test_lines_without_a_nic_are_skipped(text: str) -> None:
    assert parse_nics(text) == ()


def test_without_proc_there_are_no_nics_and_no_memory(tmp_path: Path) -> None:
    assert read_nics(tmp_path) == ()
    taken = report.take("1", [SERVICE], proc=tmp_path)
    assert (taken.nics, taken.memory_bytes, taken.services) == ((), 0, (SERVICE,))


def test_a_report_describes_this_process() -> None:
    taken = report.take("1.2", [])
    assert taken.version == "1.2"
    assert taken.memory_bytes > 1 << 20
    assert taken.cpu_ns > 0


def test_a_report_arrives_unchanged() -> None:
    made: list[HostReport] = []

    def make() -> HostReport:
        made.append(report.take(f"{len(made)}", [SERVICE]))
        return made[-1]

    async def ask_twice() -> list[HostReport]:
        server = await report.serve("127.0.0.1", 0, make)
        try:
            return [await report.fetch(server.host, server.port) for _ in range(2)]
        finally:
            await server.close()

    assert asyncio.run(ask_twice()) == made
    assert [one.version for one in made] == ["0", "1"]


def test_data_from_a_peer_is_ignored_and_a_flood_is_survived() -> None:
    async def flood() -> HostReport:
        server = await report.serve("127.0.0.1", 0, lambda: report.take("1", []))
        try:
            for _ in range(90):  # as many connections as the kernel queues while this loop is busy
                with contextlib.suppress(OSError), socket.create_connection((server.host, server.port)) as peer:
                    peer.send(b'{"do":"host"}\n' * 100)
            while True:  # until the connections that were refused for their number are closed
                with contextlib.suppress(TargetError):
                    return await report.fetch(server.host, server.port)
        finally:
            await server.close()

    assert asyncio.run(flood()).version == "1"


def test_a_taken_port_is_a_plan_error() -> None:
    async def serve() -> None:
        await report.serve("127.0.0.1", port, lambda: report.take("1", []))

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PlanError, match=f"cannot listen on 127.0.0.1 port {port}"):
            asyncio.run(serve())


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _ask(answer: Answer, timeout_s: float) -> HostReport:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        return await report.fetch("127.0.0.1", server.sockets[0].getsockname()[1], timeout_s)
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"null\n",
        b'{"version": "1"}\n',
        b'{"version": 1, "at_ns": 0, "cpu_ns": 0, "memory_bytes": 0, "nics": [], "services": []}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
        b"x" * (report.MAX_REPORT_BYTES * 2),
    ],
)
def test_another_answer_is_not_a_report(said: bytes) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    with pytest.raises(TargetError, match="something that is not a report") as caught:
        asyncio.run(_ask(answer, 5))
    assert "--role proxy" in caught.value.hint


def test_a_missing_answer_times_out() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    with pytest.raises(TargetError, match=r"did not answer within 0.05 s"):
        asyncio.run(_ask(answer, 0.05))


def test_an_unreachable_host_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(TargetError, match=r"cannot be reached: .*[Rr]efused|cannot be reached: Connect call failed"):
        asyncio.run(report.fetch("127.0.0.1", port))
