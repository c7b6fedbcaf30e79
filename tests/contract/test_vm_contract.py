"""The contract of VM drivers: laws of every driver of the catalog, and of the toy driver of CONTRIBUTING's recipe."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.servers.builtin import find as find_builtin
from deploy.vms import catalog
from deploy.vms.api import Deployment, VmDeath, VmDriver, VmRequest
from deploy.vms.base import BaseDeployment
from deploy.vms.local import LocalVms
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.plan import Server
from loadgen.model.target import Target
from tests.support.boxes import needs_root
from tests.support.containers import needs_engine
from tests.support.qemu import needs_qemu
from tests.support.toy_driver import Toy
from tests.support.vms import descendants, is_running, make_file_set, vm_request, within


def driver(name: str) -> VmDriver:
    return Toy() if name == "toy" else catalog.choose(name)


COORDINATOR = """
import asyncio, sys
from pathlib import Path
from tests.contract.test_vm_contract import driver, start_request

async def main():
    async with driver(sys.argv[1]).prepare(start_request(sys.argv[1], [Path(sys.argv[2])] * 2)):
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""

ALL = (*catalog.DRIVERS, "toy")
NEEDS = {"ns": [needs_root], "oci": [needs_engine], "qemu": [needs_qemu]}
EVERY = [pytest.param(name, marks=NEEDS.get(name, [])) for name in ALL]
"""All drivers, for laws of what they refuse or of what they do before a start."""

DRIVERS = [param for param in EVERY if param.values[0] not in catalog.BOOT]
"""The drivers whose VMs start at once; `test_vm_qemu.py` has the same laws for VMs that boot, in fewer starts."""

