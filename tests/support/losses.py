"""Loses one load machine of two in a real run, or its coordinator: by one fault, in one phase, reached in one way.

The matrix is benchmarks/fleet_losses.py; a few of its cells are system tests.  The faults are real: signals, a link
that is taken down, a full file system.  Only clocks are not, because a process cannot have clocks of its own that leap:
there the agent's Python reads the clocks through a wrapper that leaps when it is told to.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from loadgen.model.units import NS_PER_S
from tests.support.cli import LOADGEN
from tests.support.cluster import Cluster
from tests.support.fleet_runs import FleetRun, Servers
from tests.support.loss_ends import End, wrong_after_kill, wrong_after_loss, wrong_after_nothing, wrong_after_stop
from tests.support.machines import HUB, Limits, Machines
from tests.support.small_disk import BYTES, filled, on_small_disk, small_disk_of

FAULTS = ("SIGKILL", "SIGSTOP", "link-down", "disk-full", "clock-step", "clock-leap")
"""Of a machine.  `clock-step`: the wall clock is set; `clock-leap`: CLOCK_MONOTONIC leaps, as after a suspension."""

KILLED, STOPPED = "coordinator-SIGKILL", "coordinator-SIGSTOP"
"""Faults of the coordinator; it is stopped for 5 s."""

WAYS = ("hosts", "listen", "scheduler")
PHASES = ("arming", "ramp-up", "window", "ramp-down", "closing")

STEP_S = 2 * 24 * 3600
LEAP_NS = 1_500_000_000
STOPPED_S = 5.0
ENDS_S = 60.0
"""The time within which the run must end after the fault."""

_PHASES = ("--iterations", "1", "--ramp-up", "2s", "--warmup", "1s", "--duration", "3s", "--ramp-down", "2s")
_LOAD = ("--connections", "4", "--engines", "1")
_MOMENTS = {
    # phase: (the text in a line of the run, seconds after that line)
    "arming": ("ramp-up 1/1", 0.1),  # the order is under way; it comes a second before the start
    "ramp-up": ("ramp-up 1/1", 2.0),
    "window": ("measuring 1/1", 1.2),
    "ramp-down": ("ramp-down 1/1", 0.5),
    "closing": ("finished", 0.0),
}
_EARLY = ("arming", "ramp-up", "window")

_LEAPING = """
import signal, sys, time
step, leap, wall, wall_ns, monotonic_ns = [0], [0], time.time, time.time_ns, time.monotonic_ns
time.time = lambda: wall() + step[0]
time.time_ns = lambda: wall_ns() + step[0] * 10**9
time.monotonic_ns = lambda: monotonic_ns() + leap[0]
signal.signal(signal.SIGUSR1, lambda number, frame: step.__setitem__(0, {step}))
signal.signal(signal.SIGUSR2, lambda number, frame: leap.__setitem__(0, {leap}))
from {module} import main
sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class Loss:
    """One cell of the matrix; `abort`: with `--on-loss abort`."""

    fault: str
    way: str
    phase: str
    abort: bool = False

    def __str__(self) -> str:
        return f"{self.fault} {self.way} {self.phase}{' abort' * self.abort}"


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a run: what is wrong with it (nothing, if all is well), and how it ended."""

    loss: Loss
    wrong: tuple[str, ...]
    code: int
    verdict: str
    took_s: float
    out: str
    err: str


def make(directory: Path, pairs: int) -> Machines:
    """Return pairs of machines, of which the first has a small disk for its spool."""
    return Machines(directory, 2 * pairs, {f"m{2 * pair + 1}": Limits(disk_bytes=BYTES) for pair in range(pairs)})


class Losses:
    """Plays cells one after the other on one pair of machines; several pairs play at the same time."""

    def __init__(self, machines: Machines, servers: Servers, directory: Path, pair: int) -> None:
        self._machines = machines
        self._servers = servers
        self._directory = directory
        self._victim, self._other = machines.names[2 * pair : 2 * pair + 2]
        self._played = 0
        self._leaping = {
            "loadgen": self._program("leaping-loadgen", "coordinator.cli"),
            "dask": self._program("leaping-dask", "dask.__main__"),
        }
        machines.loadgen("fleet", "certificates", "certs", "--workers", "2", cwd=directory)

    def play(self, loss: Loss) -> Ended:
        """Play a run, lose the machine, and look at the end of the run."""
        self._played += 1
        cwd = self._directory / f"{self._played:03}"
        cwd.mkdir()
        file, ports = self._servers.take(2)
        more = ("--on-loss", "abort") if loss.abort else ()
        with contextlib.ExitStack() as stack:
            run, victim = self._start(loss, cwd, ("--targets", file, *_LOAD, *_PHASES, *more), stack)
            text, wait_s = _MOMENTS[loss.phase]
            run.until("resetting 1/1")
            pid = run.process.pid if loss.fault in (KILLED, STOPPED) else victim()
            run.until(text)
            time.sleep(wait_s)
            at_ns = time.monotonic_ns()
            stack.enter_context(self._fault(loss.fault, pid))
            try:
                done = run.wait(ENDS_S)
            except subprocess.TimeoutExpired:
                run.process.kill()
                return Ended(loss, (f"it did not end within {ENDS_S:g} s",), -1, "", ENDS_S, "", run.err)
            took_s = (time.monotonic_ns() - at_ns) / NS_PER_S
            found = End(run=run, done=done, victim=self._victim, other=self._other)
            match loss.fault:
                case "coordinator-SIGKILL":
                    wrong = wrong_after_kill(found, self._machines, lambda: self._servers.last_ns(ports) - at_ns)
                case "coordinator-SIGSTOP":
                    wrong = wrong_after_stop(found)
                case "disk-full" | "clock-step":
                    wrong = wrong_after_nothing(found, full=loss.fault == "disk-full" and loss.phase in _EARLY)
                case _:
                    wrong = wrong_after_loss(
                        found,
                        closing=loss.phase == "closing",
                        counts=loss.phase in _EARLY and not loss.abort,
                    )
            verdict = str(run.document.get("verdict"))
            return Ended(loss, tuple(wrong), done.code, verdict, took_s, done.out, done.err)

    # Ways

    def _start(
        self, loss: Loss, cwd: Path, arguments: Sequence[str | Path], stack: contextlib.ExitStack
    ) -> tuple[FleetRun, Callable[[], int]]:
        """Start a run; returns it with what finds the pid of the victim's agent."""
        leaps = loss.fault.startswith("clock")
        match loss.way:
            case "hosts":
                hosts = cwd / "hosts.toml"
                command = {"command": str(self._leaping["loadgen"])} if leaps else {}
                hosts.write_text(tomli_w.dumps({"host": [{"name": self._victim, **command}, {"name": self._other}]}))
                run = FleetRun(self._machines, cwd, *arguments, "--hosts", hosts)
                return run, lambda: run.agent(self._victim)
            case "listen":
                certificates = self._directory / "certs"
                way = ("--listen", f"{HUB}:0", "--workers", "2", "--certs", certificates)
                run = FleetRun(self._machines, cwd, *arguments, *way)
                run.until("waiting for 2 workers")
                contact = run.err.partition("--join ")[2].split()[0]
                program = self._leaping["loadgen"] if leaps else None
                workers = [
                    self._join(name, contact, cwd, program if name == self._victim else None) for name in self._names
                ]
                for worker in workers:
                    stack.callback(_end, worker)
                return run, lambda: workers[0].pid
            case _:
                programs = {self._victim: self._leaping["dask"]} if leaps else {}
                cluster = Cluster(self._machines, cwd, self._names, programs=programs, small=self._victim)
                for process in (cluster.scheduler, *cluster.workers):
                    stack.callback(_end, process)
                run = FleetRun(self._machines, cwd, *arguments, "--scheduler", cluster.address, "--workers", "2")
                return run, lambda: cluster.workers[0].pid

    def _join(self, name: str, contact: str, cwd: Path, program: Path | None) -> subprocess.Popen[str]:
        number = self._names.index(name)
        certificate = self._directory / "certs" / f"worker-{number}.pem"
        spool = cwd / f"spool-{name}"
        spool.mkdir()
        arguments = ("--join", contact, "--cert", certificate, "--name", name, "--spool", spool)
        argv: tuple[str | Path, ...] = (program or LOADGEN, "worker", *arguments)
        if name == self._victim:
            argv = on_small_disk(spool, *argv)
        return self._machines.start_program(*argv, cwd=cwd, place=name)

    def _program(self, name: str, module: str) -> Path:
        code = _LEAPING.format(step=STEP_S, leap=LEAP_NS, module=module)
        path = self._directory / name
        source = self._directory / f"{name}.py"
        source.write_text(code)
        path.write_text(f'#!/bin/sh\nexec {sys.executable} -P {source} "$@"\n')
        path.chmod(0o755)
        return path

    @property
    def _names(self) -> tuple[str, str]:
        return self._victim, self._other

    # Faults

    @contextlib.contextmanager
    def _fault(self, fault: str, pid: int) -> Iterator[None]:
        """Inside, the fault is there; `pid` is the process that it hits, which may have ended by then."""
        match fault:
            case "coordinator-SIGSTOP":
                _kill(pid, signal.SIGSTOP)
                time.sleep(STOPPED_S)
                _kill(pid, signal.SIGCONT)
                yield
            case "SIGKILL" | "coordinator-SIGKILL":
                _kill(pid, signal.SIGKILL)
                yield
            case "SIGSTOP":
                _kill(pid, signal.SIGSTOP)
                yield
                _kill(pid, signal.SIGCONT)
            case "link-down":
                self._machines.cut(self._victim)
                yield
                self._machines.mend(self._victim)
            case "disk-full":
                with contextlib.ExitStack() as stack:
                    with contextlib.suppress(FileNotFoundError):
                        stack.enter_context(filled(small_disk_of(pid)))
                    yield
            case _:
                _kill(pid, signal.SIGUSR1 if fault == "clock-step" else signal.SIGUSR2)
                yield


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _end(process: subprocess.Popen[str]) -> None:
    """End a process that the test started, also a suspended one."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.kill(process.pid, signal.SIGCONT)
        process.terminate()
        process.wait(5)
        return
    process.kill()
