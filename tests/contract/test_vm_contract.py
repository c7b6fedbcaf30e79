"""The contract of VM drivers: laws of every driver of the catalog, and of the toy driver of CONTRIBUTING's recipe."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.servers.builtin import find as find_builtin
from deploy.vms import catalog
from deploy.vms.api import Deployment, VmDeath, VmDriver, VmRequest
from deploy.vms.local import LocalVms
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.plan import Server
from loadgen.model.target import Target
from tests.support.toy_driver import Toy
from tests.support.vms import descendants, is_running, make_file_set, vm_request, within


def driver(name: str) -> VmDriver:
    return Toy() if name == "toy" else catalog.choose(name)


DRIVERS = (*catalog.names(), "toy")
STARTING = tuple(name for name in DRIVERS if driver(name).starts_servers)


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_file_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(autouse=True)
def tmpdir_of_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the directory for files of drivers; its path is short, because it contains unix sockets."""
    with tempfile.TemporaryDirectory(prefix="t") as path:
        monkeypatch.setenv("TMPDIR", path)
        yield Path(path)


@asynccontextmanager
async def request(name: str, docroots: list[Path]) -> AsyncIterator[VmRequest]:
    """Return a request that the driver can meet; inside the context, servers for it run if the driver starts none."""
    if driver(name).starts_servers:
        yield vm_request(docroots, server=Server.BUILTIN)
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
        path = vm_request([docroot]).proof_path
        assert [await asyncio.to_thread(status, target, path) for target in vms.targets] == [200] * 3

    play(name, [docroot] * 3, scenario)


@pytest.mark.parametrize("name", DRIVERS)
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


@pytest.mark.parametrize("name", STARTING)
def test_a_taken_port_is_named_and_nothing_is_left(name: str, docroot: Path, tmpdir_of_runs: Path) -> None:
    before = left_in(tmpdir_of_runs)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = int(other.getsockname()[1])
        request = vm_request([docroot], base_port=port, server=Server.BUILTIN)
        with pytest.raises(PlanError, match=f"port {port} on 127.0.0.1 is taken"):
            asyncio.run(enter(driver(name).prepare(request)))
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
    monkeypatch.setattr("deploy.vms.local._READY_S", 1.0)
    monkeypatch.setattr("tests.support.toy_driver.READY_S", 1.0)
    before = left_in(tmpdir_of_runs)

    async def main() -> None:
        with pytest.raises(TargetError, match=r"vm.* does not serve"):
            await driver(name).prepare(vm_request([docroot, docroot, tmp_path], server=Server.BUILTIN)).__aenter__()
        assert processes() == before[0]

    asyncio.run(main())
    assert left_in(tmpdir_of_runs) == before


@pytest.mark.parametrize("name", STARTING)
def test_a_vm_that_lacks_only_the_proof_is_refused(name: str, docroot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.vms.local._READY_S", 1.0)
    monkeypatch.setattr("tests.support.toy_driver.READY_S", 1.0)
    request = replace(vm_request([docroot], server=Server.BUILTIN), proof_path="/file_set/dir00001/class0_0")
    with pytest.raises(TargetError, match="does not serve /file_set/dir00001/class0_0"):
        asyncio.run(enter(driver(name).prepare(request)))


@pytest.mark.parametrize("name", STARTING)
def test_a_start_that_is_cancelled_leaves_nothing(
    name: str, docroot: Path, tmp_path: Path, tmpdir_of_runs: Path
) -> None:
    before = left_in(tmpdir_of_runs)

    async def main() -> None:
        vms = driver(name).prepare(vm_request([docroot, tmp_path], server=Server.BUILTIN))
        starting = asyncio.create_task(vms.__aenter__())
        assert await asyncio.to_thread(within, 20, lambda: len(processes()) >= len(before[0]) + 2)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert processes() == before[0]

    asyncio.run(main())
    assert left_in(tmpdir_of_runs) == before


@pytest.mark.parametrize("name", DRIVERS)
def test_counters_are_totals_by_target(name: str, docroot: Path) -> None:
    async def scenario(vms: Deployment) -> None:
        first, second = vms.counters(), vms.counters()
        assert set(first) <= {target.name for target in vms.targets}
        assert all(second[vm][counter] >= total for vm, totals in first.items() for counter, total in totals.items())

    play(name, [docroot], scenario)


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


def test_an_unknown_driver_and_a_driver_without_servers_are_refused() -> None:
    with pytest.raises(PlanError, match="needs targets"):
        driver("inventory").prepare(VmRequest(count=1))
    with pytest.raises(PlanError, match="there is no VM driver 'xen'") as caught:
        catalog.choose("xen")
    assert ", ".join(catalog.names()) in caught.value.hint
