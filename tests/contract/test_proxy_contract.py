"""What a forward proxy promises, in both modes: over real sockets, with the loop in a thread of ours."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.probe import Mode
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.proxy.pump import COPY_BYTES, PIPE_BYTES
from tests.support.proxies import (
    PATIENCE_S,
    Clock,
    Proxy,
    descriptors,
    free_ports,
    is_reset,
    is_silent,
    is_stream,
    joined,
    listening,
    proxying,
    read_all,
    read_exactly,
    refuses,
    refusing_upstream,
    reset,
    resets,
    send_until_blocked,
    silent_upstream,
    stream,
)
from tests.support.vms import within

MODES = pytest.mark.parametrize("mode", [Mode.SPLICE, Mode.COPY], ids=lambda mode: mode.value)
BULK = 6 << 20
"""Enough for a flow to be read in blocking mode, and to be blocked more than once."""

WINDOW_BYTES = 128 << 10
"""Small, but two of the loopback's segments: with one, every write would wait for a delayed acknowledgement."""


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    before = descriptors()
    yield
    assert within(PATIENCE_S, lambda: descriptors() <= before)


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    with listening() as sock:
        yield sock


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def settled(proxy: Proxy, **expected: int) -> ProxyCounters:
    """The counters, once they are as expected."""

    def is_so() -> bool:
        counters = proxy.counters
        return all(getattr(counters, name) == value for name, value in expected.items())

    assert within(PATIENCE_S, is_so), (expected, proxy.counters)
    return proxy.counters


