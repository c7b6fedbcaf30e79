"""The probe's server with stock clients, with late streams, and with foreign connections."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from loadgen.model.units import NS_PER_S
from loadgen.probe.iperf3 import UDP_ACCEPT, UDP_CONNECT, State
from tests.support.probe_steps import RIGHT, in_parameters, in_running
from tests.support.probes import (
    COOKIE,
    HOST,
    Peer,
    run,
    serving,
    until,
)


def test_bytes_after_the_end_still_count_for_a_limit() -> None:
    async def scenario() -> dict[str, Any]:
        async with serving() as served:
            peer = await Peer.connect(served.port)
            await in_parameters(peer)
            peer.send({**RIGHT, "time": 0, "num": 5000})
            assert await peer.state() == State.CREATE_STREAMS
            data = await Peer.connect(served.port)
            data.send(COOKIE)
            assert [await peer.state(), await peer.state()] == [State.TEST_START, State.TEST_RUNNING]
            peer.send(State.TEST_END)
            assert await peer.state() == State.EXCHANGE_RESULTS
            peer.send({"streams": [{"id": 1, "bytes": 5000}]})
            await asyncio.sleep(0.05)
            data.send(bytes(5000))
            results = await peer.block()
            for one in (data, peer):
                await one.close()
            return results

    assert run(scenario)["streams"][0]["bytes"] == 5000


def test_a_stock_client_gets_more_than_its_limit_because_it_may_not_have_counted_everything() -> None:
    async def scenario() -> bytes:
        async with serving() as served:
            peer = await Peer.connect(served.port)
            await in_parameters(peer)
            peer.send({**RIGHT, "time": 0, "num": 5000, "reverse": True})
            assert await peer.state() == State.CREATE_STREAMS
            data = await Peer.connect(served.port)
            data.send(COOKIE)
            received = await data.reader.readexactly(50_000)
            assert [await peer.state(), await peer.state()] == [State.TEST_START, State.TEST_RUNNING]
            peer.send(State.TEST_END)
            await data.ended()  # a client may read complete blocks and wait for the rest of the last one
            assert await peer.state() == State.EXCHANGE_RESULTS
            for one in (data, peer):
                await one.close()
            return received

    assert len(run(scenario)) == 50_000


def test_a_udp_stream_that_arrives_while_another_is_accepted_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between bind() and connect(), the new socket receives datagrams that are for the listening socket."""
    visits: list[socket.socket] = []

    class Visited(socket.socket):
        def connect(self, address: Any) -> None:
            visitor = visits.pop() if visits else None
            if visitor is not None:
                visitor.sendto(UDP_CONNECT, self.getsockname())
            super().connect(address)

    monkeypatch.setattr(socket, "socket", Visited)

    async def scenario() -> None:
        async with serving(patience_ns=NS_PER_S) as served:
            peer = await Peer.connect(served.port)
            await in_parameters(peer)
            peer.send({**RIGHT, "tcp": False, "udp": True, "parallel": 2})
            assert await peer.state() == State.CREATE_STREAMS
            with (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
            ):
                visits.append(second)
                first.sendto(UDP_CONNECT, (HOST, served.port))
                assert [await peer.state(), await peer.state()] == [State.TEST_START, State.TEST_RUNNING]
                for sock in (first, second):
                    sock.settimeout(1)
                    assert sock.recv(10) == UDP_ACCEPT
            await peer.close()

    run(scenario)


def test_a_repeated_greeting_is_one_stream() -> None:
    async def scenario() -> int:
        async with serving() as served:
            peer = await Peer.connect(served.port)
            await in_parameters(peer)
            peer.send({**RIGHT, "tcp": False, "udp": True, "parallel": 2})
            assert await peer.state() == State.CREATE_STREAMS
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
                for _ in range(2):
                    first.sendto(UDP_CONNECT, (HOST, served.port))
                await until(lambda: served.server.counters.unknown_datagrams == 1)
            await peer.close()
            return len(served.tests)

    assert run(scenario) == 0  # the server was still waiting for the second stream


def test_a_waiting_client_may_leave() -> None:
    async def scenario() -> list[str]:
        async with serving() as served:
            peers = [await Peer.connect(served.port) for _ in range(2)]
            for peer, cookie in zip(peers, (COOKIE, COOKIE.replace(b"a", b"b")), strict=True):
                peer.send(cookie)
                assert await peer.state() == State.PARAM_EXCHANGE
                peer.send({**RIGHT, "tcp": False, "udp": True})
            assert await peers[0].state() == State.CREATE_STREAMS
            await peers[1].close()
            ended = [test.ended for test in await served.until_served(1)]
            await peers[0].close()
            return ended

    assert run(scenario) == ["it closed its control connection"]


def test_streams_may_arrive_slowly_one_after_the_other() -> None:
    async def scenario() -> None:
        async with serving(patience_ns=NS_PER_S) as served:
            peer = await Peer.connect(served.port)
            await in_parameters(peer)
            peer.send({**RIGHT, "parallel": 3})
            assert await peer.state() == State.CREATE_STREAMS
            streams = []
            for _ in range(3):
                await asyncio.sleep(0.4)
                streams.append(await Peer.connect(served.port))
                streams[-1].send(COOKIE)
            assert [await peer.state(), await peer.state()] == [State.TEST_START, State.TEST_RUNNING]
            for one in (*streams, peer):
                await one.close()

    run(scenario)


def test_foreign_streams_and_datagrams_are_refused() -> None:
    async def scenario() -> None:
        async with serving() as served:
            peer = await Peer.connect(served.port)
            data = await in_running(peer, served.port)
            second = await Peer.connect(served.port)
            second.send(COOKIE)  # one stream more than the parameters have
            assert await second.ended() == b""
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"9876", (HOST, served.port))
                await until(lambda: served.server.counters.unknown_datagrams == 1)
            assert served.server.counters.garbage == 1
            peer.send(State.CLIENT_TERMINATE)
            await served.until_served(1)
            third = await Peer.connect(served.port)
            third.send(COOKIE)  # the test of this cookie has ended
            assert await third.ended() == b""
            assert served.server.counters.late == 1
            for one in (second, third, data, peer):
                await one.close()

    run(scenario)


def test_the_number_of_foreign_connections_is_limited() -> None:
    async def scenario() -> None:
        async with serving(strangers=2) as served:
            peers = [await Peer.connect(served.port) for _ in range(3)]
            assert await peers[2].ended() == b""
            assert served.server.counters.refused_busy == 1
            for peer in peers:
                await peer.close()

    run(scenario)
