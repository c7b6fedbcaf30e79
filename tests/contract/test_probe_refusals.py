"""Tests of a probe that cannot begin or that end early: the messages of both ends, and nothing is left behind."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from typing import Any

import pytest

from loadgen.model.errors import PlanError
from loadgen.model.probe import Kind, Transport
from loadgen.model.units import NS_PER_S
from loadgen.probe.api import ProbeError
from tests.support.probe_steps import in_running, played, refused, server_in_running
from tests.support.probes import (
    HOST,
    Peer,
    footprint,
    probe,
    run,
    scripted_server,
    serving,
    short,
    until,
)


def test_a_busy_server_refuses() -> None:
    async def scenario() -> int:
        async with serving(tests=1) as served:
            first = asyncio.create_task(probe(short(duration_ns=NS_PER_S), served.port))
            await until(lambda: served.server.counters.connections > 0)
            with pytest.raises(ProbeError, match=r"127.0.0.1:\d+ is busy with another test") as caught:
                await probe(short(), served.port)
            assert "stock iperf3" in caught.value.hint
            await first
            return served.server.counters.refused_busy

    assert run(scenario) == 1


def test_messages_put_ipv6_addresses_in_brackets() -> None:
    with pytest.raises(ProbeError, match=r"^\[::1\]:1 refuses"):
        run(lambda: probe(short(), 1, host="::1"))


@pytest.mark.parametrize(
    "options", [{"parallel": 2}, {"transport": Transport.UDP}, {"kind": Kind.CRR}], ids=["tcp", "udp", "crr"]
)
def test_a_cancelled_test_ends_at_both_ends(options: dict[str, Any]) -> None:
    test = short(duration_ns=30 * NS_PER_S, **options)

    async def scenario() -> tuple[str, tuple[int, int], tuple[int, int]]:
        async with serving() as served:
            before = footprint()
            task = asyncio.create_task(probe(test, served.port))
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            tests = await served.until_served(1)
            return tests[0].ended, before, footprint()

    ended, before, after = run(scenario)
    assert ended == "it broke the test off"
    assert after == before


def test_a_stopped_server_informs_its_clients() -> None:
    async def scenario() -> tuple[str, str]:
        async with serving() as served:
            task = asyncio.create_task(probe(short(duration_ns=30 * NS_PER_S), served.port))
            await asyncio.sleep(0.3)
            await served.server.close()
            return (await task).cut, served.tests[0].ended

    message, ended = run(scenario)
    assert message.endswith("was stopped and broke the test off")
    assert ended == "the server was stopped"


def test_unsupported_settings_are_reported() -> None:
    with pytest.raises(PlanError, match="no congestion control nonsense") as caught:
        run(lambda: probe(short(congestion="nonsense"), 1))
    assert "reno" in caught.value.hint
    with pytest.raises(PlanError, match="cores"):
        run(lambda: probe(short(cores=(9999,)), 1))
    core = min(os.sched_getaffinity(0))
    result, _ = played(short(cores=(core,), limit_bytes=1000, congestion="reno"))
    assert result.congestion == "reno"


def test_an_unreachable_server_is_reported() -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        with pytest.raises(ProbeError, match="refuses the connection") as caught:
            run(lambda: probe(short(), unused.getsockname()[1]))
    assert "--server" in caught.value.hint
    with pytest.raises(ProbeError, match="cannot be found"):
        run(lambda: probe(short(), 5201, host="no..such"))


def test_an_unavailable_address_is_a_plan_error() -> None:
    async def scenario() -> None:
        async with serving() as served:
            with pytest.raises(PlanError, match="cannot listen"):
                await served.server.open(HOST, served.port)

    run(scenario)


class NoIpv6(socket.socket):
    """A socket on a machine without IPv6, where a name can still have an IPv6 address."""

    def __init__(self, family: int = -1, *others: Any, **more: Any) -> None:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        super().__init__(family, *others, **more)


def test_a_missing_address_family_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", NoIpv6)
    with pytest.raises(ProbeError, match="cannot be reached from here: Address family not supported"):
        run(lambda: probe(short(), 5201, host="::1"))


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_shortage_of_threads_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", no_thread)

    async def scenario() -> None:
        async with scripted_server(server_in_running) as port:
            with pytest.raises(PlanError, match="cannot run 2 streams: no more threads"):
                await probe(short(parallel=2), port)

    run(scenario)


def test_a_server_without_threads_refuses_and_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> list[str]:
        async with serving() as served:
            with monkeypatch.context() as without:
                without.setattr(threading.Thread, "start", no_thread)
                peer = await Peer.connect(served.port)
                data = await in_running(peer, served.port)
                await refused(peer)
                await until(lambda: len(served.tests) == 1)
            for one in (data, peer):
                await one.close()
            await probe(short(limit_bytes=1000), served.port)
            return [test.ended for test in await served.until_served(2)]

    assert run(scenario) == [
        "it was refused: it could not accept a stream (Resource temporarily unavailable)",
        "done",
    ]
