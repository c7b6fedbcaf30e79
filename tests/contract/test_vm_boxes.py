"""The driver `ns`: its limits bite, its VMs see only their own, and nothing of it is left, however a run ends."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.limits.groups import Group, granted, usage
from deploy.vms.ns import Ns, NsVms
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.limits import VmLimits
from loadgen.model.plan import Server
from loadgen.model.target import Target
from tests.support.boxes import (
    all_pids,
    devices_with,
    groups_of,
    members,
    mounts_below,
    namespaces_of,
    needs_root,
)
from tests.support.vms import INSTALLED, descendants, is_running, make_file_set, needs, vm_request, within

pytestmark = needs_root

_PREFIX = f"198.19.{os.getpid() % 256}"  # a network for benchmarks (RFC 2544); each worker of pytest has its own
_NETWORK, _GATEWAY = f"{_PREFIX}.0/26", f"{_PREFIX}.1"

_COORDINATOR = """
import asyncio, sys
from pathlib import Path
from deploy.vms.ns import Ns
from loadgen.model.plan import Server
from tests.support.vms import vm_request

async def main():
    asked = vm_request([Path(sys.argv[1])] * 8, address=sys.argv[2], server=Server.BUILTIN)
    async with Ns().prepare(asked):
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_file_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(autouse=True)
def tmpdir_of_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the directory for files of runs; on a disk, because a limit of the disk rate needs one."""
    with tempfile.TemporaryDirectory(prefix="b", dir="/var/tmp") as path:
        monkeypatch.setattr(tempfile, "tempdir", path)
        monkeypatch.setenv("TMPDIR", path)
        yield Path(path)


def ask(docroots: list[Path], **changes: Any) -> NsVms:
    return Ns().prepare(vm_request(docroots, **{"server": Server.BUILTIN, **changes}))


def play(vms: NsVms, scenario: Callable[[NsVms], Awaitable[None]]) -> None:
    async def main() -> None:
        async with vms:
            await scenario(vms)

    asyncio.run(main())


async def until(happened: Callable[[], bool]) -> bool:
    return await asyncio.to_thread(within, 30, happened)


def status(target: Target, path: str) -> int:
    with urllib.request.urlopen(f"http://{target.authority}{path}", timeout=20) as reply:
        return int(reply.status)


def all_that_is_left(owner: int, temporary: Path) -> tuple[Any, ...]:
    """Return processes, namespaces, mounts, devices, cgroups and files that `owner` may have left."""
    return (
        descendants(owner),
        groups_of(owner),
        mounts_below(temporary),
        devices_with(_GATEWAY),
        sorted(temporary.iterdir()),
    )


# --- limits


def test_each_limit_is_granted_by_the_kernel_and_read_back(docroot: Path) -> None:
    limits = VmLimits(cpus=0.5, cpu_shares=512, memory_bytes=96 << 20, pids=64, disk_bytes_per_s=20 << 20)

    async def scenario(vms: NsVms) -> None:
        for group in vms.groups.values():
            found = granted(group)
            assert found["cpus"] == 0.5
            assert found["memory_bytes"] == 96 << 20
            assert found["pids"] == 64
            assert found["disk_bytes_per_s"] == 20 << 20
            assert found.get("cpu_shares", 512) == 512
        assert vms.facts.details["limits"] == granted(vms.groups["vm01"])

    play(ask([docroot] * 2, limits=limits), scenario)


def test_a_fork_bomb_stays_below_the_limit_of_processes(docroot: Path) -> None:
    async def scenario(vms: NsVms) -> None:
        group = vms.groups["vm01"]
        vms.run("vm01", ("bomb", "/bin/sh", "-c", "while true; do sleep 60 & done"))
        assert await until(lambda: (usage(group).pids_refused or 0) > 0)
        assert (usage(group).pids or 0) <= 20
        assert usage(vms.groups["vm02"]).pids_refused == 0
        assert await asyncio.to_thread(status, vms.targets[1], vm_request([docroot]).proof_path) == 200

    play(ask([docroot] * 2, limits=VmLimits(pids=20)), scenario)


def test_a_vm_that_exceeds_its_memory_is_named_with_its_limit(docroot: Path) -> None:
    async def scenario(vms: NsVms) -> None:
        hog = "x = bytearray(300 << 20)\nimport time; time.sleep(60)"
        vms.run("vm01", ("hog", sys.executable, "-S", "-c", hog))
        death = await asyncio.wait_for(anext(vms.deaths()), 60)
        assert death.name == "vm01"
        assert "its memory limit of 128M was reached" in death.reason
        assert usage(vms.groups["vm02"]).oom_kills == 0

    play(ask([docroot] * 2, limits=VmLimits(memory_bytes=128 << 20)), scenario)


def test_a_quota_of_cpu_time_ends_periods_early(docroot: Path) -> None:
    """Only the kernel's own counters are compared, so that a busy machine changes nothing."""

    async def scenario(vms: NsVms) -> None:
        group = vms.groups["vm01"]
        before = usage(group)
        vms.run("vm01", ("hog", "/bin/sh", "-c", "while true; do :; done"))
        assert await until(lambda: (usage(group).throttled or 0) - (before.throttled or 0) >= 5)
        after = usage(group)
        assert after.cpu_ns is not None
        assert before.cpu_ns is not None
        assert after.periods is not None
        assert before.periods is not None
        quota_ns = 0.1 * 100e6  # of each period of 100 ms; the kernel hands it out in slices of 5 ms to each core
        slices_ns = 5e6 * (os.cpu_count() or 1)
        assert after.cpu_ns - before.cpu_ns <= (after.periods - before.periods + 2) * (quota_ns + slices_ns)
        assert usage(vms.groups["vm02"]).throttled == 0 or vms.groups["vm02"] is not group

    play(ask([docroot] * 2, limits=VmLimits(cpus=0.1)), scenario)


