"""The driver `oci`: its limits bite, and nothing is left, however a run ends, with its own engine or another."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.limits.groups import granted, usage
from deploy.oci.engine import Container
from deploy.oci.image import python_paths
from deploy.oci.owner import OWNER, RUN, labels
from deploy.vms.oci import Oci, OciVms
from loadgen.model.errors import TargetError
from loadgen.model.limits import VmLimits
from loadgen.model.plan import Server
from tests.support.boxes import all_pids, groups_of, members, mounts_below, namespaces_of, needs_root
from tests.support.containers import names_in, needs_engine, running_engine
from tests.support.vms import descendants, is_running, make_file_set, vm_request, within
from workloads.specweb99.urls import DYNAMIC_CGI

pytestmark = needs_engine

_COORDINATOR = """
import asyncio, sys
from pathlib import Path
from deploy.vms.oci import Oci
from loadgen.model.plan import Server
from tests.support.vms import vm_request

async def main():
    async with Oci().prepare(vm_request([Path(sys.argv[1])] * int(sys.argv[2]), server=Server.BUILTIN)):
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""

_BOMB = "import os, time\nfor _ in range(99):\n    try: os.fork() or time.sleep(60)\n    except OSError: pass"
_SPIN = "while True: pass"
_HOG = "x = bytearray(400 << 20)\nimport time; time.sleep(60)"


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_file_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(autouse=True)
def tmpdir_of_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the directory for files of runs; on a disk, because a limit of the disk rate needs one."""
    with tempfile.TemporaryDirectory(prefix="o", dir="/var/tmp") as path:
        monkeypatch.setattr(tempfile, "tempdir", path)
        monkeypatch.setenv("TMPDIR", path)
        yield Path(path)


def ask(docroots: list[Path], **changes: Any) -> OciVms:
    return Oci().prepare(vm_request(docroots, server=Server.BUILTIN, **changes))


def play(vms: OciVms, scenario: Callable[[OciVms], Awaitable[None]]) -> None:
    async def main() -> None:
        async with vms:
            await scenario(vms)

    asyncio.run(main())


async def until(happened: Callable[[], bool]) -> bool:
    return await asyncio.to_thread(within, 60, happened)


def left(owner: int, temporary: Path) -> tuple[Any, ...]:
    """Return processes, mounts, cgroups and files that `owner` may have left."""
    return descendants(owner), mounts_below(temporary), groups_of(owner), sorted(temporary.iterdir())


@needs_root
def test_each_limit_is_granted_and_bites(docroot: Path) -> None:
    """A fork bomb, a busy loop, and a program that takes too much memory; the kernel's own counters are compared."""
    limits = VmLimits(cpus=0.2, cpu_shares=512, memory_bytes=256 << 20, pids=24, disk_bytes_per_s=20 << 20)

    async def scenario(vms: OciVms) -> None:
        bombed, hogged = vms.groups["vm01"], vms.groups["vm02"]
        for group in (bombed, hogged):
            found = granted(group)
            assert found["cpus"] == 0.2
            assert found["memory_bytes"] == 256 << 20
            assert found["pids"] == 24
            assert found["disk_bytes_per_s"] == 20 << 20
            assert found.get("cpu_shares", 512) == 512
        assert vms.facts.details["limits"] == granted(bombed)
        vms.run("vm01", ("bomb", sys.executable, "-S", "-c", _BOMB))
        assert await until(lambda: (usage(bombed).pids_refused or 0) > 0)
        assert (usage(bombed).pids or 0) <= 24
        assert usage(hogged).pids_refused == 0
        before = usage(hogged).throttled or 0
        vms.run("vm02", ("spin", sys.executable, "-S", "-c", _SPIN))
        assert await until(lambda: (usage(hogged).throttled or 0) - before >= 5)
        vms.run("vm02", ("hog", sys.executable, "-S", "-c", _HOG))
        async for death in vms.deaths():
            if death.name == "vm02":
                break
        assert "its memory limit of 256M was reached" in death.reason

    play(ask([docroot] * 2, limits=limits), scenario)


def test_a_vm_has_its_own_processes_and_files(docroot: Path, tmpdir_of_runs: Path) -> None:
    code = (
        "import os, sys; open('/etc/loadgen-test', 'w').close(); "
        "print(len([n for n in os.listdir('/proc') if n.isdecimal()]), os.path.exists('/usr/share'), end=' '); "
        "print(os.access(sys.argv[1], os.W_OK), os.access(sys.argv[2], os.W_OK), flush=True)"
    )

    async def scenario(vms: OciVms) -> None:
        page = f"http://{vms.targets[0].authority}{DYNAMIC_CGI}?/file_set/dir00000/class0_0"  # a script for /bin/sh
        with await asyncio.to_thread(urllib.request.urlopen, page, timeout=60) as reply:
            assert reply.status == 200
        vms.run("vm01", ("look", sys.executable, "-S", "-c", code, str(docroot), python_paths()[0]))
        await asyncio.wait_for(anext(vms.deaths()), 60)  # it has ended
        (log,) = await asyncio.to_thread(lambda: list(tmpdir_of_runs.glob("loadgen-vms-*/vm01/look.log")))
        assert log.read_text() == "3 False False False\n"
        assert vms.facts.details["engine"].startswith("podman ")

    play(ask([docroot]), scenario)
    assert not Path("/etc/loadgen-test").exists()


