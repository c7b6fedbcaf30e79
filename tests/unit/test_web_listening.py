"""Addresses of pages, and who may read at them."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from coordinator.output.web.guard import Guard
from coordinator.output.web.listening import Address, Listening, check_apart, listen, parse_listen
from loadgen.model.errors import PlanError


@contextmanager
def listening(host: str = "127.0.0.1", port: int = 0) -> Iterator[Listening]:
    found = listen(Address("--web", host, port))
    with found.socket:
        yield found


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8089", "127.0.0.1", 8089),
        (":8089", "127.0.0.1", 8089),
        (" 0.0.0.0:0 ", "0.0.0.0", 0),
        ("[::1]:80", "::1", 80),
        ("localhost:80", "localhost", 80),
    ],
)
def test_an_address_is_host_and_port(text: str, host: str, port: int) -> None:
    assert parse_listen(text, "--web") == Address("--web", host, port)


@pytest.mark.parametrize(
    "text",
    ["", "8089", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "::1:80", "127.0.0.1:-1", "a b:1"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        parse_listen(text, "--web")


def test_a_port_that_is_taken_is_named() -> None:
    with listening() as first, pytest.raises(PlanError, match=rf"--web: another process listens at .*:{first.port}"):
        listen(Address("--web", "127.0.0.1", first.port))


@pytest.mark.parametrize(
    ("host", "why"),
    [("192.0.2.1", "192.0.2.1 is not an address of this machine"), ("no.such.host.invalid", "not an address of this")],
)
def test_an_address_of_another_machine_is_named(host: str, why: str) -> None:
    with pytest.raises(PlanError, match=re.escape(why)) as refused:
        listen(Address("--web", host, 0))
    assert "127.0.0.1:0 serves this machine only" in refused.value.hint


def test_a_name_that_is_too_long_is_one_clear_line() -> None:
    with pytest.raises(PlanError, match="is not an address of this machine"):
        listen(Address("--web", "a" * 70, 0))


def test_the_url_has_the_port_that_was_found() -> None:
    with listening() as found:
        assert Guard.of(found, with_token=True).url(found) == f"http://127.0.0.1:{found.port}/"
        assert found.port != 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.7.7.7", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    with listening(host) as found:
        assert found.is_loopback
        assert not Guard.of(found, with_token=True).token


def test_other_addresses_need_a_token_that_differs_each_time() -> None:
    with listening("0.0.0.0") as found:
        assert not found.is_loopback
        guard, other = (Guard.of(found, with_token=True) for _ in range(2))
        assert len(guard.token) >= 32
        assert guard.token != other.token
        assert guard.url(found) == f"http://{socket.gethostname()}:{found.port}/?token={guard.token}"
        assert guard.knows(guard.token)
        assert not any(map(guard.knows, (None, "", guard.token[:-1], guard.token + "x", "ü", "\udce9", other.token)))
        assert not Guard.of(found, with_token=False).token


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "127.0.0.1", "127.0.0.1:8089", "[::1]:1", "[::1]"])
def test_names_of_this_machine_are_ours(host: str) -> None:
    with listening() as found:
        assert Guard.of(found, with_token=True).is_our_name(host)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:8089", "localhost.evil.example", "192.0.2.1", "[", ":"]
)
def test_a_name_that_was_made_to_point_to_loopback_is_not_ours(host: str) -> None:
    with listening() as found:
        assert not Guard.of(found, with_token=True).is_our_name(host)


def test_on_all_addresses_any_address_is_ours_but_no_other_name() -> None:
    with listening("0.0.0.0") as found:
        guard = Guard.of(found, with_token=True)
        assert guard.is_our_name("192.0.2.1:8089")
        assert guard.is_our_name(socket.gethostname())
        assert not guard.is_our_name("evil.example")
        assert Guard.of(found, with_token=False).is_our_name("metrics.example")  # numbers that everybody may read


def test_a_token_can_be_asked_for_on_loopback() -> None:
    with listening() as found:
        guard = Guard.of(found, with_token=True, on_loopback=True)
        assert len(guard.token) >= 32
        assert guard.url(found) == f"http://127.0.0.1:{found.port}/?token={guard.token}"
        assert not guard.is_our_name("192.0.2.1")


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("127.0.0.1:8089", "127.0.0.1:8089", False),
        (":8089", "localhost:8089", False),
        ("0.0.0.0:8089", "127.0.0.1:8089", False),
        ("127.0.0.1:8089", "[::]:8089", False),
        ("127.0.0.1:0", "127.0.0.1:0", True),
        ("127.0.0.1:8089", "127.0.0.1:8090", True),
        ("127.0.0.1:8089", "127.0.0.2:8089", True),
    ],
)
def test_two_options_with_one_port_are_refused_before_anything_listens(one: str, other: str, together: bool) -> None:
    web, metrics = parse_listen(one, "--web"), parse_listen(other, "--metrics")
    if together:
        check_apart(web, metrics)
        return
    with pytest.raises(PlanError, match="--web and --metrics cannot both listen at port 8089") as refused:
        check_apart(web, metrics)
    assert refused.value.hint == "give --metrics another port, or port 0 for any free one"


def test_one_address_alone_is_not_refused() -> None:
    check_apart(parse_listen(":8089", "--web"), None)
    check_apart(None, parse_listen(":8089", "--metrics"))
