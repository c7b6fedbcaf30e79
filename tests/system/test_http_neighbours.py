"""`loadgen http` against a local server: other processes on the engine's core are found, and the server is not one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import loadgen

SERVER = """
import asyncio
REPLY = b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\ngood"
class Protocol(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(REPLY * data.count(b"\\r\\n\\r\\n"))
async def main():
    server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
_LOOP = "while True: pass"


@contextlib.contextmanager
def running(code: str, count: int = 1) -> Iterator[list[subprocess.Popen[str]]]:
    made = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        yield made
    finally:
        for process in made:
            process.kill()
            process.communicate()


@pytest.fixture
def one_core() -> Iterator[None]:
    """This process, and all that it starts meanwhile, run on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def others_beside(loops: int, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    """The result beside so many busy loops, its check of other processes, and the pid of the server."""
    with running(SERVER) as (server,), running(_LOOP, loops):
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/"
        done = loadgen("http", url, "-c", "8", "-d", "2s", "--json", cache=tmp_path, cwd=tmp_path)
        assert done.code in (0, 3), done.err
    (check,) = [one for one in done.document["trust"]["checks"] if one["name"] == "other processes"]
    return done.document, check, server.pid


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("loops", [1, 2])
def test_busy_loops_on_the_engines_core_are_found(loops: int, tmp_path: Path) -> None:
    """An engine, its server and the coordinator leave at least a quarter of their core to one loop."""
    document, check, _ = others_beside(loops, tmp_path)
    assert document["verdict"] == "INVALID"
    assert not check["ok"]


@pytest.mark.usefixtures("one_core")
def test_the_server_is_no_other_process(tmp_path: Path) -> None:
    _, check, server = others_beside(0, tmp_path)
    assert f"(pid {server})" not in check["detail"]
