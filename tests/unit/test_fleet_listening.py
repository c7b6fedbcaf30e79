"""Where a coordinator listens for --listen, and what is shown to those who start workers."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from coordinator.fleet import listening
from coordinator.fleet.choice import FleetChoice
from coordinator.fleet.listening import ANY, find_meeting, parse_listen
from loadgen.model.errors import PlanError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("*:8786", (ANY, 8786)),
        (":8786", (ANY, 8786)),
        ("[::]:8786", (ANY, 8786)),
        (" :0 ", (ANY, 0)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("192.0.2.1:8786", ("192.0.2.1", 8786)),
        ("[fe80::1%eth0]:8786", ("fe80::1%eth0", 8786)),
    ],
)
def test_all_addresses_can_be_written_in_the_usual_ways(text: str, found: tuple[str, int]) -> None:
    assert parse_listen(text) == found
    choice = FleetChoice.from_dict({"listen": text, "certs": "c"})
    assert choice.listen == found
    assert FleetChoice.from_dict(choice.to_dict()) == choice


@pytest.mark.parametrize("text", ["8786", "::", "*:", ":x", "*:70000", "::1:8786", ""])
def test_what_is_no_address_with_a_port_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        parse_listen(text)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The addresses of names, all of which this machine has, except those that begin with 203."""
    known: dict[str, list[str]] = {}

    def resolve(host: str, port: int, **_: object) -> list[Any]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "getnameinfo", lambda address, flags: (address[0], str(address[1])))
    monkeypatch.setattr(listening, "_can_bind", lambda address: not address.startswith("203."))
    monkeypatch.setattr(listening, "_own_address", lambda: "192.0.2.1")
    return known


def test_all_addresses_are_both_families_and_workers_get_one_that_they_can_reach(names: dict[str, list[str]]) -> None:
    found = find_meeting(ANY, 8786)
    assert (found.addresses, found.port, found.shown, found.warning) == (("0.0.0.0", "::"), 8786, "192.0.2.1", "")
    names["0.0.0.0"] = ["0.0.0.0"]
    found = find_meeting("0.0.0.0", 8786)
    assert (found.addresses, found.shown) == (("0.0.0.0",), "192.0.2.1")


def test_without_ipv6_all_addresses_are_those_of_ipv4(
    names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_can_bind", lambda address: ":" not in address)
    assert find_meeting(ANY, 8786).addresses == ("0.0.0.0",)


def test_a_name_is_bound_at_all_of_its_addresses_here_and_shown_as_an_address(names: dict[str, list[str]]) -> None:
    names["head"] = ["203.0.113.1", "192.0.2.1", "198.51.100.1", "192.0.2.1"]
    found = find_meeting("head", 8786)
    assert (found.addresses, found.shown, found.warning) == (("192.0.2.1", "198.51.100.1"), "192.0.2.1", "")


def test_a_name_that_leads_to_loopback_only_is_named(names: dict[str, list[str]]) -> None:
    """As Debian writes the own host name into /etc/hosts."""
    names["head"] = ["127.0.1.1"]
    assert find_meeting("head", 8786).warning == (
        "head is 127.0.1.1 on this machine, which other machines cannot reach: to let them join, give an address, "
        "for example 192.0.2.1"
    )
    names["localhost"] = names["127.0.0.1"] = ["127.0.0.1"]
    assert find_meeting("localhost", 8786).warning == ""
    assert find_meeting("127.0.0.1", 8786).warning == ""


def test_another_name_is_refused_in_one_line(names: dict[str, list[str]]) -> None:
    with pytest.raises(PlanError, match=r"'nowhere' is not an address of this machine: Name or service not known"):
        find_meeting("nowhere", 8786)


def test_a_free_port_is_the_same_at_both_families() -> None:
    found = find_meeting(ANY, 0)
    assert found.port > 0 or len(found.addresses) == 1
