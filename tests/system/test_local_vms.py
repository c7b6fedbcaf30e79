"""The driver `local` with real processes: what is left when a process dies, and how errors are reported."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deploy.proc import children_of
from deploy.servers import builtin
from deploy.servers.base import Setup, Vm, WebServer
from deploy.vms.api import VmDeath
from deploy.vms.local import Local, LocalVms
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.plan import Server
from tests.support.vms import EVERY_SERVER, descendants, is_running, make_file_set, running, vm_request, within

COORDINATOR = """
import asyncio, sys
from pathlib import Path
from deploy.vms.catalog import choose
from loadgen.model.plan import Server
from tests.support.vms import vm_request

async def main():
    async with choose("local").prepare(vm_request([Path(sys.argv[2])] * 3, server=Server(sys.argv[1]))):
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""

ALL_DIE_IN_ONE_TURN = """
import os, signal
from pathlib import Path
from deploy.warden import Warden
from deploy.wire import AppWorker, Launch

warden = Warden(Path("."), print, os.pipe()[0], os.pipe()[1])
app = AppWorker(docroot="", workdir="", static=True)
for name in "ab":
    warden._start(Launch(vm=name, directory=".", app=app), "app", signal.pause)
for pid in warden._children:
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
select = warden._selector.select
warden._selector.select = lambda timeout: sorted(select(timeout), key=lambda ready: ready[0].data is not None)
warden._turn(5)
print(len(warden._children))
"""


@dataclass(frozen=True)
class WithProgram:
    """The builtin server with another program beside it, or (`in_front`) that program in place of nginx or Apache."""

    code: str
    in_front: bool = False
    kind: Server = Server.NGINX
    version: str = "0"
    programs: tuple[str, ...] = ()

    def files_needed(self, connections: int) -> int:
        return connections

    def setup(self, vm: Vm) -> Setup:
        setup = builtin.find().setup(vm)
        app = setup.launch.app
        assert app is not None
        app = replace(app, unix_socket=str(vm.app_socket)) if self.in_front else app
        argv = ("program", sys.executable, "-c", self.code)
        return replace(setup, launch=replace(setup.launch, app=app, program=argv))


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_file_set(tmp_path_factory.mktemp("set"))