def in_thread(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    return thread


def send(sock: socket.socket, size_bytes: int, offset: int = 0, block_bytes: int = 1 << 18) -> None:
    end = offset + size_bytes
    while offset < end:
        offset += sock.send(stream(offset, min(block_bytes, end - offset)))


@MODES
@pytest.mark.parametrize("block_bytes", [1000, 16 << 10, 1 << 20])
def test_bytes_pass_unaltered_both_ways_at_once(mode: Mode, block_bytes: int, upstream: socket.socket) -> None:
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
def test_after_a_half_close_the_other_direction_goes_on(mode: Mode, first: str, upstream: socket.socket) -> None:
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
def test_both_may_end_without_a_word(mode: Mode, upstream: socket.socket) -> None:
    with proxying(port_of(upstream), mode) as proxy, joined(proxy, upstream) as (client, server):
        client.shutdown(socket.SHUT_WR)
        server.shutdown(socket.SHUT_WR)
        assert read_all(client) == read_all(server) == b""
        assert settled(proxy, open=0) == ProxyCounters(accepted=1)


@MODES
@pytest.mark.parametrize("way", ["to the upstream", "to the client"])
def test_who_does_not_read_stalls_the_sender_and_gets_everything_later(
    mode: Mode, way: str, upstream: socket.socket
) -> None:
    with proxying(port_of(upstream), mode, window_bytes=WINDOW_BYTES) as proxy, joined(proxy, upstream) as ends:
        source, sink = ends if way == "to the upstream" else ends[::-1]
        sent = send_until_blocked(source)
        assert sent < 24 << 20
        held = [end.held_bytes for end in proxy.connection().ends]
        assert sum(held) <= (PIPE_BYTES if mode is Mode.SPLICE else COPY_BYTES)
        assert sum(held) > 0
        assert send_until_blocked(source, sent) == sent  # it stays so
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
@pytest.mark.parametrize("who", ["the sender", "the one who does not read"])
def test_a_reset_of_a_blocked_flow_is_counted_once(mode: Mode, who: str, upstream: socket.socket) -> None:
    with (
        proxying(port_of(upstream), mode, window_bytes=WINDOW_BYTES) as proxy,
        joined(proxy, upstream) as (client, server),
    ):
        sent = send_until_blocked(client)
        with proxy.frozen():
            server.sendall(b"x")  # so that more than one thing is to be done when it is reset
            reset(client if who == "the sender" else server)
        assert is_reset(server if who == "the sender" else client)
        counters = settled(proxy, open=0)
    assert counters.reset == 1
    assert counters.forwarded_bytes < sent
    assert counters.returned_bytes <= 1


@MODES
def test_what_a_broken_flow_left_behind_is_nobody_elses(mode: Mode, upstream: socket.socket) -> None:
    with proxying(port_of(upstream), mode, window_bytes=64 << 10) as proxy:
        for _ in range(2):
            with joined(proxy, upstream) as (client, server):
                send_until_blocked(client, limit_bytes=4 << 20)
                reset(server)
                assert is_reset(client)
        with joined(proxy, upstream) as (client, server):
            send(client, 100_000)
            assert len(read_exactly(server, 100_000)) == 100_000
            with proxy.frozen():  # read from the one before the other is known to be gone
                send(client, 100_000)
                reset(server)
            assert is_reset(client)
        with joined(proxy, upstream) as (client, server):
            sending = in_thread(send, client, BULK, 7)
            assert is_stream(7, read_exactly(server, BULK))
            sending.join()


@MODES
def test_who_reads_a_little_and_sends_a_lot_does_not_stop_the_others(mode: Mode, upstream: socket.socket) -> None:
    with (
        proxying(port_of(upstream), mode, window_bytes=WINDOW_BYTES) as proxy,
        joined(proxy, upstream, receive_bytes=4096) as (client, server),
    ):
        sent = send_until_blocked(server)
        sending = in_thread(send, client, BULK)
        assert is_stream(0, read_exactly(server, BULK))
        sending.join()
        received = read_exactly(client, 150_000)  # less than is held, but enough for more to be written
        with joined(proxy, upstream) as (other, heard):
            other.sendall(b"me too")
            assert read_exactly(heard, 6) == b"me too"
        received += read_exactly(client, sent - len(received))
        assert len(received) == sent
        assert is_stream(0, received)


@MODES
def test_an_end_that_comes_while_the_rest_is_written_is_not_missed(mode: Mode, upstream: socket.socket) -> None:
    """Both are news of the same moment: the reader has room again, and the sender hangs up."""
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
def test_a_hang_up_that_cannot_be_acted_on_yet_keeps_nobody_busy(mode: Mode, upstream: socket.socket) -> None:
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


def hold_back(proxy: Proxy, server: socket.socket) -> int:
    """Send from the upstream until the proxy holds some of it, and no more; how much."""
    end = proxy.connection().ends[1]
    sent = 0
    while not end.held_bytes:
        sent += server.send(stream(sent, 4096))
        deadline = time.monotonic() + PATIENCE_S
        while end.read_bytes < sent and not end.held_bytes:
            assert time.monotonic() < deadline
            time.sleep(0.0001)
    assert within(PATIENCE_S, lambda: end.mask == 0)
    return sent


def count_turns(proxy: Proxy) -> Iterator[int]:
    """How often its loop has come round, from now on."""
    turn, turns = proxy.loop._turn, itertools.count()

    def counted() -> None:
        next(turns)
        turn()

    proxy.loop._turn = counted  # type: ignore[method-assign]
    return turns


def test_an_upstream_that_refuses_resets_the_client() -> None:
    with refusing_upstream() as port, proxying(port) as proxy:
        for _ in range(3):
            assert refuses(proxy)
        assert settled(proxy, open=0) == ProxyCounters(accepted=3, upstream_failed=3)


def test_an_upstream_that_never_answers_is_given_up() -> None:
    clock = Clock()
    with silent_upstream() as port, proxying(port, connect_timeout_ns=NS_PER_S, now_ns=clock) as proxy:
        clock.advance(proxy, 200 * NS_PER_MS)
        with proxy.client() as client:
            client.sendall(b"anybody there?")
            settled(proxy, open=1)
            clock.advance(proxy, 900 * NS_PER_MS)  # the time begins with connecting, whenever the loop looked last
            assert is_silent(client)
            clock.advance(proxy, 300 * NS_PER_MS)
            assert is_reset(client)
        assert settled(proxy, open=0) == ProxyCounters(accepted=1, upstream_failed=1)


def test_an_unroutable_upstream_is_refused() -> None:
    with proxying(9, connect_host="255.255.255.255") as proxy:
        assert refuses(proxy)
        settled(proxy, open=0, upstream_failed=1)


def _found(*hosts: str) -> Callable[..., list[Any]]:
    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        if host != "many.test":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in hosts]

    return look_up


