"""The upstreams of a proxy: whose turn it is, names that move, loops, why a connect failed, and the PROXY header."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from loadgen.model.errors import PlanError
from loadgen.model.units import NS_PER_S
from loadgen.proxy.api import Upstream
from loadgen.proxy.failure import Failure, failure
from loadgen.proxy.header import proxy_header
from loadgen.proxy.upstreams import Address, Upstreams, leads_back

HERE = Address(socket.AF_INET, ("127.0.0.1", 8080))


class Names:
    """A resolver whose answers can be changed; a name without an answer is unknown."""

    def __init__(self, **names: str) -> None:
        self.names: dict[str, list[str]] = {name: hosts.split() for name, hosts in names.items()}

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        hosts = self.names.get(host, []) if host[0].isalpha() else [host]
        if not hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in hosts]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names(one="192.0.2.1 192.0.2.2", two="192.0.2.3")
    monkeypatch.setattr(socket, "getaddrinfo", found)
    return found


def upstreams(*hosts: str) -> Upstreams:
    return Upstreams([Upstream(host, 80) for host in hosts], None, HERE)


def hosts(found: Upstreams) -> list[str]:
    return [one.sockaddr[0][-1] for one in found.next()]


def test_connections_go_to_the_upstreams_in_turn_and_to_the_others_after_a_failure(names: Names) -> None:
    found = upstreams("one", "two")
    assert [hosts(found) for _ in range(3)] == [["1", "2", "3"], ["3", "1", "2"], ["1", "2", "3"]]
    found.prefer(Address(socket.AF_INET, ("192.0.2.2", 80)))
    assert [hosts(found) for _ in range(2)] == [["3", "2", "1"], ["2", "1", "3"]]


def test_names_are_resolved_again_after_30_s_and_soon_after_a_failure(names: Names) -> None:
    found = upstreams("one")
    assert not found.begin_renewal(0)
    assert not found.begin_renewal(29 * NS_PER_S)
    assert found.begin_renewal(30 * NS_PER_S)
    assert not found.begin_renewal(99 * NS_PER_S)  # one at a time: a resolver may be slow
    found.prefer(Address(socket.AF_INET, ("192.0.2.2", 80)))
    names.names["one"] = ["192.0.2.7", "192.0.2.2"]
    found.renew(found.resolve(), 100 * NS_PER_S)
    assert hosts(found) == ["2", "7"]  # the address that answered stays first
    found.fail()
    assert not found.begin_renewal(100 * NS_PER_S + 1)
    assert found.begin_renewal(101 * NS_PER_S)
    names.names["one"] = []
    found.renew(found.resolve(), 101 * NS_PER_S)
    assert hosts(found) == ["2", "7"]  # an unknown name keeps the addresses that it had
    assert not found.begin_renewal(103 * NS_PER_S)


def test_addresses_are_not_resolved_again(names: Names) -> None:
    found = upstreams("192.0.2.9")
    found.fail()
    assert not found.begin_renewal(0)
    assert not found.begin_renewal(99 * NS_PER_S)


def test_a_name_that_moves_to_the_proxy_itself_is_left_out(names: Names) -> None:
    found = Upstreams([Upstream("one", 8080)], None, HERE)
    names.names["one"] = ["127.0.0.1", "192.0.2.5"]
    found.renew(found.resolve(), 0)
    assert hosts(found) == ["5"]
    with pytest.raises(PlanError, match="cannot forward to itself: one port 8080 is where it listens"):
        Upstreams([Upstream("one", 8080)], None, HERE)


@pytest.mark.parametrize(
    ("listening", "upstream", "loops"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "127.9.9.9", True),
        ("0.0.0.0", "0.0.0.0", True),
        ("127.0.0.1", "0.0.0.0", True),  # a connect to 0.0.0.0 reaches 127.0.0.1
        ("0.0.0.0", "::ffff:127.0.0.1", True),
        ("0.0.0.0", "::1", False),
        ("0.0.0.0", "192.0.2.1", False),
        ("::", "127.0.0.1", True),
        ("::", "::", True),
        ("::1", "::", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("::1", "127.0.0.1", False),
    ],
)
def test_a_loop_is_seen_in_every_spelling(listening: str, upstream: str, loops: bool) -> None:
    here, there = (
        Address(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, 8080)) for host in (listening, upstream)
    )
    assert leads_back(here, there) is loops
    assert not leads_back(here, Address(there.family, (upstream, 8081)))


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (errno.EADDRNOTAVAIL, Failure.LOCAL_LIMIT),
        (errno.EADDRINUSE, Failure.LOCAL_LIMIT),
        (errno.ENOBUFS, Failure.LOCAL_LIMIT),
        (errno.ECONNREFUSED, Failure.REFUSED),
        (errno.ECONNRESET, Failure.REFUSED),
        (errno.ETIMEDOUT, Failure.TIMED_OUT),
        (errno.ENETUNREACH, Failure.UNREACHABLE),
        (errno.EHOSTUNREACH, Failure.UNREACHABLE),
        (errno.EACCES, Failure.UNREACHABLE),
    ],
)
def test_each_failed_connect_has_a_cause(error: int, cause: Failure) -> None:
    assert failure(error) is cause


SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


@pytest.mark.parametrize(
    ("client", "listening", "rest"),
    [
        (("192.0.2.1", 0x1234), ("198.51.100.2", 80), "2111000c" "c0000201" "c6336402" "1234" "0050"),
        (("::ffff:192.0.2.1", 0x1234, 0, 0), ("::ffff:198.51.100.2", 80), "2111000cc0000201c633640212340050"),
        (("2001:db8::1", 1, 0, 0), ("fe80::2%eth0", 2, 0, 3),
         "21210024" "20010db8000000000000000000000001" "fe800000000000000000000000000002" "00010002"),
    ],
)  # fmt: skip
def test_the_header_of_the_proxy_protocol(client: tuple[Any, ...], listening: tuple[Any, ...], rest: str) -> None:
    assert proxy_header(client, listening) == SIGNATURE + bytes.fromhex(rest)