@pytest.fixture
def tmpdir_of_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory for runs; its path is short, because it contains unix sockets."""
    with tempfile.TemporaryDirectory(prefix="t") as path:
        monkeypatch.setenv("TMPDIR", path)
        yield Path(path)


def warden_pid() -> int:
    (pid,) = children_of(os.getpid())
    return pid


def is_served(vms: LocalVms, index: int) -> bool:
    target = vms.targets[index]
    try:
        socket.create_connection((target.host, target.port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


async def deaths(vms: LocalVms, count: int) -> list[VmDeath]:
    found: list[VmDeath] = []
    async for death in vms.deaths():
        found.append(death)
        if len(found) == count:
            break
    return found


async def start(server: WebServer, docroots: list[Path], base_port: int = 0) -> None:
    async with LocalVms(server, vm_request(docroots, base_port=base_port)):
        pass


@pytest.mark.parametrize("server", EVERY_SERVER)
def test_sixteen_vms_start_on_different_ports(server: WebServer, docroot: Path, tmpdir_of_runs: Path) -> None:
    with running(server, [docroot] * 16) as vms:
        assert len({target.port for target in vms.targets}) == 16
        assert [target.name for target in vms.targets][::15] == ["vm01", "vm16"]
        assert all(is_served(vms, index) for index in range(16))
        fds = [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in children_of(warden_pid())]
        assert max(fds) < 40  # of 16 or 32 processes: no process has inherited descriptors of another
    assert list(tmpdir_of_runs.iterdir()) == []


def test_each_vm_may_have_its_own_document_root(docroot: Path, tmp_path: Path) -> None:
    own = make_file_set(tmp_path)
    (own / "file_set/dir00000/only_here").write_text("own")
    with running(builtin.find(), [docroot, own]) as vms:
        assert len(vms.targets) == 2


@pytest.mark.parametrize("server", EVERY_SERVER)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
def test_no_process_survives_the_coordinator(
    server: WebServer, number: signal.Signals, docroot: Path, tmpdir_of_runs: Path
) -> None:
    argv = [sys.executable, "-c", COORDINATOR, server.kind.value, str(docroot)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as coordinator:
        assert coordinator.stdout is not None
        assert coordinator.stdout.readline() == b"ready\n"
        pids = descendants(coordinator.pid)
        assert len(pids) >= 4
        coordinator.send_signal(number)
    assert within(10, lambda: not any(is_running(pid) for pid in pids) and not any(tmpdir_of_runs.iterdir()))


@pytest.mark.parametrize("server", EVERY_SERVER)
def test_no_process_survives_the_warden(server: WebServer, docroot: Path, tmpdir_of_runs: Path) -> None:
    async def scenario() -> list[VmDeath]:
        async with LocalVms(server, vm_request([docroot] * 3)) as vms:
            pid = warden_pid()
            pids = children_of(pid)
            os.kill(pid, signal.SIGKILL)
            found = await asyncio.wait_for(deaths(vms, 3), 20)
            assert within(10, lambda: not any(is_running(pid) for pid in pids))
            return found

    assert {death.name for death in asyncio.run(scenario())} == {"vm01", "vm02", "vm03"}
    assert list(tmpdir_of_runs.iterdir()) == []


@pytest.mark.parametrize("server", EVERY_SERVER)
def test_a_coordinator_and_a_warden_killed_together_leave_no_process(
    server: WebServer, docroot: Path, tmpdir_of_runs: Path
) -> None:
    argv = [sys.executable, "-c", COORDINATOR, server.kind.value, str(docroot)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as coordinator:
        assert coordinator.stdout is not None
        assert coordinator.stdout.readline() == b"ready\n"
        pids = descendants(coordinator.pid)
        (warden,) = children_of(coordinator.pid)
        os.kill(warden, signal.SIGSTOP)  # so that the warden cannot clean up
        coordinator.kill()
        os.kill(warden, signal.SIGKILL)
    assert within(10, lambda: not any(is_running(pid) for pid in pids))


def test_a_dead_vm_is_named() -> None:
    async def scenario(docroot: Path) -> tuple[VmDeath, list[bool]]:
        async with LocalVms(builtin.find(), vm_request([docroot] * 3)) as vms:
            os.kill(children_of(warden_pid())[1], signal.SIGKILL)
            (death,) = await asyncio.wait_for(deaths(vms, 1), 5)
            return death, [is_served(vms, index) for index in range(3)]

    with tempfile.TemporaryDirectory() as path:
        death, served = asyncio.run(scenario(make_file_set(Path(path))))
    assert served.count(False) == 1
    assert death == VmDeath(name=f"vm{served.index(False) + 1:02d}", reason="app was killed by SIGKILL")


def test_vms_that_die_together_do_not_end_the_warden(tmp_path: Path) -> None:
    """The warden may learn of the deaths before it reads the ends of the outputs."""
    argv = [sys.executable, "-c", ALL_DIE_IN_ONE_TURN]
    done = subprocess.run(argv, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path.cwd())}, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"0\n", b"")


def test_a_taken_port_is_named_before_anything_starts(docroot: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PlanError, match=f"port {port} on 127.0.0.1 is taken") as caught:
            asyncio.run(start(builtin.find(), [docroot], base_port=port))
    assert "0 for any" in caught.value.hint


def test_a_host_of_another_machine_is_named(docroot: Path) -> None:
    async def scenario() -> None:
        async with LocalVms(builtin.find(), vm_request([docroot], address="192.0.2.1")):
            pass

    with pytest.raises(PlanError, match=r"192\.0\.2\.1 is not an address of this machine"):
        asyncio.run(scenario())


def test_too_many_connections_for_the_limit_of_open_files_are_refused(docroot: Path) -> None:
    with pytest.raises(PlanError, match="open files"):
        Local().prepare(vm_request([docroot], connections=10**9, server=Server.BUILTIN))


def test_two_simultaneous_runs_use_different_ports(docroot: Path) -> None:
    async def scenario() -> set[int]:
        first, second = (LocalVms(builtin.find(), vm_request([docroot] * 4)) for _ in range(2))
        try:
            await asyncio.gather(first.__aenter__(), second.__aenter__())
            return {target.port for vms in (first, second) for target in vms.targets}
        finally:
            await first.close()
            await second.close()

    assert len(asyncio.run(scenario())) == 8


def test_the_last_output_of_a_failed_program_is_reported(docroot: Path, tmpdir_of_runs: Path) -> None:
    server = WithProgram("import sys; sys.exit('bad directive')", in_front=True)
    with pytest.raises(TargetError, match=r"vm\d\d did not start: program exited with status 1: bad directive"):
        asyncio.run(start(server, [docroot] * 2))
    assert list(tmpdir_of_runs.iterdir()) == []
    assert children_of(os.getpid()) == []


@dataclass(frozen=True)
class Spoilt:
    """A server whose configuration has an invalid line."""

    server: WebServer
    kind: Server = Server.NGINX
    version: str = "0"
    programs: tuple[str, ...] = ()

    def files_needed(self, connections: int) -> int:
        return self.server.files_needed(connections)

    def setup(self, vm: Vm) -> Setup:
        setup = self.server.setup(vm)
        return replace(setup, files={name: f"{text}\nnonsense;\n" for name, text in setup.files.items()})


@pytest.mark.parametrize("server", [server for server in EVERY_SERVER if server.id != "builtin"])
def test_the_error_in_a_refused_configuration_is_quoted(server: WebServer, docroot: Path) -> None:
    with pytest.raises(TargetError, match=r"vm01 did not start: .*nonsense"):
        asyncio.run(start(Spoilt(server), [docroot]))


def test_a_missing_file_set_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalVms, "ready_s", 0.2)
    with pytest.raises(TargetError, match=r"vm01 .* does not serve /file_set/dir00000/class0_0: .*404"):
        asyncio.run(start(builtin.find(), [tmp_path]))


def test_a_program_with_much_output_is_not_stopped_and_its_output_is_not_kept_completely(
    docroot: Path, tmpdir_of_runs: Path
) -> None:
    flag = tmpdir_of_runs / "said"
    code = f"""
