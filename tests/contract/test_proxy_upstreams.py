"""Upstreams that refuse, do not answer or have several addresses; the proxy's own addresses and socket options."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.probe import Mode
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.proxies import (
    Clock,
    free_ports,
    is_reset,
    is_silent,
    joined,
    listening,
    proxying,
    read_exactly,
    refuses,
    refusing_upstream,
    silent_upstream,
)
from tests.support.proxy_flows import MODES, port_of, settled

pytestmark = pytest.mark.usefixtures("no_descriptor_is_left")


def test_an_upstream_that_refuses_resets_the_client() -> None:
    with refusing_upstream() as port, proxying(port) as proxy:
        for _ in range(3):
            assert refuses(proxy)
        assert settled(proxy, open=0) == ProxyCounters(accepted=3, upstream_failed=3, upstream_refused=3)


def test_a_connect_without_an_answer_is_abandoned() -> None:
    clock = Clock()
    with silent_upstream() as port, proxying(port, connect_timeout_ns=NS_PER_S, now_ns=clock) as proxy:
        clock.advance(proxy, 200 * NS_PER_MS)
        with proxy.client() as client:
            client.sendall(b"anybody there?")
            settled(proxy, open=1)
            clock.advance(
                proxy, 900 * NS_PER_MS
            )  # the limit counts from the connect, not from the loop's last look at the clock
            assert is_silent(client)
            clock.advance(proxy, 300 * NS_PER_MS)
            assert is_reset(client)
        assert settled(proxy, open=0) == ProxyCounters(accepted=1, upstream_failed=1, upstream_timed_out=1)


def test_an_unroutable_upstream_is_refused() -> None:
    with proxying(9, connect_host="255.255.255.255") as proxy:
        assert refuses(proxy)
        settled(proxy, open=0, upstream_failed=1, upstream_unreachable=1)


def test_a_link_local_upstream_without_an_interface_is_a_plan_error() -> None:
    with (
        pytest.raises(PlanError, match="fe80::1 is a link-local address, which needs") as caught,
        proxying(9, connect_host="fe80::1"),
    ):
        pass
    assert "%eth0" in caught.value.hint


def _found(*hosts: str) -> Callable[..., list[Any]]:
    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        if host != "many.test":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in hosts]

    return look_up


def test_the_first_address_that_answers_is_used(upstream: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _found("127.0.0.8", "255.255.255.255", "127.0.0.9", "127.0.0.1"))
    with proxying(port_of(upstream), connect_host="many.test") as proxy:
        for _ in range(2):
            with joined(proxy, upstream) as (client, server):
                client.sendall(b"found")
                assert read_exactly(server, 5) == b"found"
            assert proxy.service.upstreams.next()[0].sockaddr[0] == "127.0.0.1"
        assert settled(proxy, open=0) == ProxyCounters(accepted=2, forwarded_bytes=10)


def test_when_no_address_answers_one_failure_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _found("127.0.0.8", "127.0.0.9"))
    with refusing_upstream() as port, proxying(port, connect_host="many.test") as proxy:
        assert refuses(proxy)
        assert settled(proxy, open=0) == ProxyCounters(accepted=1, upstream_failed=1, upstream_refused=1)


def test_connections_come_from_the_requested_address(upstream: socket.socket) -> None:
    with (
        proxying(port_of(upstream), source_host="127.0.0.2") as proxy,
        joined(proxy, upstream) as (_, one),
        joined(proxy, upstream) as (_, other),
    ):
        assert one.getpeername()[0] == "127.0.0.2"
        assert other.getpeername()[0] == "127.0.0.2"


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="this kernel has no IPv6")  # noqa: PTH110
@MODES
def test_ipv6_works(mode: Mode) -> None:
    six: dict[str, Any] = {"listen_host": "::1", "connect_host": "::1", "source_host": "::1"}
    with (
        listening("::1") as upstream,
        proxying(port_of(upstream), mode, **six) as proxy,
        joined(proxy, upstream) as (client, server),
    ):
        client.sendall(b"six")
        assert read_exactly(server, 3) == b"six"


@MODES
def test_the_window_is_requested_on_all_sockets(mode: Mode, upstream: socket.socket) -> None:
    with proxying(port_of(upstream), mode, window_bytes=48 << 10) as proxy, joined(proxy, upstream):
        granted = [
            end.sock.getsockopt(socket.SOL_SOCKET, option)
            for end in proxy.connection().ends
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF)
        ]
        assert granted == [96 << 10] * 4  # Linux grants twice the requested size
        assert proxy.service.granted_bytes() == (96 << 10, 96 << 10)


def test_a_taken_address_is_a_plan_error(upstream: socket.socket) -> None:
    with (
        pytest.raises(PlanError, match=r"cannot listen on 127.0.0.1:.*in use"),
        proxying(9, listen_port=port_of(upstream)),
    ):
        pass


def test_a_source_of_another_machine_is_a_plan_error() -> None:
    with pytest.raises(PlanError, match=r"cannot connect from 192\.0\.2\.1"), proxying(9, source_host="192.0.2.1"):
        pass


def test_a_source_of_another_family_is_a_plan_error() -> None:
    with pytest.raises(PlanError, match="no address of the source's family"), proxying(9, source_host="::1"):
        pass


def test_a_proxy_to_itself_is_a_plan_error() -> None:
    port = free_ports(1)
    with pytest.raises(PlanError, match="cannot forward to itself"), proxying(port, listen_port=port):
        pass


@pytest.mark.parametrize("host", ["::g", "..", "a" * 70])
def test_an_upstream_without_an_address_is_a_target_error(host: str) -> None:
    with pytest.raises(TargetError, match="is not known"), proxying(9, connect_host=host):
        pass
