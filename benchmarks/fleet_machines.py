"""The simulated machines of a measurement, as benchmarks/fleet_coordinator.py reaches them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from coordinator.fleet.certificates import Authority
from coordinator.fleet.dask.hub import Hub
from coordinator.fleet.ways import Joined, Line

HOST = "127.0.0.1"
_JOIN_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The parameters of a measurement: `agents` machines with `engines` engines each play `connections` with each of
    `targets`.

    The traffic lasts `seconds`; then the machines are stopped `stops` times.  `profile` samples the coordinator's CPU
    time, which itself costs CPU time.
    """

    agents: int
    seconds: float
    tls: bool
    profile: bool
    engines: int
    targets: int
    connections: int
    per_process: int
    core: int
    agents_cores: list[int]
    stops: int


class SimulatedWay:
    """A Way to simulated machines; each process holds several tens of machines."""

    def __init__(self, question: Question, directory: Path) -> None:
        self._question = question
        self._directory = directory
        self._authority = Authority() if question.tls else None
        self._hub = Hub([HOST], 0, self._authority.issue("coordinator") if self._authority else None)
        self._stack = contextlib.AsyncExitStack()
        self._processes: list[subprocess.Popen[str]] = []
        self.joined_s = 0.0

    @property
    def line(self) -> Line:
        return self._hub

    @property
    def missing(self) -> Mapping[str, str]:
        return {}

    async def open(self) -> tuple[Joined, ...]:
        began_s = time.monotonic()
        await self._stack.enter_async_context(self._hub)
        names = [f"m{number:03}" for number in range(self._question.agents)]
        for first in range(0, len(names), self._question.per_process):
            self._begin(names[first : first + self._question.per_process])
        await asyncio.gather(*(asyncio.to_thread(_line, process) for process in self._processes))
        joined = await self._hub.joined(names, _JOIN_S)
        self.joined_s = time.monotonic() - began_s
        return tuple(Joined(name=name, address=joined[name]) for name in names)

    def cpu_s(self) -> float:
        """CPU time of all processes of simulated machines so far."""
        fields = [
            Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split() for process in self._processes
        ]
        return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")

    async def notes(self) -> list[dict[str, Any]]:
        """Return the notes of all processes."""
        for process in self._processes:
            _write(process, "report")
        lines = await asyncio.gather(*(asyncio.to_thread(_line, process) for process in self._processes))
        return [json.loads(line) for line in lines]

    async def lose(self, name: str) -> None:
        pass

    async def close(self) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        await asyncio.gather(*(asyncio.to_thread(process.wait, 60) for process in self._processes))
        for process in self._processes:
            assert process.stdout is not None
            process.stdout.close()
        await self._stack.aclose()

    def _begin(self, names: list[str]) -> None:
        credentials = {name: dataclasses.asdict(self._authority.issue(name)) for name in names if self._authority}
        scene = {
            "scheduler": self._hub.contact(HOST),
            "names": names,
            "credentials": credentials,
            "spool": str(self._directory),
        }
        process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).parent / "fleet_agents.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, self._question.agents_cores),
        )
        self._processes.append(process)
        _write(process, json.dumps(scene))


def _write(process: subprocess.Popen[str], line: str) -> None:
    pipe: IO[str] | None = process.stdin
    assert pipe is not None
    print(line, file=pipe, flush=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    if not (line := process.stdout.readline()):
        raise SystemExit("a process of simulated machines has ended")
    return line