STARTING = [param for param in DRIVERS if driver(str(param.values[0])).starts_servers]
REFUSING = [param for param in EVERY if driver(str(param.values[0])).starts_servers]


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_file_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(autouse=True)
def tmpdir_of_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the directory for files of drivers; its path is short, because it contains unix sockets."""
    with tempfile.TemporaryDirectory(prefix="t") as path:
        monkeypatch.setenv("TMPDIR", path)
        yield Path(path)


def accepts(name: str, asked: VmRequest) -> bool:
    try:
        driver(name).prepare(asked)
    except PlanError:
        return False
    return True


def start_request(name: str, docroots: list[Path], **changes: Any) -> VmRequest:
    """A request to start servers: builtin ones, which are quick to start, where the driver has them."""
    quick = vm_request(docroots, server=Server.BUILTIN, **changes)
    return quick if accepts(name, quick) else replace(quick, server=Server.AUTO)


def hasty(name: str, asked: VmRequest, monkeypatch: pytest.MonkeyPatch, ready_s: float = 1.0) -> Deployment:
    """A deployment of a driver that waits at most `ready_s` for its VMs."""
    vms = driver(name).prepare(asked)
    assert isinstance(vms, BaseDeployment)
    monkeypatch.setattr(type(vms), "ready_s", ready_s)
    return vms


@asynccontextmanager
async def request(name: str, docroots: list[Path]) -> AsyncIterator[VmRequest]:
    """Return a request that the driver can meet; inside the context, servers for it run if the driver starts none."""
    if driver(name).starts_servers:
        yield start_request(name, docroots)
    else:
        async with LocalVms(find_builtin(), vm_request(docroots)) as others:
            yield vm_request([], targets=others.targets)


def play(name: str, docroots: list[Path], scenario: Callable[[Deployment], Awaitable[None]]) -> None:
    """Run the scenario inside a deployment of one VM per document root."""

    async def main() -> None:
        async with request(name, docroots) as asked, driver(name).prepare(asked) as vms:
            await scenario(vms)

    asyncio.run(main())


async def enter(vms: Deployment) -> None:
    await vms.__aenter__()


def status(target: Target, path: str) -> int:
    with urllib.request.urlopen(f"http://{target.authority}{path}", timeout=20) as reply:
        return int(reply.status)


def is_served(target: Target) -> bool:
    try:
        socket.create_connection((target.host, target.port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def processes() -> set[int]:
    return {pid for pid in descendants(os.getpid()) if is_running(pid)}


def left_in(directory: Path) -> tuple[set[int], set[Path], set[str]]:
    """Return the child processes of this process, the files in the directory of runs, and the open descriptors."""
    return processes(), set(directory.iterdir()), {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("name", DRIVERS)
def test_every_target_serves_the_requested_files(name: str, docroot: Path) -> None:
    async def scenario(vms: Deployment) -> None:
        assert len({target.authority for target in vms.targets}) == 3
        assert len({target.name for target in vms.targets}) == 3
        assert vms.notices == ()
        asked = vm_request([docroot])
        for path in (asked.proof_path, asked.app_path):
            assert [await asyncio.to_thread(status, target, path) for target in vms.targets] == [200] * 3

    play(name, [docroot] * 3, scenario)


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_started_before_the_context_is_entered(name: str, docroot: Path, tmpdir_of_runs: Path) -> None:
    async def main() -> None:
        async with request(name, [docroot]) as asked:
            before = left_in(tmpdir_of_runs)
            vms = driver(name).prepare(asked)
            assert vms.targets == ()
            assert vms.facts.driver == name
            assert vms.facts.server
            assert left_in(tmpdir_of_runs) == before

    asyncio.run(main())


@pytest.mark.parametrize("name", DRIVERS)
def test_after_the_context_everything_is_as_before(name: str, docroot: Path, tmpdir_of_runs: Path) -> None:
    async def main() -> None:
        async with request(name, [docroot] * 2) as asked:
            before = left_in(tmpdir_of_runs)
            async with driver(name).prepare(asked) as vms:
                targets = vms.targets
            assert left_in(tmpdir_of_runs) == before
            assert [is_served(target) for target in targets] == [not driver(name).starts_servers] * 2

    asyncio.run(main())


@pytest.mark.parametrize("name", STARTING)
def test_a_death_is_reported_with_the_name_of_its_target(name: str, docroot: Path) -> None:
    async def scenario(vms: Deployment) -> None:
        os.kill(descendants(os.getpid())[-1], signal.SIGKILL)
        death = await asyncio.wait_for(anext(vms.deaths()), 20)
        assert [target.name for target in vms.targets if not is_served(target)] == [death.name]
        assert death.reason

    play(name, [docroot] * 3, scenario)


@pytest.mark.parametrize("name", STARTING)
def test_a_killed_vm_leaves_nothing(name: str, docroot: Path, tmpdir_of_runs: Path) -> None:
    before = left_in(tmpdir_of_runs)

    async def scenario(vms: Deployment) -> None:
        os.kill(descendants(os.getpid())[-1], signal.SIGKILL)
        await asyncio.wait_for(anext(vms.deaths()), 20)

    play(name, [docroot] * 2, scenario)
    assert left_in(tmpdir_of_runs) == before


@pytest.mark.parametrize("name", REFUSING)
def test_a_taken_port_is_named_and_nothing_is_left(name: str, docroot: Path, tmpdir_of_runs: Path) -> None:
    before = left_in(tmpdir_of_runs)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = int(other.getsockname()[1])
        asked = start_request(name, [docroot], base_port=port)
        with pytest.raises(PlanError, match=f"port {port} on 127.0.0.1 is taken"):
            asyncio.run(enter(driver(name).prepare(asked)))
    assert left_in(tmpdir_of_runs) == before


@pytest.mark.parametrize("name", DRIVERS)
def test_the_stream_of_deaths_ends_with_the_deployment(name: str, docroot: Path) -> None:
    async def all_deaths(vms: Deployment) -> list[VmDeath]:
        return [death async for death in vms.deaths()]

    async def main() -> None:
        async with request(name, [docroot]) as asked:
            async with driver(name).prepare(asked) as vms:
                reading = asyncio.create_task(all_deaths(vms))
            assert await asyncio.wait_for(reading, 20) == []

    asyncio.run(main())


@pytest.mark.parametrize("name", STARTING)
def test_a_third_vm_that_does_not_serve_ends_the_others(
    name: str, docroot: Path, tmp_path: Path, tmpdir_of_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = left_in(tmpdir_of_runs)

    async def main() -> None:
        with pytest.raises(TargetError, match=r"vm.* does not serve"):
            await hasty(name, start_request(name, [docroot, docroot, tmp_path]), monkeypatch).__aenter__()
        assert processes() == before[0]

    asyncio.run(main())
    assert left_in(tmpdir_of_runs) == before


@pytest.mark.parametrize("name", STARTING)
def test_a_vm_that_lacks_only_the_proof_is_refused(name: str, docroot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = replace(start_request(name, [docroot]), proof_path="/file_set/dir00001/class0_0")
    with pytest.raises(TargetError, match="does not serve /file_set/dir00001/class0_0"):
        asyncio.run(enter(hasty(name, asked, monkeypatch)))


@pytest.mark.parametrize("name", STARTING)
def test_a_start_that_is_cancelled_leaves_nothing(
    name: str, docroot: Path, tmp_path: Path, tmpdir_of_runs: Path
) -> None:
    before = left_in(tmpdir_of_runs)

    async def main() -> None:
        vms = driver(name).prepare(start_request(name, [docroot, tmp_path]))
        starting = asyncio.create_task(vms.__aenter__())
        assert await asyncio.to_thread(within, 20, lambda: len(processes()) >= len(before[0]) + 2)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert processes() == before[0]

    asyncio.run(main())
    assert left_in(tmpdir_of_runs) == before


@pytest.mark.parametrize("name", [one for one in STARTING if one.values[0] != "oci"])  # test_vm_containers.py has it
def test_a_vm_that_dies_while_it_starts_is_named_at_once(
    name: str, docroot: Path, tmp_path: Path, tmpdir_of_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = left_in(tmpdir_of_runs)

    async def main() -> None:
        vms = hasty(name, start_request(name, [docroot, tmp_path]), monkeypatch, ready_s=300.0)
        starting = asyncio.create_task(vms.__aenter__())
        assert await asyncio.to_thread(within, 20, lambda: len(processes()) >= len(before[0]) + 2)
        os.kill(descendants(os.getpid())[-1], signal.SIGKILL)
        with pytest.raises(TargetError, match=r"vm.* did not start: "):
            await asyncio.wait_for(starting, 20)

    asyncio.run(main())
    assert left_in(tmpdir_of_runs) == before


@pytest.mark.parametrize("name", STARTING)
def test_nothing_is_left_when_the_coordinator_is_killed(name: str, docroot: Path, tmpdir_of_runs: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", COORDINATOR, name, str(docroot)], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"ready\n"
        started = descendants(killed.pid)
        assert len(started) >= 2
        killed.kill()
    assert within(10, lambda: not any(is_running(pid) for pid in started))
    assert within(10, lambda: not any(tmpdir_of_runs.iterdir()))


@pytest.mark.parametrize("name", STARTING)
def test_ctrl_c_in_the_terminal_does_not_reach_the_vms(name: str, docroot: Path) -> None:
    """The terminal sends it to a process group of the coordinator's session; the traffic must be stopped first."""

    async def scenario(vms: Deployment) -> None:
        assert {os.getsid(pid) for pid in processes()}.isdisjoint({os.getsid(0)})

    play(name, [docroot], scenario)


