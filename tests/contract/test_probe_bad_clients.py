"""Clients that break the probe's protocol: each ends only its own test."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from loadgen.probe.iperf3 import State
from tests.support.probe_steps import QUICK_NS, RIGHT, in_parameters, in_results, in_running, in_streams, refused
from tests.support.probes import (
    COOKIE,
    HOST,
    Peer,
    footprint,
    probe,
    run,
    serving,
    short,
    until,
)


async def says_nothing(peer: Peer, port: int) -> None:
    await peer.ended()


async def shows_half_a_cookie(peer: Peer, port: int) -> None:
    peer.send(COOKIE[:20])
    await peer.ended()


async def speaks_http(peer: Peer, port: int) -> None:
    peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n")
    assert await peer.ended() == b""


async def closes_at_once(peer: Peer, port: int) -> None:
    await peer.close()


async def never_sends_parameters(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    await peer.ended()


async def leaves_before_its_parameters(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    await peer.close()


async def announces_4_gigabytes(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    peer.send(b"\xff\xff\xff\xff")
    await refused(peer)


async def sends_garbage_parameters(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    peer.send(struct.pack(">I", 50) + os.urandom(50))
    await refused(peer)


async def asks_for_too_many_streams(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    peer.send({**RIGHT, "parallel": 600, "bidirectional": True})
    await refused(peer)


async def asks_for_an_unknown_congestion_control(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    peer.send({**RIGHT, "congestion": "nonsense"})
    await refused(peer)


async def opens_no_streams(peer: Peer, port: int) -> None:
    await in_streams(peer)
    await peer.ended()


async def opens_no_udp_streams(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    peer.send({**RIGHT, "tcp": False, "udp": True})
    assert await peer.state() == State.CREATE_STREAMS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"what is this", (HOST, port))
    await peer.ended()


async def opens_half_of_its_streams(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    peer.send({**RIGHT, "parallel": 2})
    assert await peer.state() == State.CREATE_STREAMS
    data = await Peer.connect(port)
    data.send(COOKIE)
    assert await data.ended() == b""
    await data.close()


async def leaves_before_its_streams(peer: Peer, port: int) -> None:
    await in_streams(peer)
    await peer.close()


async def talks_out_of_turn(peer: Peer, port: int) -> None:
    await in_streams(peer)
    peer.send(State.TEST_END)
    await refused(peer)


async def leaves_in_the_middle(peer: Peer, port: int) -> None:
    data = await in_running(peer, port)
    await peer.close()
    await data.ended()
    await data.close()


async def resets_everything_in_the_middle(peer: Peer, port: int) -> None:
    data = await in_running(peer, port)
    for one in (data, peer):
        sock = one.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.writer.transport.abort()


async def breaks_off_in_the_middle(peer: Peer, port: int) -> None:
    data = await in_running(peer, port)
    peer.send(State.CLIENT_TERMINATE)
    await peer.ended()
    await data.close()


async def babbles_in_the_middle(peer: Peer, port: int) -> None:
    data = await in_running(peer, port)
    peer.send(77)
    await refused(peer)
    await data.close()


async def never_sends_results(peer: Peer, port: int) -> None:
    data = await in_results(peer, port)
    await peer.ended()
    await data.close()


async def sends_garbage_results(peer: Peer, port: int) -> None:
    data = await in_results(peer, port)
    peer.send({"streams": 5})
    await refused(peer)
    await data.close()


async def leaves_before_its_results(peer: Peer, port: int) -> None:
    data = await in_results(peer, port)
    await peer.close()
    await data.close()


async def never_says_done(peer: Peer, port: int) -> None:
    data = await in_results(peer, port)
    peer.send({"streams": []})
    assert (await peer.block())["streams"][0]["bytes"] <= 5000
    await peer.ended()
    await data.close()


# The script of each bad client, the server's counter that it raises, and a part of the reason why its test ended.
BAD_CLIENTS: dict[Callable[[Peer, int], Awaitable[None]], tuple[str, str]] = {
    says_nothing: ("timed_out", ""),
    shows_half_a_cookie: ("timed_out", ""),
    speaks_http: ("garbage", ""),
    closes_at_once: ("garbage", ""),
    never_sends_parameters: ("timed_out", "did not send its block"),
    leaves_before_its_parameters: ("tests_broken", "closed its control connection"),
    announces_4_gigabytes: ("garbage", "4294967295 bytes"),
    sends_garbage_parameters: ("garbage", "not JSON"),
    asks_for_too_many_streams: ("tests_broken", "this many parallel streams"),
    asks_for_an_unknown_congestion_control: ("tests_broken", "congestion control"),
    opens_no_streams: ("timed_out", "did not open its streams"),
    opens_no_udp_streams: ("timed_out", "did not open its streams"),
    opens_half_of_its_streams: ("timed_out", "did not open its streams"),
    leaves_before_its_streams: ("tests_broken", "closed its control connection"),
    talks_out_of_turn: ("garbage", "TEST_END at the wrong time"),
    leaves_in_the_middle: ("tests_broken", "closed its control connection"),
    resets_everything_in_the_middle: ("tests_broken", "connection"),
    breaks_off_in_the_middle: ("tests_broken", "broke the test off"),
    babbles_in_the_middle: ("garbage", "unknown state 77"),
    never_sends_results: ("timed_out", "did not send its block"),
    sends_garbage_results: ("garbage", "streams"),
    leaves_before_its_results: ("tests_broken", "closed its control connection"),
    never_says_done: ("timed_out", "did not answer"),
}
BEFORE_PARAMETERS = {
    never_sends_parameters,
    leaves_before_its_parameters,
    announces_4_gigabytes,
    sends_garbage_parameters,
}


@pytest.mark.parametrize("script", BAD_CLIENTS, ids=lambda script: script.__name__)
def test_a_bad_client_ends_only_its_own_test(script: Callable[[Peer, int], Awaitable[None]]) -> None:
    counter, ended = BAD_CLIENTS[script]

    async def scenario() -> None:
        async with serving(patience_ns=QUICK_NS) as served:
            before = footprint()
            peer = await Peer.connect(served.port)
            await script(peer, served.port)
            await peer.close()
            counters = served.server.counters
            await until(lambda: getattr(counters, counter) == 1)
            if ended:
                await until(lambda: len(served.tests) == 1)
                assert ended in served.tests[0].ended
                assert (served.tests[0].what == "no parameters") == (script in BEFORE_PARAMETERS)
                assert counters.tests_broken == 1
            assert counters.tests_done == 0
            with contextlib.suppress(TimeoutError):
                await until(lambda: footprint() == before, 2)
            assert footprint() == before
            await probe(short(limit_bytes=1000), served.port)  # the server still serves

    run(scenario)