def test_the_disk_rate_bounds_what_a_vm_writes(docroot: Path) -> None:
    """In any time, by the kernel's own counter; on a slow disk it writes less, and then the limit proves nothing."""
    rate = 1 << 20

    async def scenario(vms: NsVms) -> None:
        group = vms.groups["vm01"]
        began_s = time.monotonic()
        dd = "dd if=/dev/zero of=/var/tmp/hog bs=256k count=256 oflag=direct"
        vms.run("vm01", ("hog", "/bin/sh", "-c", f"{dd}; sleep 60"))
        assert await until(lambda: written_bytes(group) >= rate)
        written = written_bytes(group)
        assert written <= rate * (time.monotonic() - began_s + 1)

    play(ask([docroot] * 2, limits=VmLimits(disk_bytes_per_s=rate)), scenario)
    assert not Path("/var/tmp/hog").exists()


def written_bytes(group: Group) -> int:
    text = group.read("io", "blkio.throttle.io_service_bytes" if group.is_v1("io") else "io.stat")
    return sum(map(int, re.findall(r"(?:Write |wbytes=)(\d+)", text)))


def test_a_limit_without_its_controller_is_refused(monkeypatch: pytest.MonkeyPatch, docroot: Path) -> None:
    monkeypatch.setattr("deploy.limits.groups.controllers_here", dict)
    with pytest.raises(PlanError, match="pids of VMs cannot be limited here: there is no cgroup controller pids"):
        ask([docroot], limits=VmLimits(pids=5))


# --- what a VM sees


def test_a_vm_has_its_own_processes_files_network_and_name(docroot: Path, tmpdir_of_runs: Path) -> None:
    code = (
        "import json, os, socket, sys; open('/etc/loadgen-test', 'w').close(); "
        "print(json.dumps([os.listdir('/proc'), socket.gethostname(), [n for _, n in socket.if_nameindex()], "
        "os.listdir(sys.argv[1]), os.path.exists('/etc/loadgen-test')]))"
    )

    async def scenario(vms: NsVms) -> None:
        vms.run("vm02", ("look", sys.executable, "-S", "-c", code, vms.boxes["vm02"].hidden))
        await asyncio.wait_for(anext(vms.deaths()), 30)  # it has ended
        (log,) = await asyncio.to_thread(lambda: list(tmpdir_of_runs.glob("loadgen-vms-*/vm02/look.log")))
        proc, host, devices, files, made = json.loads(log.read_text())
        assert len([name for name in proc if name.isdecimal()]) <= 3
        assert host == "vm02"
        assert devices == ["lo"]
        assert files == ["vm02"]
        assert made

    play(ask([docroot] * 2), scenario)
    assert not Path("/etc/loadgen-test").exists()


@pytest.mark.parametrize("server", [needs("nginx"), "builtin", "auto"])
def test_a_published_port_is_served_through_an_inherited_socket(server: str, docroot: Path) -> None:
    asked = vm_request([docroot] * 2, server=Server(server))

    async def scenario(vms: NsVms) -> None:
        for path in (asked.proof_path, asked.app_path):
            assert [await asyncio.to_thread(status, target, path) for target in vms.targets] == [200] * 2

    play(Ns().prepare(asked), scenario)


@pytest.mark.needs_apache
@pytest.mark.skipif(INSTALLED[Server.APACHE] is None, reason="apache is not installed")
def test_a_server_that_cannot_inherit_a_socket_is_refused(docroot: Path) -> None:
    with pytest.raises(PlanError, match="apache cannot serve at a published port") as caught:
        Ns().prepare(vm_request([docroot], server=Server.APACHE))
    assert "--vm-address 198.18.0.0/15" in caught.value.hint


