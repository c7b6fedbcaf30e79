"""One server in the foreground, as `loadgen serve` runs it."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from deploy.servers.base import WebServer
from tests.support.vms import EVERY_SERVER, descendants, is_running, make_file_set, within

SERVE = """
import asyncio, sys
from pathlib import Path
from deploy.serve import serve
from deploy.vms.catalog import choose
from loadgen.model.errors import LoadgenError
from loadgen.model.plan import Server
from tests.support.vms import vm_request

def ready(target):
    print(target.authority, flush=True)

try:
    asyncio.run(serve(choose("local").prepare(vm_request([Path(sys.argv[2])], server=Server(sys.argv[1]))), ready))
except LoadgenError as error:
    sys.exit(error.message)
"""


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_file_set(tmp_path_factory.mktemp("set"))


@pytest.mark.parametrize("server", EVERY_SERVER)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_the_server_runs_until_it_is_stopped(server: WebServer, number: signal.Signals, docroot: Path) -> None:
    argv = [sys.executable, "-c", SERVE, server.kind.value, str(docroot)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        authority = process.stdout.readline().strip()
        assert authority.startswith("127.0.0.1:")
        with urllib.request.urlopen(f"http://{authority}/file_set/dir00000/class0_0", timeout=20) as reply:
            assert reply.status == 200
        pids = descendants(process.pid)
        process.send_signal(number)
        assert process.wait(20) == 0
    assert pids
    assert not any(is_running(pid) for pid in pids)


def test_the_command_ends_when_the_server_ends(docroot: Path) -> None:
    argv = [sys.executable, "-c", SERVE, "builtin", str(docroot)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        worker = descendants(process.pid)[-1]
        subprocess.run(["kill", "-KILL", str(worker)], check=True)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said.strip() == "the server ended by itself: app was killed by SIGKILL"
    assert within(10, lambda: not is_running(worker))
