"""The load machines of a run, as its record keeps them: names, clocks, placement, and how to reach them again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loadgen.measure.events import EngineReady
from loadgen.model.machine import Clock, Machine
from loadgen.model.plain import from_plain
from loadgen.schedule.placement import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRecord:
    """The fleet of a run.

    `way` is local, ssh, scheduler or join; `run_id` is the agents' name for the run.  `machines` are those that
    played; `missing` says by name why a machine that was asked for did not.  `clocks` are the newest measurements, by
    name.  `placement` has no workers until it is made.  `hosts` says how to reach the machines by SSH again, as plain
    data (deploy.hosts.inventory.Host).  `choice` is what the user chose, as plain data without secrets
    (coordinator.fleet.choice.FleetChoice); empty for this machine.  `engines` says which engine each worker ran, once
    all workers have said it.  `start_skew_ns` is by iteration, from the first worker's start to the last one's.
    """

    way: str
    run_id: str
    machines: tuple[Machine, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    clocks: Mapping[str, Clock] = field(default_factory=dict)
    placement: Placement = field(default_factory=lambda: Placement((), np.zeros(0, np.int32)))
    hosts: Sequence[Mapping[str, Any]] = ()
    choice: Mapping[str, Any] = field(default_factory=dict)
    engines: Sequence[EngineReady] = ()
    start_skew_ns: Mapping[int, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that :meth:`from_dict` reads back."""
        return {
            "way": self.way,
            "run_id": self.run_id,
            "machines": [{**_fields(one), **_fields(self.clocks.get(one.name, Clock()))} for one in self.machines],
            "missing": dict(self.missing),
            "hosts": [dict(host) for host in self.hosts],
            **({"choice": dict(self.choice)} if self.choice else {}),
            "engines": [_engine(one) for one in self.engines],
            "start_skew_ns": {str(iteration): skew for iteration, skew in self.start_skew_ns.items()},
            "placement": {
                "workers": list(self.placement.workers),
                "worker_of_connection": self.placement.worker_of.tolist(),
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FleetRecord:
        """The inverse of :meth:`to_dict`; KeyError, TypeError or ValueError on anything else."""
        machines, clocks = [], {}
        for part in data["machines"]:
            own = {f.name: part[f.name] for f in dataclasses.fields(Machine)}
            machines.append(Machine(**{**own, "workers": tuple(own["workers"])}))
            clocks[part["name"]] = Clock(offset_ns=part["offset_ns"], error_ns=part["error_ns"])
        placed = data["placement"]
        try:
            worker_of = np.array(placed["worker_of_connection"], np.int32)
        except OverflowError as error:
            raise ValueError(str(error)) from error
        if worker_of.ndim != 1:
            raise ValueError("the placement is not a list of numbers")
        if len(worker_of) and not 0 <= worker_of.min() <= worker_of.max() < len(placed["workers"]):
            raise ValueError("the placement refers to a worker that does not exist")
        return cls(
            way=data["way"],
            run_id=data["run_id"],
            machines=tuple(machines),
            missing=dict(data["missing"]),
            clocks=clocks,
            placement=Placement(tuple(placed["workers"]), worker_of),
            hosts=tuple(dict(host) for host in data["hosts"]),
            choice=dict(data.get("choice", {})),  # records of version 0.1 have none
            engines=tuple(
                from_plain(EngineReady, one, "an engine") for one in data.get("engines", ())
            ),  # old records have none
            start_skew_ns={int(iteration): skew for iteration, skew in data["start_skew_ns"].items()},
        )


def _engine(engine: EngineReady) -> dict[str, Any]:
    data = dataclasses.asdict(engine)
    addresses = list(data.pop("addresses"))
    return {**data, "addresses": addresses} if addresses else data  # records of version 0.1 have no such field


def _fields(value: Machine | Clock) -> dict[str, Any]:
    data = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return {name: list(item) if isinstance(item, tuple) else item for name, item in data.items()}
