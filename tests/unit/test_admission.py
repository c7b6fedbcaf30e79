"""The placement of connections: machines that cannot carry their share are refused before the start."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.fleet.admission import admit
from loadgen.model.errors import FleetError
from loadgen.model.machine import Machine
from loadgen.verdict.ports import Demand


def machine(
    name: str, *, cores: int = 2, engines: int = 2, open_files: int = 1024, ports: str = "", free_bytes: int = 10**9
) -> Machine:
    return Machine(
        name=name,
        workers=tuple(f"{name}/{i}" for i in range(engines)),
        cores=cores,
        open_files=open_files,
        spool="/spool",
        spool_free_bytes=free_bytes,
        sysctls={"net.ipv4.ip_local_port_range": ports} if ports else {},
    )


def demand(*shares: int, sources: tuple[str, ...] = ()) -> Demand:
    return Demand(hosts=("192.0.2.1",) * len(shares), shares=shares, sources=sources)


def counts(machines: list[Machine], shares: list[int]) -> dict[str, int]:
    placement, refused = admit(machines, demand(*shares), seed=1, seconds=70)
    assert refused == {}
    return {worker: len(placement.shard(worker).connections) for worker in placement.workers}


def test_cores_are_the_weights_and_engines_share_them() -> None:
    found = counts([machine("a", cores=1, engines=1), machine("b", cores=2), machine("local", cores=1)], [60])
    assert found == {"a/0": 15, "b/0": 15, "b/1": 15, "local/0": 7, "local/1": 8}
    # An engine is one process: cores that no engine uses carry nothing.
    assert counts([machine("a", cores=64), machine("b", cores=2)], [60]) == dict.fromkeys(
        ["a/0", "b/0", "a/1", "b/1"], 15
    )


def test_few_connections_go_to_all_machines_first() -> None:
    assert counts([machine("a", engines=4), machine("b", engines=4)], [3]) == {"a/0": 1, "b/0": 1, "a/1": 1}


def test_an_engine_without_connections_is_left_out() -> None:
    """An engine without connections sends nothing, and would be blamed for that."""
    found = counts([machine("a"), machine("local", cores=1, engines=5)], [5])
    assert found == {"a/0": 1, "local/0": 1, "a/1": 2, "local/2": 1}


@pytest.mark.parametrize(
    ("poor", "why"),
    [
        (machine("c", open_files=64), "an engine needs 72 open files, but may have 64"),
        (machine("c", free_bytes=1_000_000), "its spool needs 1.1 MB, but /spool has 1.0 MB free"),
        (machine("c", cores=1), "it has 1 cores, but 2 engines would run there"),
        (machine("c", ports="1000 1038"), "40 connections to one server need as many ports, but it has 39"),
    ],
    ids=["files", "space", "cores", "ports"],
)
def test_a_machine_that_cannot_carry_its_share_is_refused_and_the_others_carry_it(poor: Machine, why: str) -> None:
    placement, refused = admit([machine("a"), machine("b"), poor], demand(120, 120), seed=1, seconds=70)
    assert list(refused) == ["c"]
    assert why in refused["c"]
    assert np.bincount(placement.worker_of).tolist() == [60, 60, 60, 60]


def test_without_a_capable_machine_there_is_no_run() -> None:
    with pytest.raises(FleetError, match="no load machine can carry its share: a: an engine needs"):
        admit([machine("a", open_files=10)], demand(100), seed=1, seconds=70)


def test_every_source_address_has_ports_of_its_own() -> None:
    few = machine("a", ports="1000 1038")
    assert admit([few], demand(78, sources=("192.0.2.8", "192.0.2.9")), seed=1, seconds=70)[1] == {}
    with pytest.raises(FleetError, match="79 connections to one server need as many ports, but it has 78"):
        admit([few], demand(79, sources=("192.0.2.8", "192.0.2.9", "::1")), seed=1, seconds=70)
