"""The load machines of a tape run: opens the fleet, assigns connections, describes the machines for the record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from coordinator.fleet.admission import admit, say_missing
from coordinator.fleet.api import Fleet, MachineStatus
from coordinator.fleet.choice import FleetChoice
from coordinator.record.fleet import FleetRecord
from loadgen.measure.events import EngineReady
from loadgen.model.errors import FleetError
from loadgen.model.machine import MachineState
from loadgen.model.plan import OnLoss, Phases
from loadgen.model.units import NS_PER_S
from loadgen.verdict.ports import Demand


async def open_fleet(fleet: Fleet, choice: FleetChoice, say: Callable[[str], None]) -> None:
    """Open the fleet.

    Steps that may take a while are announced first.  Raises LoadgenError when the fleet cannot be opened.
    """
    if choice.hosts:
        count = len(choice.hosts)
        say(f"starting agents by SSH on {count} host{'s' * (count > 1)}")
    await fleet.open()


def place_on(
    fleet: Fleet, record: FleetRecord, demand: Demand, *, phases: Phases, seed: int, on_loss: OnLoss
) -> tuple[FleetRecord, list[str]]:
    """Return which worker of an open fleet plays which connections, and a sentence for each machine that is left out.

    A machine that cannot carry its share is left out.  Raises FleetError when a machine is missing and `on_loss` is
    ABORT, or when no machine is left.
    """
    seconds = sum(phases.length_ns(i) for i in range(phases.iterations)) / NS_PER_S
    placement, refused = admit(fleet.machines, demand, seed, seconds)
    missing = {**fleet.missing, **refused}
    if missing and on_loss is OnLoss.ABORT:
        raise FleetError(
            f"not all load machines can be used: {say_missing(missing)}",
            hint="allow the run to go on without them: --on-loss degrade",
        )
    placed = dataclasses.replace(
        record,
        machines=tuple(one for one in fleet.machines if one.name not in refused),
        missing=missing,
        clocks=fleet.clocks(),
        placement=placement,
    )
    return placed, [f"load machine {name} is left out: {why}" for name, why in missing.items()]


def say_lost(machines: Sequence[MachineStatus], lost: Mapping[str, str]) -> list[str]:
    """Return a sentence for each machine that has a problem, and for each lost engine of other machines."""
    gone = {one.name for one in machines if one.state is MachineState.LOST}
    return [
        *(f"machine {one.name}{' is lost' * (one.name in gone)}: {one.why}" for one in machines if one.why),
        *(f"engine {name} is lost: {why}" for name, why in lost.items() if name.rpartition("/")[0] not in gone),
    ]


def with_engines(record: FleetRecord, engines: Mapping[str, EngineReady]) -> FleetRecord:
    """Return the record of the fleet with the engine of each worker; `engines` is by worker."""
    known = tuple(engines[worker] for worker in record.placement.workers if worker in engines)
    return dataclasses.replace(record, engines=known)
