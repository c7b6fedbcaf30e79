"""Load machines in a plan file, and in a record that is replayed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadgen.model.address import format_address, parse_address
from loadgen.model.errors import PlanError
from loadgen.model.plain import from_plain

if TYPE_CHECKING:
    from coordinator.fleet.choice import FleetChoice

_WHOLE, _TEXT = "a whole number of at least 1", "a text"
_KEYS = {
    "hosts": "a list of tables",
    "scheduler": _TEXT,
    "listen": _TEXT,
    "workers": _WHOLE,
    "certs": _TEXT,
    "coordinator": _TEXT,
    "engines": _WHOLE,
}


def choice_to_table(choice: FleetChoice) -> dict[str, Any]:
    """What differs from the defaults, as plain data for TOML; empty when this machine makes the load."""
    from coordinator.fleet.choice import FleetChoice, WayKind

    if choice.way is WayKind.LOCAL:
        return {}
    default = FleetChoice()
    table: dict[str, Any] = {
        name: getattr(choice, name)
        for name in ("scheduler", "workers", "coordinator", "engines")
        if getattr(choice, name) != getattr(default, name)
    }
    if choice.listen:
        table["listen"] = format_address(*choice.listen)
    if choice.certs:
        table["certs"] = str(choice.certs)
    if choice.hosts:
        table["hosts"] = [_host_table(dataclasses.asdict(host)) for host in choice.hosts]
    return table


def choice_from_table(table: object) -> FleetChoice:
    """The inverse of :func:`choice_to_table`.  Raises PlanError that names the key."""
    from coordinator.fleet.choice import FleetChoice
    from deploy.hosts.inventory import Host

    if not isinstance(table, dict):
        raise PlanError(f"fleet must be a table, got {table!r}")
    for key, value in table.items():
        if key not in _KEYS:
            raise PlanError(f"unknown key fleet.{key}", hint=f"the keys are {', '.join(_KEYS)}")
        if not _fits(_KEYS[key], value):
            raise PlanError(f"fleet.{key} must be {_KEYS[key]}, got {value!r}")
    ways = [f"fleet.{way}" for way in ("hosts", "scheduler", "listen") if table.get(way)]
    if len(ways) > 1:
        raise PlanError(f"{' and '.join(ways)} are both given", hint="give one of them")
    values = dict(table)
    if "hosts" in values:
        hosts = enumerate(values["hosts"])
        values["hosts"] = tuple(from_plain(Host, host, f"fleet.hosts[{number}]") for number, host in hosts)
    if "listen" in values:
        values["listen"] = parse_address(values["listen"])
    if "certs" in values:
        values["certs"] = Path(values["certs"])
    return FleetChoice(**values)


def choice_from_record(fleet: object) -> FleetChoice:
    """The load machines of a recorded run; `fleet` is that part of its run.json.

    Raises PlanError when the record does not hold enough to reach them again.
    """
    from coordinator.fleet.choice import FleetChoice, WayKind

    way = fleet.get("way") if isinstance(fleet, Mapping) else None
    if not isinstance(fleet, Mapping) or way not in [kind.value for kind in WayKind]:
        raise PlanError(f"fleet.way must be one of {', '.join(kind.value for kind in WayKind)}, got {way!r}")
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


def _host_table(host: Mapping[str, Any]) -> dict[str, Any]:
    """What is not empty; without an address, a host has its name for one."""
    return {key: value for key, value in host.items() if value and (key, value) != ("address", host["name"])}


def _fits(kind: str, value: object) -> bool:
    if kind is _TEXT:
        return isinstance(value, str)
    if kind is _WHOLE:
        return type(value) is int and value >= 1
    return isinstance(value, list)
