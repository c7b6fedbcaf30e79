"""A proxy in long service: names that move, dead peers, several upstreams, the client's address, and the log."""

from __future__ import annotations

import errno
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.errors import PlanError
from loadgen.model.probe import Mode
from loadgen.model.units import NS_PER_S
from loadgen.proxy.api import Upstream
from loadgen.proxy.journal import Journal
from loadgen.proxy.service import Service
from tests.support.proxies import (
    Clock,
    is_reset,
    joined,
    listening,
    proxying,
    read_all,
    read_exactly,
    refuses,
    refusing_upstream,
    reset,
)
from tests.support.proxy_flows import MODES, port_of, settled
from tests.support.vms import within

pytestmark = pytest.mark.usefixtures("no_descriptor_is_left")


def test_a_name_that_moves_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, moved = Clock(), False

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        where = ("127.0.0.9" if moved else "127.0.0.8") if host == "moves.test" else host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with (
        listening("127.0.0.9") as upstream,
        proxying(port_of(upstream), connect_host="moves.test", now_ns=clock) as proxy,
    ):
        assert refuses(proxy)
        clock.advance(proxy, 2 * NS_PER_S)
        assert refuses(proxy)  # resolved again, with the same answer
        moved = True
        clock.advance(proxy, 2 * NS_PER_S)
        assert within(20, lambda: proxy.service.upstreams.next()[0].sockaddr[0] == "127.0.0.9")
        with joined(proxy, upstream) as (client, server):
            client.sendall(b"found")
            assert read_exactly(server, 5) == b"found"


@MODES
def test_connections_go_to_the_upstreams_in_turn(mode: Mode, upstream: socket.socket) -> None:
    with listening() as other, refusing_upstream() as dead:
        ports = (port_of(upstream), dead, port_of(other))
        with proxying(0, mode, upstreams=tuple(Upstream("127.0.0.1", port) for port in ports)) as proxy:
            for expected in (upstream, other, other, upstream):  # the second one is refused at the first address
                with joined(proxy, expected) as (client, server):
                    client.sendall(b"x")
                    assert read_exactly(server, 1) == b"x"
            assert settled(proxy, open=0) == ProxyCounters(accepted=4, forwarded_bytes=4)


@MODES
def test_the_upstream_learns_the_address_of_the_client(mode: Mode, upstream: socket.socket) -> None:
    with (
        proxying(port_of(upstream), mode, proxy_header=True) as proxy,
        joined(proxy, upstream) as (client, server),
    ):
        client.sendall(b"hello")
        got = read_exactly(server, 28 + 5)
        here, there = client.getsockname(), client.getpeername()
        ports = here[1].to_bytes(2, "big") + there[1].to_bytes(2, "big")
        assert got == b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton("127.0.0.1") * 2 + ports + b"hello"
        client.shutdown(socket.SHUT_WR)
        server.close()
        assert settled(proxy, open=0) == ProxyCounters(accepted=1, forwarded_bytes=5)


@pytest.mark.parametrize(("keepalive_ns", "idle_s"), [(90 * NS_PER_S, 90), (1, 1), (0, None)])
def test_silent_peers_are_probed(keepalive_ns: int, idle_s: int | None, upstream: socket.socket) -> None:
    with proxying(port_of(upstream), keepalive_ns=keepalive_ns) as proxy, joined(proxy, upstream):
        for end in proxy.connection().ends:
            on = end.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            idle = end.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            assert (idle if on else None) == idle_s


def test_a_lack_of_local_ports_is_not_the_fault_of_the_upstream(
    upstream: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_port(*_: object) -> None:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    with proxying(port_of(upstream)) as proxy:
        monkeypatch.setattr(Service, "connect", no_port)
        assert refuses(proxy)
        assert settled(proxy, open=0) == ProxyCounters(accepted=1, local_limit=1)


NUMBER = r"\d+\.\d{3}"
TIME = r"2026-11-29T00:00:00\.123Z"


def test_the_log_has_a_line_for_each_connection(upstream: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "connections.log"
    journal = Journal(path, lambda: 1_795_910_400_123_000_000)
    with proxying(port_of(upstream), journal=journal, max_connections=1) as proxy:
        with joined(proxy, upstream) as (client, server):
            client.sendall(b"abc")
            assert read_exactly(server, 3) == b"abc"
            assert refuses(proxy)
            server.sendall(b"defgh")
            server.close()
            assert read_all(client) == b"defgh"
        settled(proxy, open=0)
        with joined(proxy, upstream) as (client, server):
            reset(client)
            assert is_reset(server)
        settled(proxy, open=0)
        with joined(proxy, upstream) as (client, server):
            reset(server)
            assert is_reset(client)
        settled(proxy, open=0)
        with joined(proxy, upstream):
            proxy.end()
            proxy.join()
    journal.close(20)
    assert journal.dropped == 0
    client_at, at = r"client=127\.0\.0\.1:\d+", f"upstream=127.0.0.1:{port_of(upstream)}"
    times = f"connect_ms={NUMBER} duration_ms={NUMBER}"
    expected = [
        rf"{TIME} {client_at} end=refused:connections",
        rf"{TIME} {client_at} {at} {times} sent_bytes=3 returned_bytes=5 end=closed",
        rf"{TIME} {client_at} {at} {times} sent_bytes=0 returned_bytes=0 end=reset:client",
        rf"{TIME} {client_at} {at} {times} sent_bytes=0 returned_bytes=0 end=reset:upstream",
        rf"{TIME} {client_at} {at} {times} sent_bytes=0 returned_bytes=0 end=cut",
    ]
    lines = path.read_text().splitlines()
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line)


def test_the_log_says_why_no_upstream_was_reached(tmp_path: Path) -> None:
    path = tmp_path / "connections.log"
    journal = Journal(path, lambda: 0)
    with refusing_upstream() as port, proxying(port, journal=journal) as proxy:
        assert refuses(proxy)
    journal.close(20)
    assert re.fullmatch(r"1970-01-01T00:00:00\.000Z client=\S+ end=upstream_refused\n", path.read_text())


def test_a_full_disk_costs_lines_of_the_log_and_no_connection(upstream: socket.socket) -> None:
    journal = Journal(Path("/dev/full"), lambda: 0)
    with proxying(port_of(upstream), journal=journal) as proxy:
        for _ in range(3):
            with joined(proxy, upstream) as (client, server):
                client.sendall(b"x")
                assert read_exactly(server, 1) == b"x"
        settled(proxy, open=0, accepted=3)
    journal.close(20)
    assert journal.dropped > 0


def test_a_log_that_cannot_be_written_is_a_plan_error(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot write the log"):
        Journal(tmp_path / "missing" / "connections.log", lambda: 0)
