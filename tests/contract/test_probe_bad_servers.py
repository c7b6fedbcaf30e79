"""Servers that break the probe's protocol: the user gets one line that names the server and the fault."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

import pytest

from loadgen.probe.api import ProbeError
from loadgen.probe.iperf3 import State
from tests.support.probe_steps import (
    QUICK_NS,
    receive_cookie,
    receive_parameters,
    server_in_results,
    server_in_running,
)
from tests.support.probes import (
    HOST,
    Peer,
    footprint,
    probe,
    run,
    scripted_server,
    short,
    until,
)


async def silent_server(peer: Peer) -> None:
    await peer.ended()


async def closing_server(peer: Peer) -> None:
    await receive_cookie(peer)
    await peer.close()


async def http_server(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await peer.ended()


async def busy_server(peer: Peer) -> None:
    await receive_cookie(peer)
    peer.send(State.ACCESS_DENIED)
    await peer.close()


async def refusing_server(peer: Peer) -> None:
    await receive_parameters(peer)
    peer.send(State.SERVER_ERROR, struct.pack(">ii", 134, 2))
    await peer.ended()


async def half_refusing_server(peer: Peer) -> None:
    await receive_parameters(peer)
    peer.send(State.SERVER_ERROR, b"\0")
    await peer.ended()


async def never_creating_server(peer: Peer) -> None:
    await receive_parameters(peer)
    await peer.ended()


async def server_of_other_ways(peer: Peer) -> None:
    await receive_parameters(peer)
    peer.send(State.LOADGEN, struct.pack(">I", 1 << 30))
    await peer.ended()


async def hurrying_server(peer: Peer) -> None:
    await receive_parameters(peer)
    peer.send(State.DISPLAY_RESULTS)
    await peer.ended()


async def terminating_server(peer: Peer) -> None:
    await server_in_running(peer)
    await asyncio.sleep(0.05)
    peer.send(State.SERVER_TERMINATE)
    await peer.ended()


async def vanishing_server(peer: Peer) -> None:
    await server_in_running(peer)
    await asyncio.sleep(0.05)
    await peer.close()


async def server_without_an_end(peer: Peer) -> None:
    await server_in_running(peer)
    await peer.ended()


async def server_of_large_results(peer: Peer) -> None:
    await server_in_results(peer)
    peer.send(b"\x7f\xff\xff\xff")
    await peer.ended()


async def server_of_wrong_results(peer: Peer) -> None:
    await server_in_results(peer)
    peer.send({"streams": [{"id": 1, "bytes": "many"}]})
    await peer.ended()


async def server_of_no_results(peer: Peer) -> None:
    await server_in_results(peer)
    peer.send({"streams": []}, State.DISPLAY_RESULTS)
    await peer.ended()


async def server_that_leaves_with_the_results(peer: Peer) -> None:
    await server_in_results(peer)
    await peer.close()


# The script of each bad server, and a part of the message for the user.
BAD_SERVERS: dict[Callable[[Peer], Awaitable[None]], str] = {
    silent_server: "or it hangs: it accepted the connection, but did not answer for 0.1 s",
    closing_server: "is probably no iperf3 server: it closed its control connection before",
    http_server: "is no iperf3 server but a web server",
    busy_server: "is busy with another test",
    refusing_server: "cannot run the test: it does not know that congestion control",
    half_refusing_server: "did not send the number of its error",
    never_creating_server: "did not answer for 0.1 s",
    server_of_other_ways: "announced a block of 1073741824 bytes",
    hurrying_server: "sent DISPLAY_RESULTS instead of LOADGEN or CREATE_STREAMS",
    terminating_server: "was stopped and broke the test off",
    vanishing_server: "closed its control connection",
    server_without_an_end: "did not answer for 0.1 s",
    server_of_large_results: "announced a block of 2147483647 bytes",
    server_of_wrong_results: "invalid 'bytes': it must be a whole number",
    server_of_no_results: "its results leave out stream 1",
    server_that_leaves_with_the_results: "closed its control connection",
}


@pytest.mark.parametrize("script", BAD_SERVERS, ids=lambda script: script.__name__)
def test_a_bad_server_is_reported_in_one_line(script: Callable[[Peer], Awaitable[None]]) -> None:
    async def scenario() -> tuple[str, int]:
        again = script if script is closing_server else None  # such a server is tried a second time
        async with scripted_server(script, again) as port:
            before = footprint()
            try:
                message = (await probe(short(), port, patience_ns=QUICK_NS)).cut  # a test that had its time
            except ProbeError as error:
                message = error.message
            await until(lambda: footprint()[1] <= before[1])
            return message, port

    message, port = run(scenario)
    assert message.startswith(f"{HOST}:{port} ")
    assert BAD_SERVERS[script] in message
    assert "\n" not in message
