"""The user's choice of load machines, and the fleet that reaches these machines."""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coordinator.fleet.listening import parse_listen
from deploy.hosts.inventory import Host
from loadgen.host.paths import to_path
from loadgen.model.address import format_address
from loadgen.model.errors import PlanError
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.port_range import PortRange, parse_ports

_ADD = "add what is needed, or leave out the key that needs it"


class WayKind(enum.Enum):
    """The ways in which load machines can be reached."""

    LOCAL = "local"
    SSH = "ssh"
    SCHEDULER = "scheduler"
    JOIN = "join"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetChoice:
    """The load machines of a run: at most one of `hosts`, `scheduler` and `listen`; without them, this machine.

    `engines` is the number of engine processes on each machine; 0 means one for each core.  `workers` is the number of
    workers that join at `listen`, with certificates from the directory `certs`, or that the scheduler must have.
    `coordinator` is the address at which the agents reach this machine; if it is empty, the address that SSH uses.
    `ports` are the ports at which this machine and the `hosts` listen for each other; None means any.
    """

    hosts: tuple[Host, ...] = ()
    scheduler: str = ""
    listen: tuple[str, int] | None = None
    workers: int = 1
    certs: Path | None = None
    coordinator: str = ""
    ports: PortRange | None = None
    engines: int = 0

    @property
    def way(self) -> WayKind:
        """The way in which these machines are reached."""
        if self.hosts:
            return WayKind.SSH
        if self.scheduler:
            return WayKind.SCHEDULER
        return WayKind.JOIN if self.listen else WayKind.LOCAL

    @property
    def is_here(self) -> bool:
        """Whether every load machine is certainly this one: its scheduler or meeting point is on loopback."""
        if self.way is WayKind.LOCAL:
            return True
        host = _host_of(self.scheduler) if self.scheduler else self.listen[0] if self.listen else ""
        return host == "localhost" or _is_loopback(host)

    def check_several(self, what: str, hint: str = "use --hosts or --scheduler instead") -> None:
        """Raise PlanError when the machines serve one run only, but `what`, such as "a search", has several."""
        if self.way is WayKind.JOIN:
            raise PlanError(f"workers that join serve one run, but {what} has several", hint=hint)

    def host_tables(self) -> Sequence[Mapping[str, Any]]:
        """Return the hosts as plain data, for the record."""
        return [dataclasses.asdict(host) for host in self.hosts]

    def to_dict(self) -> dict[str, Any]:
        """Return the settings that differ from the default, as plain data for TOML or JSON.  It contains no secrets.

        `listen` is a text like "192.0.2.1:4711", `certs` the path of the directory as it was given.
        """
        data = {
            "hosts": [_host_to_dict(host) for host in self.hosts],
            "scheduler": self.scheduler,
            "listen": format_address(*self.listen) if self.listen else "",
            "workers": self.workers if self.workers != 1 else 0,
            "certs": str(self.certs) if self.certs is not None else "",
            "coordinator": self.coordinator,
            "ports": str(self.ports) if self.ports else "",
            "engines": self.engines,
        }
        return {name: value for name, value in data.items() if value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FleetChoice:
        """Read what :meth:`to_dict` returned.  Raises PlanError, in one line that names the mistake."""
        plain = from_plain(_Plain, dict(data), "fleet")
        ways = [name for name in ("hosts", "scheduler", "listen") if getattr(plain, name)]
        if len(ways) > 1:
            raise PlanError(f"fleet.{ways[0]} and fleet.{ways[1]} cannot be combined", hint="keep one of them")
        if bool(plain.listen) != bool(plain.certs):
            missing = "fleet.certs" if plain.listen else "fleet.listen"
            raise PlanError(
                f"fleet.listen and fleet.certs must be given together, but {missing} is missing",
                hint="add it, or leave out the other one",
            )
        if plain.workers != 1 and not (plain.listen or plain.scheduler):
            raise PlanError("fleet.workers needs fleet.listen or fleet.scheduler", hint=_ADD)
        if plain.coordinator and not plain.hosts:
            raise PlanError("fleet.coordinator needs fleet.hosts", hint=_ADD)
        if plain.ports and not plain.hosts:
            raise PlanError("fleet.ports needs fleet.hosts", hint=_ADD)
        for name, least in (("workers", 1), ("engines", 0)):
            if getattr(plain, name) < least:
                raise PlanError(f"fleet.{name} must be at least {least}, got {getattr(plain, name)}")
        names = [host.name for host in plain.hosts]
        if doubled := next((name for name in names if names.count(name) > 1), ""):
            raise PlanError(f"fleet.hosts: two hosts have the name {doubled!r}", hint="give each a name of its own")
        return cls(
            hosts=plain.hosts,
            scheduler=plain.scheduler,
            listen=_address(plain.listen) if plain.listen else None,
            workers=plain.workers,
            certs=to_path(plain.certs) if plain.certs else None,
            coordinator=plain.coordinator,
            ports=parse_ports(plain.ports) if plain.ports else None,
            engines=plain.engines,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plain:
    """The fields of a FleetChoice as plain data."""

    hosts: tuple[Host, ...] = ()
    scheduler: str = ""
    listen: str = ""
    workers: int = 1
    certs: str = ""
    coordinator: str = ""
    ports: str = ""
    engines: int = 0


def _host_to_dict(host: Host) -> dict[str, Any]:
    given = {name: value for name, value in to_plain(host).items() if value}
    if host.address == host.name:
        del given["address"]
    return given


def _address(text: str) -> tuple[str, int]:
    try:
        return parse_listen(text)
    except PlanError as error:
        raise PlanError(f"fleet.listen: {error.message}", hint=error.hint) from error


def _host_of(scheduler: str) -> str:
    """Return the host of an address like tcp://HOST:PORT or HOST:PORT; "" if it is not an address."""
    try:
        return urlsplit(scheduler if "://" in scheduler else f"//{scheduler}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