import pathlib, time
for _ in range(3000):
    print("y" * 999)
pathlib.Path({str(flag)!r}).touch()
time.sleep(60)
"""
    with running(WithProgram(code), [docroot]):
        assert within(20, flag.exists)
        (log,) = tmpdir_of_runs.glob("loadgen-*/vm01/program.log")
        assert 100 < log.stat().st_size <= 1 << 20


def test_a_program_that_ignores_sigterm_is_killed(docroot: Path, tmpdir_of_runs: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    with running(WithProgram(code), [docroot]):
        pids = children_of(warden_pid())
        assert len(pids) == 2
    assert not any(is_running(pid) for pid in pids)
    assert list(tmpdir_of_runs.iterdir()) == []


def test_processes_left_by_a_program_are_ended(docroot: Path, tmpdir_of_runs: Path) -> None:
    """The program starts a daemon: a grandchild in a session of its own, whose parent has ended."""
    note = tmpdir_of_runs / "pid"
    code = f"""
import os, pathlib, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        pathlib.Path({str(note)!r}).write_text(str(os.getpid()))
        time.sleep(60)
    os._exit(0)
time.sleep(60)
"""
    with running(WithProgram(code), [docroot]):
        assert within(20, lambda: note.exists() and note.read_text() != "")
        pid = int(note.read_text())
        assert is_running(pid)
    assert not is_running(pid)


def test_the_error_of_a_supervisor_that_does_not_start_is_quoted(
    docroot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (sys.executable, "-c", "raise OSError('no room for it')")
    monkeypatch.setattr("deploy.vms.processes._WARDEN", broken)
    with pytest.raises(TargetError, match="supervisor did not start: OSError: no room for it"):
        asyncio.run(start(builtin.find(), [docroot]))


def test_a_cancelled_start_leaves_nothing(docroot: Path, tmpdir_of_runs: Path) -> None:
    async def scenario() -> None:
        task = asyncio.create_task(start(WithProgram("import time; time.sleep(60)", in_front=True), [docroot] * 2))
        assert await asyncio.to_thread(within, 20, lambda: any(tmpdir_of_runs.glob("loadgen-*/vm02")))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert children_of(os.getpid()) == []
    assert list(tmpdir_of_runs.iterdir()) == []
