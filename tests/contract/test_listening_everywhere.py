"""`*` as the address at which a server listens: all addresses of this machine, as in HAProxy."""

from __future__ import annotations

import contextlib
import socket

import pytest

from loadgen.host.addresses import to_listen_at
from loadgen.model.errors import PlanError
from tests.support.probes import run, serving
from tests.support.proxies import proxying


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::1", 0))
        return True
    return False


HERE = ("127.0.0.1", "127.0.0.2", *(("::1",) if has_ipv6() else ()))


def accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


def test_only_the_star_stands_for_all_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [to_listen_at(host) for host in ("", "::1", "h", "**")] == ["", "::1", "h", "**"]
    assert to_listen_at("*") == ("::" if has_ipv6() else "0.0.0.0")

    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(socket, "socket", refuse)
    assert to_listen_at("*") == "0.0.0.0"


def test_a_proxy_listens_at_all_addresses() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as upstream,
        proxying(upstream.getsockname()[1], listen_host="*") as proxy,
    ):
        assert all(accepts(host, proxy.service.port) for host in HERE)


def test_a_proxy_that_listens_everywhere_cannot_forward_to_this_machine_at_its_port() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    for host in HERE:
        with (
            pytest.raises(PlanError, match="cannot forward to itself"),
            proxying(port, listen_host="*", listen_port=port, connect_host=host),
        ):
            pass


def test_a_probe_server_listens_at_all_addresses() -> None:
    async def scenario() -> list[bool]:
        async with serving("*") as served:
            return [accepts(host, served.port) for host in HERE]

    assert all(run(scenario))
