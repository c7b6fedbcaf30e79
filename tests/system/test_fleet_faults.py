"""Faults of machines during a run: each is visible in time at the servers, on screen and in the record."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadgen.model.units import NS_PER_S
from tests.support.disturbed import ending
from tests.support.fleet_runs import GONE_S, SHORT, FleetRun, Servers, fleet, intervals_of
from tests.support.machines import Machines, needs_machines

pytestmark = needs_machines

World = tuple[Machines, Servers]

EVERYBODY = "m1,m2,m3,m4,m5,m6"


@dataclass(frozen=True)
class Fault:
    """A fault of a machine, and the expected texts on screen and in the result."""

    machine: str
    said: str
    reason: str
    left_there: bool  # whether a spool stays on the machine


FAULTS = {
    "agent-killed": Fault("m1", "machine m1 is lost: its connection ended", "Machine m1 (its connection ended)", True),
    "engine-killed": Fault("m2", "engine m2/0 is lost: killed by signal 9", "Worker m2/0 (killed by signal 9)", False),
    "agent-frozen": Fault("m3", "machine m3 is lost: silent for 2.", "Machine m3 (silent for 2.", True),
    "engine-frozen": Fault("m4", "engine m4/0 is lost: silent for 2.", "Worker m4/0 (silent for 2.", False),
    "link-cut": Fault("m5", "machine m5 is lost: silent for 2.", "Machine m5 (silent for 2.", True),
}


@dataclass
class FaultyRun:
    """A run in which every fault happens at the same time; a sixth machine has no fault.

    `known` are the intervals of each machine that the record had just before the faults.
    """

    run: FleetRun
    ports: list[int]
    known: dict[str, list[int]]
    at_ns: int
    mended_ns: int
    code: int
    out: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with fleet(tmp_path_factory, "faults", lambda directory: Machines(directory, 6), runs=1) as made:
        yield made


@pytest.fixture(scope="module")
def faulty_run(world: World, tmp_path_factory: pytest.TempPathFactory) -> FaultyRun:
    machines, servers = world
    file, ports = servers.take(16)
    arguments = ("--targets", file, "--connections", "2", "--hosts", EVERYBODY, "--duration", "7s")
    run = FleetRun(machines, tmp_path_factory.mktemp("bad-day"), *arguments, *SHORT)
    run.until("measuring 1/1")
    victims = (run.agent("m1"), run.engine("m2"), run.agent("m3"), run.engine("m4"))
    time.sleep(1)
    known = {name: intervals_of(run.snapshots, f"{name}/0") for name in machines.names}
    at_ns = time.monotonic_ns()
    for pid, number in zip(victims, (signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP, signal.SIGSTOP), strict=True):
        os.kill(pid, number)
    machines.cut("m5")
    time.sleep(GONE_S)
    machines.mend("m5")
    mended_ns = time.monotonic_ns()
    done = run.wait()
    return FaultyRun(run, ports, known, at_ns, mended_ns, done.code, done.out)


every_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


@every_fault
def test_a_loss_is_reported_by_name_within_three_seconds(fault: Fault, faulty_run: FaultyRun) -> None:
    told_ns = faulty_run.run.until(f"! {fault.said}", within_s=0)
    assert told_ns - faulty_run.at_ns < GONE_S * NS_PER_S


@every_fault
def test_traffic_of_lost_machines_stops_within_three_seconds(fault: Fault, faulty_run: FaultyRun, world: World) -> None:
    machines, servers = world
    seen = servers.seen(faulty_run.ports, machines.load_address(fault.machine))
    assert sum(0 < faulty_run.at_ns - request.at_ns < 2 * NS_PER_S for request in seen) >= 4
    assert seen[-1].at_ns - faulty_run.at_ns < GONE_S * NS_PER_S
    assert seen[-1].at_ns < faulty_run.mended_ns


@every_fault
def test_the_record_is_complete_up_to_the_loss(fault: Fault, faulty_run: FaultyRun) -> None:
    kept = intervals_of(faulty_run.run.snapshots, f"{fault.machine}/0")
    before = faulty_run.known[fault.machine]
    assert len(before) >= 3
    assert kept == list(range(len(kept)))
    assert kept[: len(before)] == before


def test_the_other_machines_continue_to_the_end(faulty_run: FaultyRun, world: World) -> None:
    machines, servers = world
    last_ns = servers.last_ns(faulty_run.ports, machines.load_address("m6"))
    assert last_ns - faulty_run.at_ns > 5 * NS_PER_S
    kept = intervals_of(faulty_run.run.snapshots, "m6/0")
    assert kept[:10] == list(range(10))  # ramps, warm-up and window
    (iteration,) = faulty_run.run.document["iterations"]
    assert iteration["complete"]


def test_the_verdict_names_lost_machines_and_their_connections(faulty_run: FaultyRun) -> None:
    document = faulty_run.run.document
    code, verdict = ending(document, 4, "DEGRADED")
    assert (faulty_run.code, document["exit_code"], document["verdict"]) == (code, code, verdict)
    placed = document["fleet"]["placement"]
    for fault in FAULTS.values():
        (reason,) = [one for one in document["reasons"] if fault.reason in one]
        count = placed["worker_of_connection"].count(placed["workers"].index(f"{fault.machine}/0"))
        assert f"with it {count} of 32 connections" in reason
        assert reason.count("vm") == count
    assert not [one for one in document["reasons"] if "m6 " in one or "m6/" in one]
    assert f"Verdict: {verdict} (exit code {code})" in faulty_run.out


def test_no_process_is_left_and_remaining_results_can_be_collected(
    faulty_run: FaultyRun, world: World, tmp_path: Path
) -> None:
    machines, _ = world
    assert faulty_run.run.nothing_left(), faulty_run.run.left()
    spools = {name: sorted(path.name for path in machines.state(name).rglob("*.spool")) for name in machines.names}
    there = {fault.machine for fault in FAULTS.values() if fault.left_there}
    assert spools == {name: [f"{name}.spool"] * (name in there) for name in machines.names}
    done = machines.loadgen("collect", faulty_run.run.record, cwd=tmp_path)
    said = dict(line.split(": ", 1) for line in done.out.splitlines())
    for name in machines.names:
        expected = "added to the record" if name in there else "there is no spool of"
        assert expected in said[name]
    # The engine behind the cut link continued until its lease ended, and its agent kept all its results.
    cut_off = intervals_of(faulty_run.run.snapshots, "m5/0")
    assert cut_off == list(range(len(cut_off)))
    assert len(cut_off) >= len(faulty_run.known["m5"]) + 2
    assert not [path for name in machines.names for path in machines.state(name).rglob("*.spool")]