def test_of_several_addresses_the_one_that_answers_is_taken(
    upstream: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _found("127.0.0.8", "255.255.255.255", "127.0.0.9", "127.0.0.1"))
    with proxying(port_of(upstream), connect_host="many.test") as proxy:
        for _ in range(2):
            with joined(proxy, upstream) as (client, server):
                client.sendall(b"found")
                assert read_exactly(server, 5) == b"found"
            assert proxy.service.addresses[0].sockaddr[0] == "127.0.0.1"
        assert settled(proxy, open=0) == ProxyCounters(accepted=2, forwarded_bytes=10)


def test_when_no_address_answers_it_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _found("127.0.0.8", "127.0.0.9"))
    with refusing_upstream() as port, proxying(port, connect_host="many.test") as proxy:
        assert refuses(proxy)
        assert settled(proxy, open=0) == ProxyCounters(accepted=1, upstream_failed=1)


def test_one_connection_too_many_is_reset(upstream: socket.socket) -> None:
    with proxying(port_of(upstream), max_connections=2) as proxy, contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(joined(proxy, upstream)) for _ in range(2)]
        assert refuses(proxy)
        client, server = pairs[0]
        client.close()
        server.close()
        settled(proxy, open=1, accepted=3, refused=1)
        with joined(proxy, upstream) as (client, server):
            client.sendall(b"room again")
            assert read_exactly(server, 10) == b"room again"


def test_who_says_nothing_for_too_long_is_reset(upstream: socket.socket) -> None:
    clock = Clock()
    with proxying(port_of(upstream), idle_ns=NS_PER_S, now_ns=clock) as proxy:
        clock.advance(proxy, 200 * NS_PER_MS)
        with joined(proxy, upstream) as (client, server), joined(proxy, upstream) as (busy, other):
            settled(proxy, open=2)
            for _ in range(3):
                clock.advance(proxy, 300 * NS_PER_MS)
                other.sendall(b".")
                assert read_exactly(busy, 1) == b"."
            assert is_silent(client)
            clock.advance(proxy, 300 * NS_PER_MS)
            assert is_reset(client)
            assert is_reset(server)
            assert settled(proxy, open=1) == ProxyCounters(accepted=2, open=1, idle=1, returned_bytes=3)
            clock.advance(proxy, 900 * NS_PER_MS)
            assert is_silent(busy)
            clock.advance(proxy, 300 * NS_PER_MS)
            assert is_reset(busy)
            settled(proxy, open=0, idle=2, reset=0)


def test_connections_come_from_the_address_that_was_asked_for(upstream: socket.socket) -> None:
    with (
        proxying(port_of(upstream), source_host="127.0.0.2") as proxy,
        joined(proxy, upstream) as (_, one),
        joined(proxy, upstream) as (_, other),
    ):
        assert one.getpeername()[0] == "127.0.0.2"
        assert other.getpeername()[0] == "127.0.0.2"


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="this kernel has no IPv6")  # noqa: PTH110
@MODES
def test_version_six_of_ip(mode: Mode) -> None:
    six: dict[str, Any] = {"listen_host": "::1", "connect_host": "::1", "source_host": "::1"}
    with (
        listening("::1") as upstream,
        proxying(port_of(upstream), mode, **six) as proxy,
        joined(proxy, upstream) as (client, server),
    ):
        client.sendall(b"six")
        assert read_exactly(server, 3) == b"six"


