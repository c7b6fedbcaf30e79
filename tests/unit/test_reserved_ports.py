"""Ports that are held for servers: at addresses of every form."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from deploy.vms.ports import Reservation


def test_a_link_local_address_keeps_its_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    lo = socket.if_nametoindex("lo")

    def found(*_: object, **__: object) -> list[tuple[Any, ...]]:  # Python leaves the interface out of the address
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, lo))]

    bound: list[Any] = []

    class Socket(socket.socket):
        def bind(self, address: Any) -> None:
            bound.append(address)
            super().bind(address)

    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(socket, "socket", Socket)
    with Reservation("fe80::1%lo", 2, 0) as held:
        assert held.address == "::1%lo"
        assert len(set(held.ports)) == 2
    assert bound == [("::1", 0, 0, lo)] * 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_other_addresses_are_as_they_were_given(host: str) -> None:
    with Reservation(host, 1, 0) as held:
        assert held.address == host