@pytest.mark.parametrize("server", [server for server in Server if server is not Server.AUTO])
@pytest.mark.parametrize("name", REFUSING)
def test_another_web_server_than_the_one_asked_for_is_never_taken(name: str, server: Server, docroot: Path) -> None:
    asked = vm_request([docroot], server=server)
    if accepts(name, asked):
        assert driver(name).prepare(asked).facts.server == server.value


@pytest.mark.parametrize("name", STARTING)
def test_a_path_that_is_not_asked_for_is_not_waited_for(
    name: str, docroot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        asked = replace(start_request(name, [docroot]), proof_path="", app_path="")
        async with hasty(name, asked, monkeypatch) as vms:
            assert len(vms.targets) == 1

    asyncio.run(main())


def test_given_servers_may_be_missing_but_not_all(docroot: Path) -> None:
    gone = Target(name="gone", host="127.0.0.1", port=9)

    async def main() -> None:
        async with request("inventory", [docroot]) as asked:
            found = vm_request([], targets=(*asked.targets, gone))
            async with driver("inventory").prepare(found) as vms:
                assert vms.targets == found.targets
                assert vms.notices == ("target gone (127.0.0.1:9): connection refused",)
        with pytest.raises(TargetError, match=r"target vm01 .*: connection refused \(and 1 more\)") as caught:
            await driver("inventory").prepare(found).__aenter__()
        assert "loadgen fileset" in caught.value.hint

    asyncio.run(main())


def test_given_servers_without_a_proof_have_to_accept_connections(docroot: Path) -> None:
    async def main() -> None:
        async with request("inventory", [docroot]) as asked:
            asked = VmRequest(count=1, targets=asked.targets)
            await driver("inventory").prepare(asked).__aenter__()
        with pytest.raises(TargetError, match="vm01: connection refused"):
            await driver("inventory").prepare(asked).__aenter__()

    asyncio.run(main())


@pytest.mark.parametrize("name", [param for param in DRIVERS if param not in STARTING])
def test_a_driver_of_servers_that_run_already_refuses_a_request_without_them(name: str) -> None:
    with pytest.raises(PlanError, match=f"the VM driver {name} needs targets"):
        driver(name).prepare(VmRequest(count=1))


def test_an_unknown_driver_is_refused() -> None:
    with pytest.raises(PlanError, match="there is no VM driver 'xen'") as caught:
        catalog.choose("xen")
    assert ", ".join(catalog.DRIVERS) in caught.value.hint