@MODES
def test_the_window_is_asked_of_all_sockets(mode: Mode, upstream: socket.socket) -> None:
    with proxying(port_of(upstream), mode, window_bytes=48 << 10) as proxy, joined(proxy, upstream):
        granted = [
            end.sock.getsockopt(socket.SOL_SOCKET, option)
            for end in proxy.connection().ends
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF)
        ]
        assert granted == [96 << 10] * 4  # Linux grants twice what was asked
        assert proxy.service.granted_bytes() == (96 << 10, 96 << 10)


def test_what_is_open_may_end_while_it_drains(upstream: socket.socket) -> None:
    with proxying(port_of(upstream)) as proxy, joined(proxy, upstream) as (client, server):
        proxy.end(5 * NS_PER_S)
        settled_at = proxy.service.sock.fileno
        assert within(PATIENCE_S, lambda: settled_at() < 0)
        client.sendall(b"the rest")
        client.shutdown(socket.SHUT_WR)
        assert read_all(server) == b"the rest"
        server.sendall(b"and the answer")
        server.close()
        assert read_all(client) == b"and the answer"
        proxy.join()
        assert proxy.cut == 0


def test_nobody_new_is_accepted_while_it_drains(upstream: socket.socket) -> None:
    with proxying(port_of(upstream)) as proxy, joined(proxy, upstream) as (client, server):
        address = proxy.service.sock.getsockname()
        proxy.end(5 * NS_PER_S)
        assert within(PATIENCE_S, lambda: proxy.service.sock.fileno() < 0)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        client.sendall(b"still here")
        assert read_exactly(server, 10) == b"still here"


def test_what_does_not_end_in_time_is_cut(upstream: socket.socket) -> None:
    with proxying(port_of(upstream)) as proxy, joined(proxy, upstream) as (client, server):
        proxy.end(200 * NS_PER_MS)
        assert is_reset(client)
        assert is_reset(server)
        proxy.join()
        assert proxy.cut == 1
        assert proxy.counters.open == 0


def test_a_thousand_connects_at_once_and_nobody_speaks(upstream: socket.socket) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        with proxying(port_of(upstream)) as proxy, contextlib.ExitStack() as stack:
            clients = []
            for _ in range(1000):
                client = stack.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(proxy.service.sock.getsockname())
                clients.append(client)
            servers = [stack.enter_context(upstream.accept()[0]) for _ in clients]
            settled(proxy, accepted=1000, open=1000)
            clients[500].sendall(b"hello")
            waiting = select.poll()
            for server in servers:
                waiting.register(server, select.POLLIN)
            heard = [fd for fd, _ in waiting.poll(PATIENCE_S * 1000)]
            assert [server.recv(9) for server in servers if server.fileno() in heard] == [b"hello"]
            for sock in clients + servers:
                sock.close()
            counters = settled(proxy, open=0)
            assert counters == ProxyCounters(accepted=1000, forwarded_bytes=5)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@MODES
def test_without_descriptors_it_refuses_and_recovers(mode: Mode, upstream: socket.socket) -> None:
    with (
        proxying(port_of(upstream), mode, window_bytes=WINDOW_BYTES) as proxy,
        joined(proxy, upstream, receive_bytes=4096) as (client, server),
        contextlib.ExitStack() as stack,
    ):
        others = [stack.enter_context(socket.socket()) for _ in range(4)]
        with no_descriptors() as taken:
            for other in others[:3]:
                assert resets(proxy, other)
            os.close(taken.pop())  # enough for a client, but not for its upstream too
            assert resets(proxy, others[3])
            settled(proxy, accepted=5, refused=4, upstream_failed=0)
            taken.append(os.open(os.devnull, os.O_RDONLY))
            # A flow that is blocked cannot have a pipe of its own now.
            sent = send_until_blocked(server, limit_bytes=4 << 20)
            assert any(end.held_bytes for end in proxy.connection().ends)
            sending = in_thread(send, server, BULK, sent)
            received = read_exactly(client, sent + BULK)
            sending.join()
            assert is_stream(0, received)
        with joined(proxy, upstream) as (client, server):
            client.sendall(b"room again")
            assert read_exactly(server, 10) == b"room again"
        settled(proxy, open=1, refused=4, upstream_failed=0)


