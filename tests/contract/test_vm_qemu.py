"""The driver `qemu`: the contract of VM drivers in as few starts as possible, because each VM boots a kernel.

Where nothing is asked of a VM, its deployment is entered as soon as QEMU runs: such tests wait for no boot.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.guest import machine
from deploy.guest.machine import KVM, TCG
from deploy.vms.api import VmRequest
from deploy.vms.qemu import QemuDriver, QemuVms
from loadgen.model.emulated import EMULATED
from loadgen.model.errors import TargetError
from loadgen.model.limits import VmLimits
from loadgen.model.plan import Server
from loadgen.model.target import Target
from tests.support.boxes import devices_with, needs_root
from tests.support.qemu import needs_qemu, qemus_below
from tests.support.vms import INSTALLED, descendants, is_running, make_file_set, vm_request, within

pytestmark = needs_qemu

_PREFIX = f"198.18.{os.getpid() % 256}"  # a network for benchmarks (RFC 2544); each worker of pytest has its own
_NETWORK, _GATEWAY = f"{_PREFIX}.0/26", f"{_PREFIX}.1"
_ADDRESSES = [pytest.param("127.0.0.1", id="published"), pytest.param(_NETWORK, id="routed", marks=needs_root)]

needs_nginx = pytest.mark.skipif(INSTALLED[Server.NGINX] is None, reason="nginx is not installed")

_COORDINATOR = """
import asyncio, sys
from pathlib import Path
from tests.contract.test_vm_qemu import ask

