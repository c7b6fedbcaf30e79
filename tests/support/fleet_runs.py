"""Runs of `loadgen spec` on load machines, observed from outside: the requests at the servers, and the records."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from coordinator.record.frames import frames
from loadgen.measure.snapshot import Snapshot
from tests.support.cli import Done, alive
from tests.support.machines import SERVERS, Machines, commands
from tests.support.vms import within
from workloads.specweb99 import files, fileset

GONE_S = 3.0
"""The time within which traffic must end, a loss must be reported, and processes must be gone."""

SHORT = ("--iterations", "1", "--ramp-up", "1s", "--warmup", "1s", "--ramp-down", "1s", "--engines", "1")
"""A run with one engine on each machine; its window is given by --duration."""

_TARGETS_EACH = 16

_RECORDING = """
import asyncio, sys, tempfile, time
from pathlib import Path
from aiohttp import web
from workloads.specweb99.app import AppConfig, create_app
address, count, docroot, log = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), open(sys.argv[4], "a", buffering=1)
@web.middleware
async def record(request, handler):
    if "aiohttp" not in request.headers.get("User-Agent", ""):  # that is the coordinator: Reset, and the logs
        port = request.transport.get_extra_info("sockname")[1]
        words = (time.monotonic_ns(), request.remote, port, request.method, request.raw_path,
                 request.headers.get("Cookie", ""), (await request.read()).decode("latin-1"))
        log.write("\\t".join(map(str, words)) + "\\n")
    return await handler(request)
async def serve(home):
    ports = []
    for number in range(count):
        workdir = Path(home) / str(number)
        workdir.mkdir()
        app = create_app(AppConfig(docroot=docroot, workdir=workdir))
        app.middlewares.append(record)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, address, 0).start()
        ports.append(runner.addresses[0][1])
    print(*ports, flush=True)
    await asyncio.to_thread(sys.stdin.read)
with tempfile.TemporaryDirectory() as home:
    asyncio.run(serve(home))
