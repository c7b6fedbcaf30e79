"""Which load machines the user wants, and the fleet that reaches them."""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coordinator.fleet.api import Fleet
from coordinator.fleet.local import LocalFleet
from deploy.hosts.inventory import Host
from loadgen.model.plan import OnLoss


class WayKind(enum.Enum):
    """How load machines are reached."""

    LOCAL = "local"
    SSH = "ssh"
    SCHEDULER = "scheduler"
    JOIN = "join"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetChoice:
    """At most one of `hosts`, `scheduler` and `listen`; with none of them it is this machine.

    `engines` on each machine, 0: one for each core.  `workers` are how many join at `listen`, with certificates
    from the directory `certs`; or how many a scheduler must have.  `coordinator` is the address at which agents
    reach this machine; empty: as SSH does.
    """

    hosts: tuple[Host, ...] = ()
    scheduler: str = ""
    listen: tuple[str, int] | None = None
    workers: int = 1
    certs: Path | None = None
    coordinator: str = ""
    engines: int = 0

    @property
    def way(self) -> WayKind:
        """The one that was chosen."""
        if self.hosts:
            return WayKind.SSH
        if self.scheduler:
            return WayKind.SCHEDULER
        return WayKind.JOIN if self.listen else WayKind.LOCAL

    @property
    def is_here(self) -> bool:
        """Whether every load machine is surely this one: its scheduler or meeting point is on loopback."""
        if self.way is WayKind.LOCAL:
            return True
        host = _host_of(self.scheduler) if self.scheduler else self.listen[0] if self.listen else ""
        return host == "localhost" or _is_loopback(host)

    def host_tables(self) -> Sequence[Mapping[str, Any]]:
        """The hosts as plain data, for the record."""
        return [dataclasses.asdict(host) for host in self.hosts]


def _host_of(scheduler: str) -> str:
    """Of an address like tcp://HOST:PORT, or without its beginning; "" of what is none."""
    try:
        return urlsplit(scheduler if "://" in scheduler else f"//{scheduler}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_fleet(
    choice: FleetChoice,
    engines: int,
    on_loss: OnLoss,
    *,
    run_id: str,
    say: Callable[[str], None],
    on_log: Callable[[str, str], None],
) -> Fleet:
    """The fleet, closed yet; on this machine it has `engines`, others count their own.

    `on_log` gets (machine, line) of what its agents log.
    Every way but the local one needs the extra's packages (loadgen.agent.extra).
    """
    if choice.way is WayKind.LOCAL:
        return LocalFleet(engines)
    from coordinator.fleet.dask.build import build

    return build(choice, on_loss, run_id=run_id, say=say, on_log=on_log)