def test_the_third_of_eight_vms_that_fails_leaves_nothing(
    docroot: Path, tmpdir_of_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = left(os.getpid(), tmpdir_of_runs)
    monkeypatch.setattr("deploy.vms.oci.Container", _broken_third)
    with pytest.raises(TargetError, match=r"vm03: the engine does not start its container: .*no/such/program"):
        asyncio.run(ask([docroot] * 8).__aenter__())
    assert left(os.getpid(), tmpdir_of_runs) == before


def _broken_third(**fields: Any) -> Container:
    return Container(**{**fields, **({"command": ("/no/such/program",)} if fields["vm"] == "vm03" else {})})


def test_a_container_that_ends_before_its_first_word_is_named(docroot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(**fields: Any) -> Container:
        return Container(**{**fields, "command": (sys.executable, "-S", "-c", "")})

    monkeypatch.setattr("deploy.vms.oci.Container", silent)
    with pytest.raises(TargetError, match="vm01 did not start: its container ended: it printed no message"):
        asyncio.run(ask([docroot]).__aenter__())


def test_a_document_root_that_is_missing_is_named_and_not_made(docroot: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"vm02: the document root .*/gone does not exist"):
        asyncio.run(ask([docroot, tmp_path / "gone"]).__aenter__())
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("moment", ["mid-start", "mid-run"])
def test_nothing_is_left_after_sigkill_of_loadgen_and_its_warden(
    moment: str, docroot: Path, tmpdir_of_runs: Path
) -> None:
    """Empty cgroups and files remain, and the next run removes them."""
    code = [sys.executable, "-c", _COORDINATOR, str(docroot), "3"]
    with subprocess.Popen(code, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        if moment == "mid-run":
            assert killed.stdout.readline() == b"ready\n"
        else:
            assert within(60, lambda: any(tmpdir_of_runs.glob("loadgen-vms-*/vm01/cgroups")))
        started = descendants(killed.pid)
        namespaces = namespaces_of(started)
        assert len(namespaces) >= 4
        os.kill(killed.pid, signal.SIGSTOP)  # so that both are killed at one moment
        killed.kill()
        os.kill(started[0], signal.SIGKILL)
    assert within(20, lambda: not any(is_running(pid) for pid in started))
    assert within(20, lambda: not namespaces & namespaces_of(all_pids()))
    assert not mounts_below(tmpdir_of_runs)
    assert not members(groups_of(killed.pid))
    with pytest.raises(TargetError):  # a run that does not even come up removes them
        asyncio.run(ask([tmpdir_of_runs / "gone"]).__aenter__())
    assert not groups_of(killed.pid)
    assert within(10, lambda: not any(tmpdir_of_runs.iterdir()))


# --- an engine that is not loadgen's own


@needs_root
def test_another_engine_is_left_as_it_was(
    docroot: Path, tmpdir_of_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="e", dir="/var/tmp") as place, running_engine(Path(place)) as engine:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{place}/service/engine.sock")
        monkeypatch.setattr("deploy.oci.finding.find_podman", lambda: None)  # it is not started

        async def scenario(vms: OciVms) -> None:
            assert not vms.facts.details["engine"].endswith("run")
            found = engine.containers.list()
            assert len(found) == 2
            assert all(one.labels[RUN] for one in found)
            assert set(vms.groups) == {"vm01", "vm02"}

        play(ask([docroot] * 2), scenario)
        assert names_in(engine) == []
        images = [image.id for image in engine.images.list()]
        assert len(images) == 1

        # loadgen is killed: its containers end by themselves
        code = [sys.executable, "-c", _COORDINATOR, str(docroot), "2"]
        with subprocess.Popen(code, stdout=subprocess.PIPE) as killed:
            assert killed.stdout is not None
            assert killed.stdout.readline() == b"ready\n"
            killed.kill()
        assert within(60, lambda: names_in(engine) == [])

        # leftovers of runs that were killed are removed, and those of runs that go on are not
        name = engine.images.list()[0].tags[0]
        dead = {**labels(), OWNER: f"{os.getpid()}-1"}
        engine.containers.create(name, ["/no"], name="dead", labels=dead, network_mode="host")
        engine.containers.create(name, ["/no"], name="alive", labels=labels(), network_mode="host")
        with pytest.raises(TargetError, match="does not exist"):
            asyncio.run(ask([tmp_path / "gone"]).__aenter__())
        assert names_in(engine) == ["alive"]
        assert [image.id for image in engine.images.list()] == images
