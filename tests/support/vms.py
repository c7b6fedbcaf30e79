"""Servers for tests: a small file set, requests for VMs that serve it, and the processes of a deployment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from deploy.proc import children_of
from deploy.servers.base import WebServer
from deploy.servers.catalog import KINDS
from deploy.vms.api import VmRequest
from deploy.vms.local import LocalVms
from loadgen.model.plan import Server
from workloads.specweb99 import files
from workloads.specweb99.workload import FileSetNeeded

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
    """Return a test parameter with the name of a kind of server; skipped where that kind is not installed."""
    missing = INSTALLED[Server(name)] is None
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason=f"{name} is not installed"))


def vm_request(docroots: Sequence[Path], *, connections: int = 20, base_port: int = 0, **changes: Any) -> VmRequest:
    """Return a request for one VM per document root; each must have the first directory of the file set."""
    needed = FileSetNeeded(directories=1)
    return VmRequest(
        count=len(docroots),
        docroots=tuple(docroots),
        connections=connections,
        base_port=base_port,
        app=needed.app,
        proof_path=needed.proof_path,
        app_path=needed.app_path,
        **changes,
    )


def make_file_set(root: Path) -> Path:
    """Write the first directory of the file set: as much as :func:`vm_request` demands."""
    for class_ in range(files.CLASSES):
        for num in range(files.FILES_PER_DIRECTORY // files.CLASSES):
            path = root / files.name(0, class_, num)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files.content(0, class_, num))
    return root


@contextmanager
def entered(deployment: LocalVms) -> Iterator[LocalVms]:
    """Run VMs inside the context; the test may block, because it does not share their event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(deployment.__aenter__())
        try:
            yield deployment
        finally:
            runner.run(deployment.close())


def running(server: WebServer, docroots: Sequence[Path], base_port: int = 0) -> AbstractContextManager[LocalVms]:
    """Run VMs of a small file set inside the context."""
    return entered(LocalVms(server, vm_request(docroots, base_port=base_port)))


def descendants(pid: int) -> list[int]:
    """Return the pids of all processes below a process."""
    children = children_of(pid)
    return children + [below for child in children for below in descendants(child)]


def is_running(pid: int) -> bool:
    """Whether the process runs; a zombie does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def within(seconds: float, happened: Callable[[], bool]) -> bool:
    """Whether `happened` returns True within this time."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
