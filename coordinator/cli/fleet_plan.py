"""Load machines in a plan file, and in a record that is replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.hosts.inventory import Host
from loadgen.model.address import format_address, parse_address
from loadgen.model.errors import PlanError
from loadgen.model.plain import from_plain, to_plain

if TYPE_CHECKING:
    from coordinator.fleet.choice import FleetChoice


def choice_to_table(choice: FleetChoice) -> dict[str, Any]:
    """What differs from the defaults, as plain data for TOML; empty when this machine makes the load."""
    from coordinator.fleet.choice import WayKind

    if choice.way is WayKind.LOCAL:
        return {}
    data = {
        "hosts": [_host_table(host) for host in choice.hosts],
        "scheduler": choice.scheduler,
        "listen": format_address(*choice.listen) if choice.listen else "",
        "workers": choice.workers if choice.workers != 1 else 0,
        "certs": str(choice.certs) if choice.certs else "",
        "coordinator": choice.coordinator,
        "engines": choice.engines,
    }
    return {name: value for name, value in data.items() if value}


def choice_from_table(table: object) -> FleetChoice:
    """The inverse of :func:`choice_to_table`.  Raises PlanError that names the key."""
    from coordinator.fleet.choice import FleetChoice

    plain = from_plain(_Table, table, "fleet")
    ways = [name for name in ("hosts", "scheduler", "listen") if getattr(plain, name)]
    if len(ways) > 1:
        raise PlanError(f"fleet.{ways[0]} and fleet.{ways[1]} cannot be combined", hint="keep one of them")
    for name, least in (("workers", 1), ("engines", 0)):
        if getattr(plain, name) < least:
            raise PlanError(f"fleet.{name} must be at least {least}, got {getattr(plain, name)}")
    return FleetChoice(
        hosts=plain.hosts,
        scheduler=plain.scheduler,
        listen=_address(plain.listen) if plain.listen else None,
        workers=plain.workers,
        certs=Path(plain.certs) if plain.certs else None,
        coordinator=plain.coordinator,
        engines=plain.engines,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The fields of a FleetChoice as plain data."""

    hosts: tuple[Host, ...] = ()
    scheduler: str = ""
    listen: str = ""
    workers: int = 1
    certs: str = ""
    coordinator: str = ""
    engines: int = 0


def choice_from_record(fleet: object) -> FleetChoice:
    """The load machines of a recorded run; `fleet` is that part of its run.json.

    Raises PlanError when the record does not hold enough to reach them again.
    """
    from coordinator.fleet.choice import FleetChoice, WayKind

    ways = [kind.value for kind in WayKind]
    way = fleet.get("way") if isinstance(fleet, Mapping) else None
    if not isinstance(fleet, Mapping) or way not in ways:
        raise PlanError(f"fleet.way must be one of {', '.join(ways)}, got {way!r}")
    if way == WayKind.JOIN.value:
        raise PlanError(
            "its load machines had joined by hand, with certificates that a record does not keep",
            hint="start the workers again, and add --listen, --certs and --workers",
        )
    if way == WayKind.SCHEDULER.value:
        raise PlanError("the record does not say where its Dask scheduler was", hint="add --scheduler ADDRESS")
    if way == WayKind.LOCAL.value:
        return FleetChoice()
    if not fleet.get("hosts"):
        raise PlanError("fleet.hosts must name the machines that were reached by SSH")
    return choice_from_table({"hosts": fleet["hosts"]})


def _host_table(host: Host) -> dict[str, Any]:
    """What is not empty; without an address, a host has its name for one."""
    given = {name: value for name, value in to_plain(host).items() if value}
    if host.address == host.name:
        del given["address"]
    return given


def _address(text: str) -> tuple[str, int]:
    try:
        return parse_address(text)
    except PlanError as error:
        raise PlanError(f"fleet.listen: {error.message}", hint=error.hint) from error
