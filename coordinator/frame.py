"""The frame of every run that plays tapes: who plays what before it, what the fleet was like after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from coordinator.conductor import Conductor
from coordinator.evidence import start_skews_ns
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
    """Open it, and say before what may take a while.  Raises LoadgenError when it can't be opened."""
    if choice.hosts:
        count = len(choice.hosts)
        say(f"starting agents by SSH on {count} host{'s' * (count > 1)}")
    await fleet.open()


def place_on(
    fleet: Fleet, record: FleetRecord, demand: Demand, *, phases: Phases, seed: int, on_loss: OnLoss
) -> tuple[FleetRecord, list[str]]:
    """Which worker of an open fleet plays what, and in words who is left out.

    Machines that can't carry their share are left out, or raise FleetError when the run is not to go on without.
    """
    seconds = sum(phases.length_ns(i) for i in range(phases.iterations)) / NS_PER_S
    placement, refused = admit(fleet.machines, demand, seed, seconds)
    missing = {**fleet.missing, **refused}
    if missing and on_loss is OnLoss.ABORT:
        raise FleetError(
            f"not all load machines can be used: {say_missing(missing)}", hint="or go on without: --on-loss degrade"
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
    """What is wrong with machines, and which engines of the others are lost, as a sentence each."""
    gone = {one.name for one in machines if one.state is MachineState.LOST}
    return [
        *(f"machine {one.name}{' is lost' * (one.name in gone)}: {one.why}" for one in machines if one.why),
        *(f"engine {name} is lost: {why}" for name, why in lost.items() if name.rpartition("/")[0] not in gone),
    ]


def with_engines(record: FleetRecord, engines: Mapping[str, EngineReady]) -> FleetRecord:
    """The fleet's record with the engine of each worker, by name."""
    known = tuple(engines[worker] for worker in record.placement.workers if worker in engines)
    return dataclasses.replace(record, engines=known)


def after_the_run(fleet: Fleet, record: FleetRecord, conductor: Conductor) -> FleetRecord:
    """The fleet's record with what the run showed of it."""
    clocks = {**record.clocks, **fleet.clocks()}
    return dataclasses.replace(
        with_engines(record, conductor.engines),
        clocks=clocks,
        start_skew_ns=start_skews_ns(conductor.timeline.began_ns),
    )


def stall_notes(conductor: Conductor) -> list[str]:
    """What is to be said of engines that stopped by themselves."""
    stalled = conductor.run.stalled
    return [f"traffic stopped by itself: {stalled}"] if stalled else []