async def main():
    async with ask([Path(sys.argv[1])] * 2, boot=False, address=sys.argv[2]):
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_file_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(autouse=True)
def tmpdir_of_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the directory for files of runs; its path is short, because it contains unix sockets."""
    with tempfile.TemporaryDirectory(prefix="q") as path:
        monkeypatch.setattr(tempfile, "tempdir", path)
        monkeypatch.setenv("TMPDIR", path)
        yield Path(path)


def ask(docroots: list[Path], *, boot: bool = True, **changes: Any) -> QemuVms:
    """Return VMs that serve files with nginx, without an application, which would have to load Python."""
    asked = vm_request(docroots, server=Server.NGINX, **changes)
    return QemuDriver().prepare(without_app(asked) if boot else without_app(asked, proof_path=""))


def without_app(asked: VmRequest, **changes: Any) -> VmRequest:
    return replace(asked, app="", app_path="", **changes)


def all_that_is_left(temporary: Path) -> tuple[Any, ...]:
    """Return processes, devices, files and open descriptors that this process may have left."""
    descriptors = {path.name for path in Path("/proc/self/fd").iterdir()}
    running = [pid for pid in descendants(os.getpid()) if is_running(pid)]
    return running, devices_with(_GATEWAY), sorted(temporary.iterdir()), descriptors


def status(target: Target, path: str) -> int:
    with urllib.request.urlopen(f"http://{target.authority}{path}", timeout=30) as reply:
        return int(reply.status)


def refuses(target: Target) -> bool:
    try:
        socket.create_connection((target.host, target.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


async def until(happened: Callable[[], bool]) -> bool:
    return await asyncio.to_thread(within, 30, happened)


@needs_nginx
@pytest.mark.parametrize("address", _ADDRESSES)
def test_vms_serve_until_they_die_and_leave_nothing(address: str, docroot: Path, tmpdir_of_runs: Path) -> None:
    before = all_that_is_left(tmpdir_of_runs)
    limits = VmLimits(cpus=1, memory_bytes=160 << 20)
    proof_path = vm_request([docroot]).proof_path

    async def main() -> None:
        async with ask([docroot] * 2, address=address, limits=limits) as vms:
            assert [target.name for target in vms.targets] == ["vm01", "vm02"]
            assert len({target.authority for target in vms.targets}) == 2
            assert [await asyncio.to_thread(status, target, proof_path) for target in vms.targets] == [200] * 2
            check_facts(vms)
            running = qemus_below(os.getpid())
            assert len(running) == 2
            assert {os.getsid(pid) for pid in running}.isdisjoint({os.getsid(0)})  # Ctrl-C does not reach them
            os.kill(running[0], signal.SIGKILL)
            death = await asyncio.wait_for(anext(vms.deaths()), 60)
            assert death.reason.startswith("qemu was killed by SIGKILL")
            (gone,) = [target for target in vms.targets if target.name == death.name]
            (other,) = [target for target in vms.targets if target.name != death.name]
            assert await until(lambda: refuses(gone))
            assert await asyncio.to_thread(status, other, proof_path) == 200

    asyncio.run(main())
    assert all_that_is_left(tmpdir_of_runs) == before


def check_facts(vms: QemuVms) -> None:
    """Check that the record tells the granted hardware, and that emulation is called by its name."""
    details = vms.facts.details
    assert (vms.facts.driver, vms.facts.server) == ("qemu", "nginx")
    assert "listen 0.0.0.0:80" in vms.facts.config
    assert details["limits"] == {"cpus": 1, "memory_bytes": 160 << 20}
    assert details["accelerator"] in (KVM, TCG)
    assert details["emulated"] is (details["accelerator"] == TCG)
    assert [EMULATED in notice for notice in vms.notices] == [True] * details["emulated"]
    for started in details["started"].values():
        assert started["pss_bytes"] > 16 << 20
        assert started["cpu_ns"] > 0


@needs_nginx
@pytest.mark.parametrize("warden", ["", "and its warden"])
@pytest.mark.parametrize(
    ("moment", "address"),
    [
        ("mid-start", "127.0.0.1"),
        ("mid-run", "127.0.0.1"),
        pytest.param("mid-run", _NETWORK, marks=needs_root),
    ],
    ids=["mid-start", "mid-run", "mid-run-routed"],
)
def test_nothing_is_left_after_sigkill_of_loadgen(
    moment: str, warden: str, address: str, docroot: Path, tmpdir_of_runs: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _COORDINATOR, str(docroot), address], stdout=subprocess.PIPE
    ) as killed:
        assert killed.stdout is not None
        if moment == "mid-run":
            assert killed.stdout.readline() == b"ready\n"
            assert within(30, lambda: len(qemus_below(killed.pid)) == 2)
            assert address == "127.0.0.1" or within(30, lambda: len(devices_with(_GATEWAY)) == 3)
        else:
            assert within(60, lambda: bool(wardens_below(killed.pid)))
            assert within(60, lambda: bool(qemus_below(killed.pid)))  # the probe of KVM, or the first VM
        os.kill(killed.pid, signal.SIGSTOP)
        started = descendants(killed.pid)
        (supervisor,) = wardens_below(killed.pid)
        killed.kill()
        if warden:
            os.kill(supervisor, signal.SIGKILL)
    assert within(20, lambda: not any(is_running(pid) for pid in started))
    assert within(20, lambda: not devices_with(_GATEWAY))
    assert warden or within(20, lambda: not any(tmpdir_of_runs.iterdir()))


def wardens_below(pid: int) -> list[int]:
    return [one for one in descendants(pid) if "deploy.warden" in command_line(one)]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@needs_nginx
@pytest.mark.parametrize("address", _ADDRESSES)
def test_the_third_of_four_vms_that_fails_leaves_nothing(
    address: str, docroot: Path, tmpdir_of_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_that_is_left(tmpdir_of_runs)
    command = machine.command

    def broken_third(*arguments: Any) -> tuple[str, ...]:
        argv = command(*arguments)
        return (*argv, "-no-such-option") if "lg_name=vm03" in " ".join(argv) else argv

    monkeypatch.setattr("deploy.vms.qemu.command", broken_third)
    with pytest.raises(TargetError, match=r"vm03 did not start: qemu exited with status 1: .*-no-such-option"):
        asyncio.run(ask([docroot] * 4, address=address).__aenter__())
    assert all_that_is_left(tmpdir_of_runs) == before


@needs_nginx
def test_a_start_that_is_cancelled_leaves_nothing(docroot: Path, tmpdir_of_runs: Path) -> None:
    before = all_that_is_left(tmpdir_of_runs)

    async def main() -> None:
        starting = asyncio.create_task(ask([docroot] * 2).__aenter__())
        assert await until(lambda: len(qemus_below(os.getpid())) == 2)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(main())
    assert all_that_is_left(tmpdir_of_runs) == before
