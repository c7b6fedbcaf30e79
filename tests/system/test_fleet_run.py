"""Complete runs on three machines, reached in each way: started together, judged, compared with a local run."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import coordinator.record
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.cluster import Cluster
from tests.support.disturbed import disturbed, ending, headline, score
from tests.support.fleet_runs import SHORT, FleetRun, Servers, docroot, fleet, intervals_of
from tests.support.machines import HUB, Machines, needs_machines
from tests.support.vms import within

pytestmark = needs_machines

TRIES = 3
MAX_SKEW_NS = 100 * NS_PER_MS
"""The limit of the verdict (loadgen.verdict.rules).  How small the skew is depends on how busy this machine is; the
clock of one machine is ahead by a thousand seconds or more.
"""
HAS_TIME_NAMESPACES = Path("/proc/self/ns/time").exists()
AHEAD_S = random.randrange(1000, 10_000_000) if HAS_TIME_NAMESPACES else 0
"""The seconds by which the clock of the second machine is ahead."""

needs_time_namespaces = pytest.mark.skipif(
    not HAS_TIME_NAMESPACES and os.environ.get("CI") != "true", reason="this kernel has no time namespaces"
)

World = tuple[Machines, Servers]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    def make(directory: Path) -> Machines:
        return Machines(directory, 3, clocks={"m2": AHEAD_S})

    with fleet(tmp_path_factory, "run", make, runs=4) as made:
        yield made


@pytest.fixture(scope="module")
def over_ssh(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[FleetRun, int, str]:
    """A run by SSH on 16 real servers: the run, its exit code, and its output."""
    machines, _ = world
    targets = machines.targets(machines.serve(docroot(tmp_path_factory), connections=3))
    cwd = tmp_path_factory.mktemp("over-ssh")
    arguments = ("--vms", "16", "--connections", "3", "--targets", targets, "--hosts", "m1,m2,m3", "--duration", "4s")
    for number in range(TRIES):
        run = FleetRun(machines, cwd, *arguments, *SHORT, out=f"run-{number}")
        done = run.wait()
        if not disturbed(run.document):
            break
    return run, done.code, done.out


def test_a_run_on_three_machines_over_ssh_conforms(over_ssh: tuple[FleetRun, int, str], world: World) -> None:
    run, code, out = over_ssh
    document = run.document
    assert (code, document["verdict"]) == ending(document, 0, "conforming"), document["reasons"]
    assert document["conforming_connections"] == score(document, 48)
    assert headline(document, "48 of 48 requested connections conform") in out
    assert "Load machines" in out
    for name in world[0].names:
        assert any(line.split()[:4] == [name, str(os.cpu_count()), "1", "16"] for line in out.splitlines())
        assert intervals_of(run.snapshots, f"{name}/0")[:7] == list(range(7))
    assert all("machines=3/3" in line for _, line in run.lines if "conforming=" in line)
    schema = json.loads((Path(coordinator.record.__file__).parent / "run.schema.json").read_text())
    jsonschema.validate(document, schema)
    assert run.nothing_left(), run.left()
    assert not [path for name in world[0].names for path in world[0].state(name).rglob("*.spool")]


def test_every_machine_drives_every_vm(over_ssh: tuple[FleetRun, int, str]) -> None:
    placed = over_ssh[0].document["fleet"]["placement"]
    workers, of = placed["workers"], placed["worker_of_connection"]
    assert sorted(workers) == ["m1/0", "m2/0", "m3/0"]
    assert [of.count(worker) for worker in range(3)] == [16, 16, 16]
    by_vm = [tuple(of[3 * vm : 3 * vm + 3]) for vm in range(16)]
    assert all(sorted(three) == [0, 1, 2] for three in by_vm)
    assert len(set(by_vm)) > 1


@needs_time_namespaces
def test_clock_offsets_are_within_their_error_bounds(over_ssh: tuple[FleetRun, int, str]) -> None:
    document = over_ssh[0].document
    machines = {one["name"]: one for one in document["fleet"]["machines"]}
    for name, true_ns in (("m1", 0), ("m2", AHEAD_S * NS_PER_S), ("m3", 0)):
        one = machines[name]
        assert 0 < one["error_ns"] < MAX_SKEW_NS
        assert abs(one["offset_ns"] - true_ns) <= one["error_ns"]


def test_all_machines_start_together(over_ssh: tuple[FleetRun, int, str]) -> None:
    document = over_ssh[0].document
    assert list(document["fleet"]["start_skew_ns"]) == ["0"]
    assert 0 < document["fleet"]["start_skew_ns"]["0"] < MAX_SKEW_NS
    assert any(check["name"] == "start skew" for check in document["trust"]["checks"])


@pytest.fixture(scope="module")
def same_load(over_ssh: object, world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One load played locally and in three ways on three machines: by way, the run and the requests at each VM."""
    machines, servers = world
    directory = tmp_path_factory.mktemp("same-load")
    ports: dict[str, list[int]] = {}
    runs: dict[str, FleetRun] = {}

    def start(way: str, *more: str | Path) -> None:
        file, ports[way] = servers.take(16)
        load = ("--targets", file, "--connections", "1", "--duration", "3s", "--seed", "7")
        runs[way] = FleetRun(machines, directory / way, *load, *SHORT, *more)

    start("local")  # alone: beside three fleets that start, this run would be too slow
    runs["local"].wait()
    certificates = directory / "certs"
    machines.loadgen("fleet", "certificates", certificates, "--workers", "3", cwd=directory)
    cluster = Cluster(machines, directory, machines.names)
    start("join", "--listen", f"{HUB}:0", "--workers", "3", "--certs", certificates)
    runs["join"].until("waiting for 3 workers")
    contact = runs["join"].err.partition("--join ")[2].split()[0]
    joined = [
        machines.start(
            *("worker", "--join", contact, "--cert", certificates / f"worker-{number}.pem", "--name", name),
            cwd=directory,
            place=name,
        )
        for number, name in enumerate(machines.names)
    ]
    start("scheduler", "--scheduler", cluster.address, "--workers", "3")
    start("ssh", "--hosts", "m1,m2,m3")
    for run in runs.values():
        run.wait()
    assert within(5, lambda: all(worker.poll() is not None for worker in joined))
    assert all(process.poll() is None for process in (cluster.scheduler, *cluster.workers))
    return {
        "runs": runs,
        "asked": {way: [[one.what for one in servers.seen([port])] for port in ports[way]] for way in ports},
        "joined": [worker.communicate() for worker in joined],
        "worker codes": [worker.returncode for worker in joined],
    }


