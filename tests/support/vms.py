"""Servers to test with: a tiny file set, and what /proc says of the processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from deploy.proc import children_of
from deploy.servers.base import WebServer
from deploy.servers.catalog import KINDS
from deploy.vms.local import LocalVms
from loadgen.model.plan import Server
from workloads.specweb99 import files

INSTALLED = {kind: find() for kind, find in KINDS.items()}

EVERY_SERVER = [
    pytest.param(
        server,
        id=kind.value,
        marks=[
            *([getattr(pytest.mark, f"needs_{kind.value}")] if kind is not Server.BUILTIN else []),
            pytest.mark.skipif(server is None, reason=f"{kind.value} is not installed"),
        ],
    )
    for kind, server in INSTALLED.items()
]


def needs(name: str) -> Any:
    """A parameter that is the name of a kind of server, left out where that is not installed."""
    missing = INSTALLED[Server(name)] is None
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason=f"{name} is not installed"))


def make_file_set(root: Path) -> Path:
    """One directory of the file set: enough for a server to be found serving."""
    for class_ in range(files.CLASSES):
        for num in range(files.FILES_PER_DIRECTORY // files.CLASSES):
            path = root / files.name(0, class_, num)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files.content(0, class_, num))
    return root


@contextmanager
def running(server: WebServer, docroots: Sequence[Path], base_port: int = 0) -> Iterator[LocalVms]:
    """VMs that run while the caller blocks as it likes."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        vms = LocalVms(server, docroots=docroots, connections=20, base_port=base_port)
        runner.run(vms.__aenter__())
        try:
            yield vms
        finally:
            runner.run(vms.stop())


def descendants(pid: int) -> list[int]:
    """Pids of all processes below this one."""
    children = children_of(pid)
    return children + [below for child in children for below in descendants(child)]


def is_running(pid: int) -> bool:
    """Whether the process is there and not merely waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def within(seconds: float, happened: Callable[[], bool]) -> bool:
    """Whether it happens in time."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
