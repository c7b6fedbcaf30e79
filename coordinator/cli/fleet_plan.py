"""Load machines in a plan file, and in a record that is replayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loadgen.model.errors import PlanError

if TYPE_CHECKING:
    from coordinator.fleet.choice import FleetChoice


def choice_to_table(choice: FleetChoice) -> dict[str, Any]:
    """Return the settings that differ from the defaults, as plain data for TOML; {} when this machine makes the
    load.
    """
    from coordinator.fleet.choice import WayKind

    return {} if choice.way is WayKind.LOCAL else choice.to_dict()


def choice_from_table(table: object) -> FleetChoice:
    """The inverse of :func:`choice_to_table`.  Raises PlanError that names the key."""
    from coordinator.fleet.choice import FleetChoice

    if not isinstance(table, Mapping):
        raise PlanError(f"fleet must be a table, got {table!r}")
    return FleetChoice.from_dict(table)


def choice_from_record(fleet: object) -> FleetChoice:
    """Return the load machines of a recorded run; `fleet` is the fleet section of its run.json.

    Raises PlanError when the record has too little information to reach the machines again: records of version 0.1 and
    before keep only the hosts of --hosts.
    """
    from coordinator.fleet.choice import FleetChoice, WayKind

    way = fleet.get("way") if isinstance(fleet, Mapping) else None
    if not isinstance(fleet, Mapping) or way not in [kind.value for kind in WayKind]:
        raise PlanError(f"fleet.way must be one of {', '.join(kind.value for kind in WayKind)}, got {way!r}")
    if way == WayKind.LOCAL.value:
        return FleetChoice()
    if choice := fleet.get("choice"):
        return choice_from_table(choice)
    if way == WayKind.JOIN.value:
        raise PlanError(
            "the record does not say where its load machines joined",
            hint="start the workers again, and add --listen, --certs and --workers",
        )
    if way == WayKind.SCHEDULER.value:
        raise PlanError("the record does not say where its Dask scheduler was", hint="add --scheduler ADDRESS")
    return choice_from_table({"hosts": fleet.get("hosts")})