@pytest.mark.parametrize("way", ["ssh", "scheduler", "join"])
def test_each_connection_plays_the_operations_of_the_local_run(way: str, same_load: dict[str, Any]) -> None:
    """Each VM has one connection, so the requests at a VM are the operations of this connection."""
    local, here = same_load["asked"]["local"], same_load["asked"][way]
    assert sum(map(len, local)) > 200
    for ours, theirs in zip(here, local, strict=True):
        count = min(len(ours), len(theirs))
        assert ours[:count] == theirs[:count]
        assert abs(len(ours) - len(theirs)) <= 10  # operations due just at the end; small files take milliseconds
    counts = [sum(map(len, one)) for one in (here, local)]
    # A machine that did not play, or a share that was played twice, changes the number by a third or more; on a busy
    # machine all paced connections are some tenths of a second late, of 3 s, and conform down to 80 % of their rate.
    assert abs(counts[0] - counts[1]) <= counts[1] / 5


@pytest.mark.parametrize("way", ["scheduler", "join"])
def test_other_ways_reach_the_same_machines(way: str, same_load: dict[str, Any], world: World) -> None:
    run = same_load["runs"][way]
    document = run.document
    assert document["verdict"] == "conforming" or disturbed(document), document["reasons"]
    assert document["conforming_connections"] == score(document, 16)
    assert document["fleet"]["way"] == way
    assert sorted(one["name"] for one in document["fleet"]["machines"]) == ["m1", "m2", "m3"]
    assert not document["fleet"]["missing"]
    for name in world[0].names:
        assert intervals_of(run.snapshots, f"{name}/0")[:6] == list(range(6))
    assert run.nothing_left(), run.left()


def test_an_unencrypted_cluster_causes_a_warning(same_load: dict[str, Any]) -> None:
    lines = [line for _, line in same_load["runs"]["scheduler"].lines]
    assert any("is not encrypted" in line for line in lines)
    assert not [line for line in lines if "Warning" in line or "Traceback" in line]


def test_joined_workers_report_their_state_and_end(same_load: dict[str, Any]) -> None:
    assert same_load["worker codes"] == [0, 0, 0]
    for name, (out, err) in zip(("m1", "m2", "m3"), same_load["joined"], strict=True):
        assert out == ""
        first, last = err.splitlines()
        assert first.startswith(f"{name} waits up to 10m for the coordinator at {HUB}:")
        assert last == f"{name} ends: the coordinator has ended"