@pytest.mark.parametrize("server", [needs("nginx"), needs("apache"), "builtin"])
def test_each_vm_has_an_address_of_its_own_in_a_network(server: str, docroot: Path) -> None:
    asked = vm_request([docroot] * 2, server=Server(server), address=_NETWORK)

    async def scenario(vms: NsVms) -> None:
        assert [target.authority for target in vms.targets] == [f"{_PREFIX}.2:80", f"{_PREFIX}.3:80"]
        for path in (asked.proof_path, asked.app_path):
            assert [await asyncio.to_thread(status, target, path) for target in vms.targets] == [200] * 2
        for pid in descendants(os.getpid()):
            if namespaces_of([pid]):
                os.kill(pid, signal.SIGKILL)
        assert (await asyncio.wait_for(anext(vms.deaths()), 20)).name in ("vm01", "vm02")
        assert await until(lambda: refuses(f"{_PREFIX}.2"))  # the guard answers for it

    play(Ns().prepare(asked), scenario)
    assert not devices_with(_GATEWAY)


def refuses(host: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{host}/", timeout=5).close()
    except OSError as error:
        return "refused" in str(error)
    return False


def test_a_network_that_this_machine_uses_is_refused(docroot: Path) -> None:
    async def scenario(vms: NsVms) -> None:
        with pytest.raises(PlanError, match=f"the network {_PREFIX}.0/24 is in use on this machine: {_PREFIX}"):
            ask([docroot], address=f"{_PREFIX}.0/24")

    play(ask([docroot], address=_NETWORK), scenario)


# --- nothing is left


@pytest.mark.parametrize("address", ["127.0.0.1", _NETWORK], ids=["published", "routed"])
def test_down_leaves_nothing(address: str, docroot: Path, tmpdir_of_runs: Path) -> None:
    before = all_that_is_left(os.getpid(), tmpdir_of_runs)
    namespaces: set[str] = set()

    async def scenario(vms: NsVms) -> None:
        namespaces.update(namespaces_of(descendants(os.getpid())))
        assert len(namespaces) >= 3 * 5
        assert groups_of(os.getpid())

    play(ask([docroot] * 3, address=address), scenario)
    assert all_that_is_left(os.getpid(), tmpdir_of_runs) == before
    assert not namespaces & namespaces_of(all_pids())


@pytest.mark.parametrize("address", ["127.0.0.1", _NETWORK], ids=["published", "routed"])
def test_the_third_of_eight_vms_that_fails_leaves_nothing(
    address: str, docroot: Path, tmpdir_of_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_that_is_left(os.getpid(), tmpdir_of_runs)
    monkeypatch.setattr("deploy.vms.ns.Box", _broken_third)
    with pytest.raises(TargetError, match=r"vm03 did not start: .*mount"):
        play(ask([docroot] * 8, address=address), _never)
    assert all_that_is_left(os.getpid(), tmpdir_of_runs) == before


def test_a_start_that_fails_before_any_process_leaves_no_cgroup(
    docroot: Path, tmpdir_of_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_that_is_left(os.getpid(), tmpdir_of_runs)

    def fail(*_: object) -> None:
        assert groups_of(os.getpid())
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("deploy.vms.ns.write_files", fail)
    with pytest.raises(TargetError, match="cannot be written: No space left on device"):
        play(ask([docroot]), _never)
    assert all_that_is_left(os.getpid(), tmpdir_of_runs) == before


def _broken_third(**fields: Any) -> Any:
    from deploy.box.box import Box

    return Box(**{**fields, "base": "/no-such-base"} if fields["hostname"] == "vm03" else fields)


async def _never(_: NsVms) -> None:
    raise AssertionError("the deployment must not start")


@pytest.mark.parametrize("moment", ["mid-start", "mid-run"])
@pytest.mark.parametrize("address", ["127.0.0.1", _NETWORK], ids=["published", "routed"])
@pytest.mark.parametrize("warden", ["", "and its warden"])
def test_nothing_is_left_after_sigkill_of_loadgen(
    warden: str, address: str, moment: str, docroot: Path, tmpdir_of_runs: Path
) -> None:
    """If its warden is killed, too, then empty cgroups and files remain, and the next run removes them."""
    with subprocess.Popen(
        [sys.executable, "-c", _COORDINATOR, str(docroot), address], stdout=subprocess.PIPE
    ) as killed:
        assert killed.stdout is not None
        if moment == "mid-run":
            assert killed.stdout.readline() == b"ready\n"
        else:
            assert within(30, lambda: len(descendants(killed.pid)) >= 3)
        started = descendants(killed.pid)
        namespaces = namespaces_of(started)
        os.kill(killed.pid, signal.SIGSTOP)  # so that both are killed at one moment
        killed.kill()
        if warden:
            os.kill(started[0], signal.SIGKILL)
    assert within(20, lambda: not any(is_running(pid) for pid in started))
    assert within(20, lambda: not namespaces & namespaces_of(all_pids()))
    assert within(20, lambda: not devices_with(_GATEWAY))
    assert not mounts_below(tmpdir_of_runs)
    if not warden and moment == "mid-run":
        assert within(10, lambda: not groups_of(killed.pid) and not any(tmpdir_of_runs.iterdir()))
    assert not members(groups_of(killed.pid))
    play(ask([docroot]), _nothing)
    assert not groups_of(killed.pid)
    assert within(10, lambda: not any(tmpdir_of_runs.iterdir()))


async def _nothing(_: NsVms) -> None:
    return
