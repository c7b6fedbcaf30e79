"""Decides which machines can carry their share of the load, and which connections each worker plays.  Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from coordinator.fleet.local import LOCAL
from loadgen.model.errors import FleetError
from loadgen.model.machine import Machine
from loadgen.schedule.placement import Placement, place
from loadgen.verdict.ports import Demand, LocalPorts, usable_sources

RESERVED_FILES = 32
"""Files that an engine has open besides its connections: pipes, event loop, libraries."""

_WEIGHT = 1000  # weights are whole numbers; this is the weight of one core

_TARGET_BYTES, _CONNECTION_BYTES = 2_000, 100
"""Upper bounds of an engine's reports per second, in bytes: per target (measured: 1.3 KB) and per connection (48 B)."""


def admit(machines: Sequence[Machine], demand: Demand, seed: int, seconds: float) -> tuple[Placement, dict[str, str]]:
    """Return the placement over all machines that can carry their share, and why each of the others cannot.

    What is placed are connections with all their streams; the numbers of the placement are those of streams.

    `seconds` is the length of the run.  The share of a refused machine goes to the others.  Raises FleetError if no
    machine is left.
    """
    refused: dict[str, str] = {}
    while True:
        left = [machine for machine in machines if machine.name not in refused]
        if not left:
            raise FleetError("no load machine can carry its share: " + say_missing(refused), of_generator=True)
        placement = _place(left, demand.shares, seed)
        found = {machine.name: why for machine in left if (why := _refusal(machine, placement, demand, seconds))}
        if not found:
            return placement.of_streams(demand.streams), refused
        refused |= found


def say_missing(missing: Mapping[str, str]) -> str:
    """Return a line with the machines and their problems."""
    return "; ".join(f"{name}: {why}" for name, why in missing.items())


def _place(machines: Sequence[Machine], shares: Sequence[int], seed: int) -> Placement:
    weighted = list(itertools.islice(_workers(machines), sum(shares)))
    worker_of = place(shares, [weight for _, weight in weighted], seed)
    # An engine with a small weight may get no connection; then it is outside the run.
    used = np.flatnonzero(np.bincount(worker_of))
    return Placement(tuple(weighted[at][0] for at in used.tolist()), np.searchsorted(used, worker_of).astype(np.int32))


def _workers(machines: Sequence[Machine]) -> Iterator[tuple[str, int]]:
    """Yield all workers with their weights, one of each machine per round, so that few connections use all machines."""
    rounds = itertools.zip_longest(*(machine.workers for machine in machines))
    for number, worker in ((number, worker) for one in rounds for number, worker in enumerate(one)):
        if worker is not None:
            machine = machines[number]
            # An engine uses one core at most, and less when there are more engines than cores.
            yield worker, max(1, _WEIGHT * min(machine.cores, len(machine.workers)) // len(machine.workers))


def _refusal(machine: Machine, placement: Placement, demand: Demand, seconds: float) -> str:
    """Return why a machine cannot carry its share; empty if it can."""
    shares = demand.shares
    target_of = np.repeat(np.arange(len(shares), dtype=np.int32), shares)
    mine = [worker for worker in machine.workers if worker in placement.workers]
    counts = [placement.connections(worker, target_of, len(shares)) for worker in mine]
    if not counts:
        return ""
    if len(mine) > machine.cores and machine.name != LOCAL:  # on this machine, the trust checks show the effect
        return f"it has {machine.cores} cores, but {len(mine)} engines would run there"
    files = max(int(one.sum()) for one in counts) * demand.lanes + RESERVED_FILES
    if files > machine.open_files:
        return f"an engine needs {files} open files, but may have {machine.open_files} (ulimit -n)"
    ports = LocalPorts.of(machine.sysctls, on_loopback=demand.on_loopback)
    for host, count in zip(demand.hosts, (np.sum(counts, axis=0) * demand.lanes).tolist(), strict=True):
        if ports and count > (available := ports.each * usable_sources(demand.sources, host)):
            return f"{count} connections to one server need as many ports, but it has {available} (ip_local_port_range)"
    needed = int(seconds * (len(mine) * len(shares) * _TARGET_BYTES + int(np.sum(counts)) * _CONNECTION_BYTES))
    if machine.spool and needed > machine.spool_free_bytes:
        free_mb = machine.spool_free_bytes / 1e6
        return f"its spool needs {needed / 1e6:.1f} MB, but {machine.spool} has {free_mb:.1f} MB free"
    return ""
