from __future__ import annotations

from typing import Any

import pytest

from loadgen.model.errors import PlanError
from loadgen.model.target import Target


@pytest.mark.parametrize(
    ("host", "authority"),
    [("192.0.2.1", "192.0.2.1:80"), ("web.example", "web.example:80"), ("2001:db8::1", "[2001:db8::1]:80")],
)
def test_the_authority_of_a_target(host: str, authority: str) -> None:
    assert Target(name="a", host=host, port=80).authority == authority


@pytest.mark.parametrize(
    ("host", "port", "tls", "header"),
    [
        ("web.example", 80, False, "web.example"),
        ("web.example", 443, True, "web.example"),
        ("web.example", 443, False, "web.example:443"),
        ("web.example", 80, True, "web.example:80"),
        ("web.example", 8080, False, "web.example:8080"),
        ("192.0.2.1", 180, False, "192.0.2.1:180"),
        ("2001:db8::80", 80, False, "[2001:db8::80]"),
        ("2001:db8::1", 443, True, "[2001:db8::1]"),
        ("2001:db8::1", 8443, True, "[2001:db8::1]:8443"),
    ],
)
def test_the_host_header_leaves_out_the_default_port(host: str, port: int, tls: bool, header: str) -> None:
    assert Target(name="a", host=host, port=port, tls=tls).host_header == header


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": ""}, "a target needs a name and a host, got name '' and host '192.0.2.1'"),
        ({"host": ""}, "a target needs a name and a host, got name 'a' and host ''"),
        ({"port": 0}, "target a: port 0 is not in 1..65535"),
        ({"port": 65536}, "target a: port 65536 is not in 1..65535"),
        ({"weight": 0}, "target a: weight must be at least 1, got 0"),
    ],
)
def test_invalid_targets_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        Target(**{"name": "a", "host": "192.0.2.1", "port": 80, **wrong})
    assert caught.value.message == message


@pytest.mark.parametrize("port", [1, 65535])
def test_the_first_and_the_last_port_are_ports(port: int) -> None:
    assert Target(name="a", host="192.0.2.1", port=port).port == port
