"""The contract of a proxy about forwarded bytes, in both modes, over real sockets."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.probe import Mode
from loadgen.proxy.pump import COPY_BYTES, PIPE_BYTES
from tests.support.proxies import (
    PATIENCE_S,
    Proxy,
    is_reset,
    is_silent,
    is_stream,
    joined,
    listening,
    proxying,
    read_all,
    read_exactly,
    reset,
    send_until_blocked,
    stream,
)
from tests.support.proxy_flows import (
    BULK,
    MODES,
    WINDOW_BYTES,
    count_turns,
    hold_back,
    in_thread,
    port_of,
    send,
    settled,
)

pytestmark = pytest.mark.usefixtures("no_descriptor_is_left")


@MODES
@pytest.mark.parametrize("block_bytes", [1000, 16 << 10, 1 << 20])
def test_bytes_pass_unchanged_in_both_directions_at_once(mode: Mode, block_bytes: int, upstream: socket.socket) -> None:
    size_bytes = min(BULK, 1000 * block_bytes)
    with proxying(port_of(upstream), mode) as proxy, joined(proxy, upstream) as ends:

        def talk(sock: socket.socket, offset: int) -> None:
            send(sock, size_bytes, offset, block_bytes)
            sock.shutdown(socket.SHUT_WR)

        talking = [in_thread(talk, sock, at) for at, sock in enumerate(ends)]
        heard: list[bytes] = [b"", b""]

        def hear(which: int) -> None:
            heard[which] = read_all(ends[which])

        hearing = [in_thread(hear, which) for which in (0, 1)]
        for thread in talking + hearing:
            thread.join()
        assert [len(each) for each in heard] == [size_bytes, size_bytes]
        assert is_stream(1, heard[0])
        assert is_stream(0, heard[1])
        counters = settled(proxy, open=0)
    assert counters == ProxyCounters(accepted=1, forwarded_bytes=size_bytes, returned_bytes=size_bytes)


@MODES
@pytest.mark.parametrize("first", ["client", "upstream"])
def test_after_a_half_close_the_other_direction_continues(mode: Mode, first: str, upstream: socket.socket) -> None:
    with proxying(port_of(upstream), mode) as proxy, joined(proxy, upstream) as ends:
        ended, other = ends if first == "client" else ends[::-1]
        ended.sendall(b"last words")
        ended.shutdown(socket.SHUT_WR)
        assert read_all(other) == b"last words"
        for number in range(20):
            other.sendall(b"still %d" % number)
            assert read_exactly(ended, len(b"still %d" % number)) == b"still %d" % number
        sending = in_thread(send, other, BULK)
        assert is_stream(0, read_exactly(ended, BULK))
        sending.join()
        assert is_silent(ended)
        assert proxy.counters.open == 1
        other.shutdown(socket.SHUT_WR)
        assert read_all(ended) == b""
        settled(proxy, open=0, reset=0)


@MODES
def test_both_ends_may_close_without_data(mode: Mode, upstream: socket.socket) -> None:
    with proxying(port_of(upstream), mode) as proxy, joined(proxy, upstream) as (client, server):
        client.shutdown(socket.SHUT_WR)
        server.shutdown(socket.SHUT_WR)
        assert read_all(client) == read_all(server) == b""
        assert settled(proxy, open=0) == ProxyCounters(accepted=1)


@MODES
@pytest.mark.parametrize("way", ["to the upstream", "to the client"])
def test_a_slow_reader_blocks_the_sender_and_gets_everything_later(
    mode: Mode, way: str, upstream: socket.socket
) -> None:
    with proxying(port_of(upstream), mode, window_bytes=WINDOW_BYTES) as proxy, joined(proxy, upstream) as ends:
        source, sink = ends if way == "to the upstream" else ends[::-1]
        sent = send_until_blocked(source)
        assert sent < 24 << 20
        held = [end.held_bytes for end in proxy.connection().ends]
        assert sum(held) <= (PIPE_BYTES if mode is Mode.SPLICE else COPY_BYTES)
        assert sum(held) > 0
        assert send_until_blocked(source, sent) == sent  # no more is accepted later
        source.shutdown(socket.SHUT_WR)
        received = read_all(sink)
        assert len(received) == sent
        assert is_stream(0, received)
        sink.sendall(b"thanks")
        assert read_exactly(source, 6) == b"thanks"
        sink.close()
        settled(proxy, open=0, reset=0)


@MODES
@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_reset_is_passed_on(mode: Mode, who: str, upstream: socket.socket) -> None:
    with proxying(port_of(upstream), mode) as proxy, joined(proxy, upstream) as ends:
        broken, other = ends if who == "client" else ends[::-1]
        broken.sendall(b"half a")
        assert read_exactly(other, 6) == b"half a"
        reset(broken)
        assert is_reset(other)
        counters = settled(proxy, open=0)
    assert counters.reset == 1
    assert (counters.forwarded_bytes, counters.returned_bytes) == ((6, 0) if who == "client" else (0, 6))


@MODES
@pytest.mark.parametrize("who", ["the sender", "the end that does not read"])
def test_a_reset_of_a_blocked_flow_is_counted_once(mode: Mode, who: str, upstream: socket.socket) -> None:
    with (
        proxying(port_of(upstream), mode, window_bytes=WINDOW_BYTES) as proxy,
        joined(proxy, upstream) as (client, server),
    ):
        sent = send_until_blocked(client)
        with proxy.frozen():
            server.sendall(b"x")  # the loop then has other work when the reset arrives
            reset(client if who == "the sender" else server)
        assert is_reset(server if who == "the sender" else client)
        counters = settled(proxy, open=0)
    assert counters.reset == 1
    assert counters.forwarded_bytes < sent
    assert counters.returned_bytes <= 1


@MODES
def test_bytes_left_by_a_broken_flow_reach_no_other_flow(mode: Mode, upstream: socket.socket) -> None:
    with proxying(port_of(upstream), mode, window_bytes=64 << 10) as proxy:
        for _ in range(2):
            with joined(proxy, upstream) as (client, server):
                send_until_blocked(client, limit_bytes=4 << 20)
                reset(server)
                assert is_reset(client)
        with joined(proxy, upstream) as (client, server):
            send(client, 100_000)
            assert len(read_exactly(server, 100_000)) == 100_000
            with proxy.frozen():  # the proxy reads from the client before it knows about the reset
                send(client, 100_000)
                reset(server)
            assert is_reset(client)
        with joined(proxy, upstream) as (client, server):
            sending = in_thread(send, client, BULK, 7)
            assert is_stream(7, read_exactly(server, BULK))
            sending.join()


@MODES
def test_a_slow_reader_that_sends_much_does_not_block_other_flows(mode: Mode, upstream: socket.socket) -> None:
    with (
        proxying(port_of(upstream), mode, window_bytes=WINDOW_BYTES) as proxy,
        joined(proxy, upstream, receive_bytes=4096) as (client, server),
    ):
        sent = send_until_blocked(server)
        sending = in_thread(send, client, BULK)
        assert is_stream(0, read_exactly(server, BULK))
        sending.join()
        received = read_exactly(client, 150_000)  # less than the proxy holds, but enough to make it write again
        with joined(proxy, upstream) as (other, heard):
            other.sendall(b"me too")
            assert read_exactly(heard, 6) == b"me too"
        received += read_exactly(client, sent - len(received))
        assert len(received) == sent
        assert is_stream(0, received)


@MODES
def test_an_end_during_the_write_of_the_rest_is_noticed(mode: Mode, upstream: socket.socket) -> None:
    """The reader has room again and the sender closes, both in one turn of the loop."""
    with (
        proxying(port_of(upstream), mode, window_bytes=WINDOW_BYTES) as proxy,
        joined(proxy, upstream, receive_bytes=4096) as (client, server),
    ):
        client.shutdown(socket.SHUT_WR)
        assert read_all(server) == b""
        sent = hold_back(proxy, server)
        received = bytearray()
        with proxy.frozen():
            while not is_silent(client):
                received += client.recv(1 << 20)
            server.shutdown(socket.SHUT_WR)
        received += read_all(client)
        assert len(received) == sent
        assert is_stream(0, received)
        settled(proxy, open=0, reset=0)


@MODES
def test_a_close_that_must_wait_causes_no_busy_loop(mode: Mode, upstream: socket.socket) -> None:
    with (
        proxying(port_of(upstream), mode, window_bytes=WINDOW_BYTES) as proxy,
        joined(proxy, upstream, receive_bytes=4096) as (client, server),
    ):
        client.shutdown(socket.SHUT_WR)
        assert read_all(server) == b""
        sent = hold_back(proxy, server)
        turns = count_turns(proxy)
        server.shutdown(socket.SHUT_WR)
        time.sleep(0.3)
        assert next(turns) < 10
        received = read_all(client)
        assert len(received) == sent
        assert is_stream(0, received)


STEP = st.tuples(
    st.sampled_from(["send", "receive"]), st.sampled_from((0, 1)), st.sampled_from((1, 700, 20_000, 400_000, 3_000_000))
)


@pytest.mark.parametrize("mode", [Mode.SPLICE, Mode.COPY], ids=lambda mode: mode.value)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=12), first=st.sampled_from((0, 1)), rest=st.integers(0, 2_000_000))
def test_in_any_order_every_byte_arrives_once(
    mode: Mode, steps: list[tuple[str, int, int]], first: int, rest: int, proxies: dict[Mode, tuple[Proxy, Any]]
) -> None:
    proxy, upstream = proxies[mode]
    with joined(proxy, upstream) as ends:
        sent, received, is_shut = [0, 0], [0, 0], [False, False]
        for sock in ends:
            sock.setblocking(False)

        def send_some(which: int, size_bytes: int) -> None:
            with contextlib.suppress(BlockingIOError):
                sent[which] += ends[which].send(stream(sent[which] + which, size_bytes))

        def receive_some(which: int, size_bytes: int) -> bool:
            """Receive some bytes; returns whether the stream has ended."""
            try:
                data = ends[which].recv(size_bytes)
            except BlockingIOError:
                return False
            assert is_stream(received[which] + 1 - which, data)
            received[which] += len(data)
            return not data

        for what, which, size_bytes in steps:
            if what == "send":
                send_some(which, size_bytes)
            else:
                receive_some(which, size_bytes)
        # Then one end shuts down, the other end sends the rest, and both read until the end of the stream.
        goal = {first: sent[first], 1 - first: sent[1 - first] + rest}
        has_ended = [False, False]
        while not all(has_ended):
            for which in (first, 1 - first):
                if sent[which] < goal[which]:
                    send_some(which, goal[which] - sent[which])
                elif not is_shut[which]:
                    ends[which].shutdown(socket.SHUT_WR)
                    is_shut[which] = True
            waiting = [ends[which] for which in (0, 1) if not has_ended[which]]
            ready, _, _ = select.select(waiting, [], [], 0.001 if not all(is_shut) else PATIENCE_S)
            assert ready or not all(is_shut), "nothing more comes"
            for sock in ready:
                which = ends.index(sock)
                has_ended[which] = receive_some(which, 1 << 20)
        assert received == sent[::-1]
    settled(proxy, open=0, reset=0)


@pytest.fixture(scope="module")
def proxies() -> Iterator[dict[Mode, tuple[Proxy, socket.socket]]]:
    """One proxy of each mode, which all examples share."""
    with listening() as upstream:
        port = port_of(upstream)
        with proxying(port, Mode.SPLICE) as splicing, proxying(port, Mode.COPY, window_bytes=WINDOW_BYTES) as copying:
            yield {Mode.SPLICE: (splicing, upstream), Mode.COPY: (copying, upstream)}
