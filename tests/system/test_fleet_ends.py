"""The end of runs on several machines that must stop, or can hardly begin: nothing is left on any machine.

All runs of this module are in progress at the same time, each for a minute unless a test ends it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from loadgen.model.units import NS_PER_S
from tests.support.disturbed import ending
from tests.support.fleet_runs import GONE_S, SHORT, FleetRun, Servers, fleet, intervals_of
from tests.support.machines import CHANGED, REFUSING, SILENT, UNKNOWN, Limits, Machines, needs_machines
from tests.support.vms import within

pytestmark = needs_machines

SMALL, FEW = "m4", "m5"
"""Machines with almost no disk space, and with 64 file descriptors."""

UNUSABLE = {
    "old": "it has loadgen 0.0.1, the coordinator has ",
    UNKNOWN: " is unknown (SHA256:",
    CHANGED: " differs from the one in known_hosts: ",
    REFUSING: "it refuses root at ",
    SILENT: "it does not answer at ",
    SMALL: "it has only ",
    FEW: "an engine needs 72 open files, but may have 64 ",
}
"""Hosts that cannot be used, with the reported reasons; `old` has another version of loadgen."""

SLOW = ("--line-speed", "100k", "--bound", "rate:80k")


class Runs:
    """The runs, which are started one after the other while tests use the first ones."""

    def __init__(self, machines: Machines, servers: Servers, directory: Path) -> None:
        self.machines, self.servers = machines, servers
        self._directory = directory
        self._runs: dict[str, tuple[FleetRun, list[int]]] = {}
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._start_all, daemon=True)
        self._thread.start()

    def _start_all(self) -> None:
        hosts = _hosts_file(self._directory)
        self._start("killed", 4, "m1,m2")
        self._start("left-out", 16, hosts, "--duration", "2s", *SLOW)
        self._start("frozen", 4, "m1,m2")
        self._start("interrupted", 4, "m1,m2")
        self._start("interrupted-twice", 4, "m1,m2")
        self._start("aborted", 4, "m1,m2,m3", "--on-loss", "abort")
        self._start("refused", 4, f"m1,{REFUSING}", "--on-loss", "abort")
        self.over.wait()  # the processes of a thread end with the thread

    def _start(self, name: str, vms: int, hosts: str | Path, *more: str) -> None:
        file, ports = self.servers.take(vms)
        arguments = ("--targets", file, "--connections", "5", "--hosts", hosts, "--duration", "60s", *SHORT, *more)
        run = FleetRun(self.machines, self._directory / name, *arguments)
        self._runs[name] = run, ports
        if name != "left-out":  # this run waits for a host that does not answer
            within(20, lambda: "compiling" in run.err or run.process.poll() is not None)

    def __getitem__(self, name: str) -> tuple[FleetRun, list[int]]:
        """Return a run, once it is started, and the ports of its targets."""
        assert within(60, lambda: name in self._runs), f"{name} was not started"
        return self._runs[name]

    def measuring(self, name: str) -> tuple[FleetRun, list[int]]:
        """Return a run, once it measures, and the ports of its targets."""
        run, ports = self[name]
        run.until("measuring 1/1")
        assert within(30, lambda: time.monotonic_ns() - self.servers.last_ns(ports) < NS_PER_S // 2)
        return run, ports

    def off_after_s(self, ports: list[int], at_ns: int) -> float:
        """Return how long after `at_ns` the last request arrived, once the time limit for it is over."""
        time.sleep(max(0.0, GONE_S + 0.5 - (time.monotonic_ns() - at_ns) / NS_PER_S))
        return (self.servers.last_ns(ports) - at_ns) / NS_PER_S


def _hosts_file(directory: Path) -> Path:
    """Return a file for --hosts with the first machine and all unusable hosts."""
    program = directory / "old-loadgen"
    code = 'import loadgen, sys; loadgen.__version__ = "0.0.1"; from coordinator.cli import main; sys.exit(main())'
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -P -c '{code}' \"$@\"\n")
    program.chmod(0o755)
    own = {"old": {"address": "m2", "command": str(program)}}
    path = directory / "hosts.toml"
    path.write_text(tomli_w.dumps({"host": [{"name": name, **own.get(name, {})} for name in ("m1", *UNUSABLE)]}))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    limits = {SMALL: Limits(disk_bytes=65536), FEW: Limits(open_files=64)}
    with fleet(tmp_path_factory, "ends", lambda directory: Machines(directory, 5, limits), runs=3) as (
        machines,
        servers,
    ):
        made = Runs(machines, servers, tmp_path_factory.mktemp("runs"))
        yield made
        made.over.set()


def test_after_a_coordinator_is_killed_traffic_stops_and_its_run_can_be_collected(runs: Runs) -> None:
    run, ports = runs.measuring("killed")
    time.sleep(1.3)
    at_ns = time.monotonic_ns()
    run.process.kill()
    run.wait()
    assert run.nothing_left(), run.left()
    kept = {name: intervals_of(run.snapshots, f"{name}/0") for name in ("m1", "m2")}
    before, cwd = run.document, run.record.parent

    shown = runs.machines.loadgen("show", "run", cwd=cwd)
    assert shown.code == 0
    assert "The run was cut off before it wrote its result." in shown.out
    done = runs.machines.loadgen("collect", "run", cwd=cwd)
    assert (done.code, done.err) == (0, "")
    for name in ("m1", "m2"):
        now = intervals_of(run.snapshots, f"{name}/0")
        assert now == list(range(len(now)))
        assert len(now) > len(kept[name]) >= 2
        new = len(now) - len(kept[name])
        plural = "" if new == 1 else "s"
        assert f"{name}: {new} interval{plural} added to the record" in done.out.splitlines()
        assert not list(runs.machines.state(name).rglob(f"{run.run_id}/*"))
    assert run.document == before
    assert runs.machines.loadgen("show", "run", cwd=cwd).code == 0

    again = runs.machines.loadgen("collect", "run", cwd=cwd)
    assert again.code == 1
    assert all("there is no spool of" in line for line in again.out.splitlines())
    assert runs.off_after_s(ports, at_ns) < GONE_S


def test_a_suspended_coordinator_loses_its_traffic_and_blames_no_machine(runs: Runs) -> None:
    run, ports = runs.measuring("frozen")
    at_ns = time.monotonic_ns()
    os.kill(run.process.pid, signal.SIGSTOP)
    assert runs.off_after_s(ports, at_ns) < GONE_S
    os.kill(run.process.pid, signal.SIGCONT)
    done = run.wait(60)
    document = run.document
    assert (done.code, document["verdict"]) == (3, "INVALID"), document["reasons"]
    assert any("lease expired" in note for note in document["notes"])
    assert run.nothing_left(), run.left()


def test_ctrl_c_stops_all_machines(runs: Runs) -> None:
    run, ports = runs.measuring("interrupted")
    at_ns = time.monotonic_ns()
    os.kill(run.process.pid, signal.SIGINT)
    done = run.wait(30)
    assert (done.code, run.document["verdict"]) == (130, "interrupted"), done.err
    assert "Verdict: INTERRUPTED" in done.out
    assert run.nothing_left(), run.left()
    assert runs.servers.last_ns(ports) - at_ns < NS_PER_S


def test_a_second_ctrl_c_does_not_wait(runs: Runs) -> None:
    """One agent is suspended and does not answer; the second Ctrl-C does not wait for it."""
    run, ports = runs.measuring("interrupted-twice")
    os.kill(run.agent("m2"), signal.SIGSTOP)
    at_ns = time.monotonic_ns()
    os.kill(run.process.pid, signal.SIGINT)
    time.sleep(0.05)
    os.kill(run.process.pid, signal.SIGINT)
    done = run.wait(30)
    assert done.code == 130, done.err
    assert run.nothing_left(), run.left()
    assert runs.off_after_s(ports, at_ns) < GONE_S


def test_with_abort_a_loss_ends_the_run(runs: Runs) -> None:
    run, ports = runs.measuring("aborted")
    at_ns = time.monotonic_ns()
    os.kill(run.agent("m3"), signal.SIGKILL)
    done = run.wait(60)
    assert (done.code, run.document["verdict"]) == ending(run.document, 4, "DEGRADED"), done.err
    assert run.nothing_left(), run.left()
    assert (runs.servers.last_ns(ports) - at_ns) / NS_PER_S < GONE_S


def test_unusable_hosts_are_left_out_and_named(runs: Runs) -> None:
    """The run continues with the other hosts, and ends normally."""
    run, _ = runs["left-out"]
    done = run.wait()
    document = run.document
    missing = document["fleet"]["missing"]
    assert sorted(missing) == sorted(UNUSABLE)
    for name, why in UNUSABLE.items():
        assert why in missing[name]
        line = f"load machine {name} is left out: {missing[name]}"
        assert f"! {line}" in done.err.splitlines()
        assert line in document["notes"]
    assert [machine["name"] for machine in document["fleet"]["machines"]] == ["m1"]
    assert set(document["fleet"]["placement"]["workers"]) == {"m1/0"}
    assert document["iterations"][0]["complete"]
    assert not [reason for reason in document["reasons"] if "lost" in reason]
    assert done.code == document["exit_code"] != 4
    assert run.nothing_left(), run.left()


def test_with_abort_an_unusable_host_prevents_the_run(runs: Runs) -> None:
    run, ports = runs["refused"]
    done = run.wait()
    assert (done.code, done.out) == (3, "")
    _, said, hint = done.err.splitlines()
    assert said.startswith(f"loadgen: a load machine cannot be used: {REFUSING}: it refuses root at ")
    assert hint.startswith("hint: ")
    assert not runs.servers.seen(ports)
    assert run.nothing_left(), run.left()