"""


@dataclass(frozen=True, slots=True)
class Request:
    """A request at a server: its time (CLOCK_MONOTONIC), client, port, and all parts that identify it."""

    at_ns: int
    address: str
    port: int
    what: str


class Servers:
    """Web servers in the middle that record each request of the load; `take` reserves some of them for a run."""

    def __init__(self, machines: Machines, directory: Path, docroot: Path, runs: int) -> None:
        self._directory = directory
        self._log = directory / "requests.log"
        self._log.touch()
        arguments: tuple[str | Path, ...] = (SERVERS, str(runs * _TARGETS_EACH), docroot, self._log)
        self._child = machines.start_program(
            sys.executable, "-P", "-c", _RECORDING, *arguments, cwd=directory, place="middle", stdin=subprocess.PIPE
        )
        self._free: list[int] = []
        self._taking = threading.Lock()

    def take(self, count: int) -> tuple[Path, list[int]]:
        """Return a file for `--targets`, and the ports in it."""
        assert self._child.stdout is not None
        with self._taking:
            if not self._free:
                self._free = list(map(int, self._child.stdout.readline().split()))
            ports, self._free = self._free[:count], self._free[count:]
        assert len(ports) == count, "there are servers for more runs"
        path = self._directory / f"targets-{ports[0]}.toml"
        shown = [{"name": f"vm{i + 1:02}", "host": SERVERS, "port": port} for i, port in enumerate(ports)]
        path.write_text(tomli_w.dumps({"target": shown}))
        return path, ports

    def seen(self, ports: Sequence[int], address: str = "") -> list[Request]:
        """Return the requests at these ports, from one address or from any, in order."""
        wanted = set(map(str, ports))
        found = []
        for line in self._log.read_text().splitlines():
            at_ns, who, port, what = line.split("\t", 3)
            if port in wanted and address in ("", who):
                found.append(Request(int(at_ns), who, int(port), what))
        return found

    def last_ns(self, ports: Sequence[int], address: str = "") -> int:
        """Return the time of the last of these requests; 0 when there are none."""
        return max((request.at_ns for request in self.seen(ports, address)), default=0)


def docroot(factory: pytest.TempPathFactory, connections: int = 5) -> Path:
    """Return a file set for servers with this many connections, made once for all tests of a session."""
    root = factory.getbasetemp() / "fleet-file-set"
    return fileset.ensure(root, files.directories(connections), lambda done, total: None).root


class FleetRun:
    """A `loadgen spec` in the hub that writes its record to `out`; its stderr is read continuously."""

    def __init__(self, machines: Machines, cwd: Path, *arguments: str | Path, out: str = "run") -> None:
        cwd.mkdir(exist_ok=True)
        self._machines = machines
        self.record = cwd / out
        self.lines: list[tuple[int, str]] = []
        self.process = machines.start("spec", *arguments, "--out", out, cwd=cwd)
        self._out = ""
        self._run_id = ""
        self._readers = [threading.Thread(target=work, daemon=True) for work in (self._read_out, self._read_err)]
        for reader in self._readers:
            reader.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        self._out = self.process.stdout.read()

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if not self._run_id:
                self._identified()  # now, because a run that cannot be begun leaves no record
            self.lines.append((time.monotonic_ns(), line.rstrip("\n")))

    @property
    def err(self) -> str:
        """Return the stderr so far."""
        return "\n".join(line for _, line in self.lines)

    def until(self, text: str, within_s: float = 30) -> int:
        """Wait until stderr has a line with this text; returns when the line was read, in ns."""
        found: list[int] = []

        def said() -> bool:
            found[:] = [at_ns for at_ns, line in list(self.lines) if text in line]
            return bool(found) or not any(reader.is_alive() for reader in self._readers)

        assert within(within_s, said), f"not said in time: {text!r}; but:\n{self.err}"
        assert found, f"it ended without saying {text!r}; but:\n{self.err}"
        return found[0]

    def wait(self, timeout_s: float = 60) -> Done:
        """Wait for the end of the run; returns its exit code and output."""
        self.process.wait(timeout_s)
        for reader in self._readers:
            reader.join(5)
        return Done(self.process.returncode, self._out, self.err)

    @property
    def document(self) -> dict[str, Any]:
        """Return the run.json of the run's record."""
        found = json.loads((self.record / "run.json").read_text())
        assert isinstance(found, dict)
        return found

    @property
    def snapshots(self) -> list[Snapshot]:
        """Return the reports of the engines from the record."""
        return list(frames(self.record))

    def _identified(self) -> bool:
        """Note the id of the run while it has a record; True when the id is known or the run has ended."""
        with contextlib.suppress(FileNotFoundError):
            self._run_id = str(self.document["fleet"]["run_id"])
        return bool(self._run_id) or self.process.poll() is not None

    @property
    def run_id(self) -> str:
        """Return the id of the run, as its agents know it."""
        if not self._run_id:
            self._identified()
        assert self._run_id, "the run had no record yet"
        return self._run_id

    def agent(self, name: str) -> int:
        """Return the pid of its agent on a machine."""
        (found,) = commands(self._machines.processes(name), f"worker --stdin {self.run_id}/")
        return found

    def engine(self, name: str) -> int:
        """Return the pid of its engine on a machine; with several engines, the first."""
        return min(commands(self._machines.processes(name), f"loadgen.engine {self.run_id}"))

    def left(self) -> dict[str, dict[int, str]]:
        """Return the processes of the run that are left on the machines: by machine, command lines by pid."""
        run_id = self.run_id
        found = {name: self._machines.processes(name) for name in self._machines.names}
        ours = {
            name: {pid: command for pid, command in one.items() if run_id in command and alive(pid)}
            for name, one in found.items()
        }
        return {name: one for name, one in ours.items() if one}

    def nothing_left(self, within_s: float = GONE_S) -> bool:
        """Whether no process of the run is left on the machines within the time limit."""
        return within(within_s, lambda: not self.left())


def intervals_of(snapshots: Sequence[Snapshot], worker: str) -> list[int]:
    """Return the numbers of the intervals that a worker has reported, in order."""
    return sorted({snapshot.interval for snapshot in snapshots if snapshot.worker == worker})


@contextmanager
def fleet(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Machines], *, runs: int
) -> Iterator[tuple[Machines, Servers]]:
    """Yield machines, and servers for `runs` runs."""
    directory = factory.mktemp(name)
    with make(directory) as machines:
        yield machines, Servers(machines, directory, docroot(factory), runs)
