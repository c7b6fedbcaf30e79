"""The limits of a proxy: connections, idle time, descriptors, and the drain time."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import socket
import time

import pytest

from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.probe import Mode
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.proxies import (
    PATIENCE_S,
    Clock,
    descriptors,
    is_reset,
    is_silent,
    is_stream,
    joined,
    proxying,
    read_all,
    read_exactly,
    refuses,
    resets,
    send_until_blocked,
)
from tests.support.proxy_flows import (
    BULK,
    MODES,
    WINDOW_BYTES,
    count_turns,
    in_thread,
    no_descriptors,
    port_of,
    send,
    settled,
)
from tests.support.vms import within

pytestmark = pytest.mark.usefixtures("no_descriptor_is_left")


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


def test_an_idle_connection_is_reset(upstream: socket.socket) -> None:
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


def test_open_connections_may_end_during_the_drain_time(upstream: socket.socket) -> None:
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


def test_no_new_connection_is_accepted_during_the_drain_time(upstream: socket.socket) -> None:
    with proxying(port_of(upstream)) as proxy, joined(proxy, upstream) as (client, server):
        address = proxy.service.sock.getsockname()
        proxy.end(5 * NS_PER_S)
        assert within(PATIENCE_S, lambda: proxy.service.sock.fileno() < 0)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        client.sendall(b"still here")
        assert read_exactly(server, 10) == b"still here"


def test_connections_that_do_not_end_in_time_are_cut(upstream: socket.socket) -> None:
    with proxying(port_of(upstream)) as proxy, joined(proxy, upstream) as (client, server):
        proxy.end(200 * NS_PER_MS)
        assert is_reset(client)
        assert is_reset(server)
        proxy.join()
        assert proxy.cut == 1
        assert proxy.counters.open == 0


def test_a_thousand_simultaneous_connects_without_data(upstream: socket.socket) -> None:
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
            os.close(taken.pop())  # enough for a client, not for the connection to its upstream
            assert resets(proxy, others[3])
            settled(proxy, accepted=5, refused=4, upstream_failed=0)
            taken.append(os.open(os.devnull, os.O_RDONLY))
            # A blocked flow cannot open a pipe now.
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
                taken.append(os.open(os.devnull, os.O_RDONLY))  # as if another thread had taken the descriptor
            turns = count_turns(proxy)
            client.connect(proxy.service.sock.getsockname())
            time.sleep(0.3)
            assert next(turns) < 10
        server = stack.enter_context(upstream.accept()[0])
        client.sendall(b"at last")
        assert read_exactly(server, 7) == b"at last"
        assert proxy.loop._spare_fd >= 0


@MODES
def test_resources_of_blocked_flows_are_released(mode: Mode, upstream: socket.socket) -> None:
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
