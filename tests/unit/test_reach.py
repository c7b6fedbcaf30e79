"""The check before a run that servers accept connections: what it says about names."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence

import pytest

from deploy.vms import reach as module
from deploy.vms.reach import reach
from loadgen.engine.resolve import Address, look_up
from loadgen.model.errors import TargetError
from loadgen.model.sending import IpVersion
from loadgen.model.target import Target


def refused(target: Target, version: IpVersion = IpVersion.ANY) -> str:
    with pytest.raises(TargetError) as caught:
        asyncio.run(reach([(target, target)], verify=True, version=version))
    assert "\n" not in caught.value.message
    return caught.value.message


def named(monkeypatch: pytest.MonkeyPatch, port: int, hosts: Sequence[str]) -> None:
    found: list[Address] = [(socket.AF_INET, (host, port)) for host in hosts]
    monkeypatch.setattr(module, "look_up", lambda target, version: found)


def test_one_of_several_addresses_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        named(monkeypatch, port, ["127.0.0.2", "127.0.0.1"])
        target = Target(name="t", host="many.test", port=port)
        assert asyncio.run(reach([(target, target)], verify=True)) == []
    assert refused(target) == "t: connection refused"


def test_a_resolver_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.05)
    monkeypatch.setattr(module, "look_up", lambda target, version: time.sleep(3600))
    why = "'many.test' cannot be resolved: the name servers did not answer within 0.05 s"
    assert refused(Target(name="t", host="many.test", port=80)) == f"t: {why}"


def test_a_host_without_an_address_of_the_chosen_version_is_refused() -> None:
    assert refused(Target(name="t", host="127.0.0.1", port=80), IpVersion.V6) == "t: '127.0.0.1' has no IPv6 address"


@pytest.mark.parametrize("host", ["fe80::1", "FE80::ff:1", "fe80::1%0"])
def test_a_link_local_address_without_an_interface_is_said(host: str) -> None:
    why = refused(Target(name="t", host=host, port=80))
    assert why.endswith("is a link-local address, which needs the name of an interface")


def test_a_link_local_address_of_a_name_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET6, 1, 6, "", ("fe80::1", 80, 0, 0)), (socket.AF_INET, 1, 6, "", ("192.0.2.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    assert look_up(Target(name="t", host="printer.local", port=80)) == [(socket.AF_INET, ("192.0.2.1", 80))]
