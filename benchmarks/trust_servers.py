"""The servers of the trust benchmark: they start on the core of the servers, and end with their context."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.engine_responder import serving
from benchmarks.trust_places import Places, Spot, join
from deploy.proc import children_of

LOADGEN = str(Path(sys.executable).with_name("loadgen"))
_SCRIPTED = str(Path(__file__).with_name("trust_server.py"))
_VMS = 4
_END_S = 5.0


@dataclass(frozen=True, slots=True)
class Served:
    """Running servers: the arguments of `loadgen` that name them, their processes, and the truth if they record it.

    `pids`: one sequence for each server.  `truth`: requests by response time in µs, as the responder counts them.
    """

    arguments: tuple[str, ...]
    pids: Sequence[Sequence[int]]
    truth: Callable[[], NDArray[np.int64]] | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """What servers need to start: the places, the compiled responder, and a directory for files."""

    places: Places
    responder: Path
    scratch: Path


Serve = Callable[[Stage], AbstractContextManager[Served]]


def responder(delay_us: int) -> Serve:
    """The responder in C: it takes this long for each request.  It always runs in this network namespace."""

    @contextlib.contextmanager
    def serve(stage: Stage) -> Iterator[Served]:
        spot = stage.places.servers
        with serving(stage.responder, min(spot.cores), delay_us=delay_us) as made:
            if spot.group is not None:
                join(spot.group, made.pid)
            yield Served((made.url(100),), [[made.pid]], made.truth if delay_us else None)

    return serve


def scripted(mode: str, *, delay_ms: float = 2.0) -> Serve:
    """The server that misbehaves (trust_server.py)."""

    @contextlib.contextmanager
    def serve(stage: Stage) -> Iterator[Served]:
        spot = stage.places.servers
        argv = [sys.executable, _SCRIPTED, spot.host, str(delay_ms), mode]
        with _started(spot, argv, r"(\d+)\n") as (port, pid):
            yield Served((f"http://{spot.host}:{port}/",), [[pid]])

    return serve


@contextlib.contextmanager
def refusing(stage: Stage) -> Iterator[Served]:
    """An address at which nobody listens."""
    yield Served((f"http://{stage.places.servers.host}:9/",), [])


def web_servers(*, and_404: bool = False) -> Serve:
    """Four web servers for `loadgen spec`, and another that knows no file."""

    @contextlib.contextmanager
    def serve(stage: Stage) -> Iterator[Served]:
        spot = stage.places.servers
        argv = [LOADGEN, "serve", "--port", "0", "--connections", "20"]
        with contextlib.ExitStack() as ends:
            processes = [ends.enter_context(_running(spot, argv)) for _ in range(_VMS)]
            addresses = [_address(process, r":(\d+)/") for process in processes]
            pids = [_below(process.pid) for process in processes]
            if and_404:
                port, pid = ends.enter_context(
                    _started(spot, [sys.executable, _SCRIPTED, spot.host, "2", "404"], r"(\d+)\n")
                )
                addresses.append(port)
                pids.append([pid])
            targets = stage.scratch / "targets.toml"
            targets.write_text(
                "".join(
                    f'[[target]]\nname = "vm{number}"\nhost = "{spot.host}"\nport = {port}\n'
                    for number, port in enumerate(addresses, start=1)
                )
            )
            yield Served(("--targets", str(targets)), pids)

    return serve


@contextlib.contextmanager
def iperf_server(stage: Stage) -> Iterator[Served]:
    """The far end of `loadgen iperf`."""
    spot = stage.places.servers
    with _started(spot, [LOADGEN, "iperf", "-s", "-p", "0", "--host", spot.host], r":(\d+) ") as (port, pid):
        yield Served((spot.host, "-p", port), [[pid, *_below(pid)]])


@contextlib.contextmanager
def nothing(stage: Stage) -> Iterator[Served]:
    """No server: `loadgen forward` starts all ends itself."""
    yield Served((), [])


@contextlib.contextmanager
def _started(spot: Spot, argv: Sequence[str], pattern: str) -> Iterator[tuple[str, int]]:
    """A process inside the context; yields the port that it prints, and its pid."""
    with _running(spot, argv) as process:
        yield _address(process, pattern), process.pid


@contextlib.contextmanager
def _running(spot: Spot, argv: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    process = spot.start(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()  # so that it ends its own processes, and collects their CPU times
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _address(process: subprocess.Popen[str], pattern: str) -> str:
    """The port in the output of a server that has started."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(pattern, line):
            return found[1]
    raise SystemExit(f"a server did not start: {' '.join(said.split())}")


def _below(pid: int) -> list[int]:
    """The descendants of a process."""
    children = children_of(pid)
    return children + [below for child in children for below in _below(child)]
