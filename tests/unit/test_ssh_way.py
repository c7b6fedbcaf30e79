"""One host's fault is that host's: the others go on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from coordinator.fleet.dask import ssh_way
from coordinator.fleet.dask.ssh_way import SshWay
from deploy.hosts.inventory import Host
from loadgen.model.errors import FleetError, PlanError

STARTED = "it was asked to start an agent"


@dataclass
class Link:
    """A connection to a host that starts nothing."""

    local_address: str
    address: str = "192.0.2.7"
    link_local: str = ""
    is_open: bool = True

    async def start(self, mark: str, bootstrap: dict[str, Any]) -> Any:
        raise FleetError(f"{STARTED} for {bootstrap['scheduler'].rpartition(':')[0]}")

    async def close(self) -> None:
        pass


LINKS = {
    "good": Link("127.0.0.1"),
    "link-local": Link("", "", "fe80::2%eth0"),
    "jump": Link("", ""),
    "elsewhere": Link("203.0.113.9"),  # no address of this machine
}


class Ssh:
    """Connects to the hosts of LINKS."""

    def __init__(self, *_: object) -> None:
        pass

    async def connect(self, host: Host) -> Link:
        return LINKS[host.name]


@pytest.fixture(autouse=True)
def links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_way, "Ssh", Ssh)


def missing(coordinator_address: str = "") -> dict[str, str]:
    async def work() -> dict[str, str]:
        way = SshWay([Host(name=name) for name in LINKS], run_id="r", coordinator_address=coordinator_address)
        try:
            assert await way.open() == ()
            return dict(way.missing)
        finally:
            await way.close()

    return asyncio.run(work())


def test_a_host_for_which_this_machine_cannot_listen_costs_only_itself() -> None:
    found = missing()
    assert found["good"] == f"{STARTED} for tls://127.0.0.1"
    give = "give --coordinator, the address at which it reaches this machine"
    assert found["link-local"] == f"it is reached at fe80::2%eth0, which is valid on one link only; {give}"
    assert found["jump"] == f"it is reached through another machine; {give}"
    assert found["elsewhere"].startswith("this machine cannot listen at 203.0.113.9, port 0: ")


def test_with_a_coordinator_address_all_hosts_can_be_used() -> None:
    found = missing(coordinator_address="127.0.0.1")
    assert set(found.values()) == {f"{STARTED} for tls://127.0.0.1"}


def test_an_address_that_the_user_chose_is_refused_for_the_run() -> None:
    with pytest.raises(PlanError, match=r"cannot listen at 203\.0\.113\.9"):
        missing(coordinator_address="203.0.113.9")