def test_without_even_a_spare_descriptor_it_waits(upstream: socket.socket) -> None:
    with proxying(port_of(upstream)) as proxy, socket.socket() as client, contextlib.ExitStack() as stack:
        client.settimeout(PATIENCE_S)
        with no_descriptors() as taken:
            with proxy.frozen():
                os.close(proxy.loop._spare_fd)
                proxy.loop._spare_fd = -1
                taken.append(os.open(os.devnull, os.O_RDONLY))  # another thread was faster
            turns = count_turns(proxy)
            client.connect(proxy.service.sock.getsockname())
            time.sleep(0.3)
            assert next(turns) < 10
        server = stack.enter_context(upstream.accept()[0])
        client.sendall(b"at last")
        assert read_exactly(server, 7) == b"at last"
        assert proxy.loop._spare_fd >= 0


@contextlib.contextmanager
def no_descriptors() -> Iterator[list[int]]:
    """Inside, this process has as many as it may: with those that are yielded."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))  # noqa: PTH208
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield taken
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in taken:
            os.close(each)


@MODES
def test_what_blocked_flows_needed_is_given_back(mode: Mode, upstream: socket.socket) -> None:
    with proxying(port_of(upstream), mode, window_bytes=WINDOW_BYTES) as proxy:
        before = descriptors()
        with contextlib.ExitStack() as stack:
            pairs = [stack.enter_context(joined(proxy, upstream)) for _ in range(2)]
            sent = [send_until_blocked(server) for _, server in pairs]
            held = [sum(end.held_bytes for end in one.ends) for one in list(proxy.service.open)]
            assert all(held)
            for (client, server), sent_bytes in zip(pairs, sent, strict=True):
                server.close()
                assert len(read_all(client)) == sent_bytes
        settled(proxy, open=0)
        assert within(PATIENCE_S, lambda: descriptors() == before)


STEP = st.tuples(
    st.sampled_from(["send", "receive"]), st.sampled_from((0, 1)), st.sampled_from((1, 700, 20_000, 400_000, 3_000_000))
)


@pytest.mark.parametrize("mode", [Mode.SPLICE, Mode.COPY], ids=lambda mode: mode.value)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=12), first=st.sampled_from((0, 1)), rest=st.integers(0, 2_000_000))
def test_whatever_the_order_every_byte_arrives_once(
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
            """Whether the end came."""
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
        # Then one of them ends, the other sends the rest, and both listen until the end.
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
    """One of each mode for many examples."""
    with listening() as upstream:
        port = port_of(upstream)
        with proxying(port, Mode.SPLICE) as splicing, proxying(port, Mode.COPY, window_bytes=WINDOW_BYTES) as copying:
            yield {Mode.SPLICE: (splicing, upstream), Mode.COPY: (copying, upstream)}


def test_an_address_that_is_taken_is_a_plain_error(upstream: socket.socket) -> None:
    with (
        pytest.raises(PlanError, match=r"cannot listen on 127.0.0.1:.*in use"),
        proxying(9, listen_port=port_of(upstream)),
    ):
        pass


def test_a_source_that_is_not_ours_is_a_plain_error() -> None:
    with pytest.raises(PlanError, match=r"cannot connect from 192\.0\.2\.1"), proxying(9, source_host="192.0.2.1"):
        pass


def test_a_source_of_another_kind_is_a_plain_error() -> None:
    with pytest.raises(PlanError, match="no address of the source's family"), proxying(9, source_host="::1"):
        pass


def test_a_proxy_to_itself_is_a_plain_error() -> None:
    port = free_ports(1)
    with pytest.raises(PlanError, match="cannot forward to itself"), proxying(port, listen_port=port):
        pass


@pytest.mark.parametrize("host", ["::g", "..", "a" * 70])
def test_an_upstream_without_an_address_is_the_targets_fault(host: str) -> None:
    with pytest.raises(TargetError, match="is not known"), proxying(9, connect_host=host):
        pass
