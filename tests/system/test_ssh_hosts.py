"""Machines over real SSH: what can go wrong with each is one sentence, and nothing is ever left there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from coordinator.fleet.certificates import Authority
from coordinator.fleet.dask import ssh_way
from coordinator.fleet.dask.ssh_way import SshWay
from coordinator.fleet.remote import Collect, bootstrap
from coordinator.fleet.spool import spool_path
from deploy.hosts import ssh
from deploy.hosts.inventory import Host
from deploy.hosts.ssh import Ssh
from deploy.proc import parent_in_stat
from loadgen.host import frames
from loadgen.model.errors import FleetError
from tests.support.cli import LOADGEN
from tests.support.lab import held_namespaces
from tests.support.machines import (
    CHANGED,
    HUB,
    REFUSING,
    SILENT,
    UNKNOWN,
    Limits,
    Machines,
    commands,
    needs_machines,
)
from tests.support.vms import is_running, within

pytestmark = needs_machines

T = TypeVar("T")


def asked() -> tuple[Callable[..., str], Callable[..., int]]:
    """Functions to run on agents: their names and how many files they may open.

    Made in here, so that they travel with their code: there, nobody can import this module.
    """

    def name_of(dask_worker: Any) -> str:
        return str(dask_worker.name)

    def open_files() -> int:
        import resource

        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    return name_of, open_files


NAME_OF, OPEN_FILES = asked()
RUN = "20260101-120000-ssh"
BOUND_S = 10
"""For what is bounded by a few seconds, on a machine that has other things to do, too."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with Machines(tmp_path_factory.mktemp("ssh"), limits={"m3": Limits(open_files=64, disk_bytes=65536)}) as made:
        yield made


@pytest.fixture(autouse=True)
def user(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """We are the coordinator's user; a machine is empty before and after."""
    for name in os.environ.keys() - machines.environment.keys():
        monkeypatch.delenv(name)
    for name, value in machines.environment.items():
        if not name.startswith("PYTEST"):
            monkeypatch.setenv(name, value)
    yield
    assert within(3, lambda: not any(machines.processes(name) for name in machines.names)), [
        machines.processes(name) for name in machines.names
    ]


def in_hub(machines: Machines, work: Callable[[], Awaitable[T]]) -> T:
    """The result of a coroutine function that runs in the hub's network."""

    async def whole() -> T:
        return await work()

    return machines.call(lambda: uvloop.run(whole()))


def refusal(machines: Machines, host: Host) -> str:
    """Why we can't connect to a host, or start anything there."""

    async def work() -> str:
        link = await Ssh().connect(host)
        try:
            await link.start(f"{RUN}/x", {"do": "serve"})
        finally:
            await link.close()
        return ""

    with pytest.raises(FleetError) as caught:
        in_hub(machines, work)
    assert "\n" not in caught.value.message
    return caught.value.message


@contextlib.asynccontextmanager
async def opened(way: SshWay) -> Any:
    try:
        yield await way.open()
    finally:
        await way.close()


async def until(seconds: float, happened: Callable[[], bool]) -> bool:
    """Whether it happens in time, while the loop goes on."""
    return await asyncio.to_thread(within, seconds, happened)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        (Host(name=UNKNOWN), f"the host key at 198.18.0.51:2201 is unknown (SHA256:…): connect once by hand, with "
         f"`ssh {UNKNOWN}`"),
        (Host(name=CHANGED), "the host key at 198.18.0.52:2201 differs from the one in known_hosts: SHA256:… now"),
        (Host(name=REFUSING), "it refuses root at 198.18.0.53:2201 with the available keys: does "
         f"`ssh {REFUSING}` work without a password?"),
        (Host(name="m1", user="nobody"), "it refuses nobody at 198.18.0.11:2201 with the available keys: does "
         "`ssh nobody@m1` work without a password?"),
        (Host(name="m1", port=1), "nothing listens at 198.18.0.11:1: does sshd run there?"),
        (Host(name="x", address="nowhere.invalid"), "there is no address for 'nowhere.invalid': …"),
        (Host(name="m1", command="/none/loadgen"),
         "loadgen is not installed there, or not at the path that was given: …"),
        (Host(name="m1", command="/bin/false"), "it exited with code 1"),
        (Host(name="m1", command="/bin/echo"), "its output can't be read (a frame of 2003792491 bytes is announced): "
         "does a start-up file of the shell there print something?"),
        # It is there, and answers; what it was told was no task.
        (Host(name="m1"), "it exited with code 2: serve.name is missing"),
    ],
    ids=["unknown", "changed", "key", "user", "port", "name", "absent", "fails", "talks", "garbage"],
)  # fmt: skip
def test_what_is_wrong_with_a_host_is_one_sentence(machines: Machines, host: Host, why: str) -> None:
    found = refusal(machines, host)
    for part in why.split("…"):
        assert part in found


def test_a_host_that_does_not_answer_costs_the_others_no_more_than_the_time_limit(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ssh.CONNECT_TIMEOUT_S == 10
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT_S", 2)

    async def work() -> tuple[SshWay, float, list[str]]:
        way = SshWay([Host(name=SILENT), Host(name="m1")], run_id=RUN)
        began = time.monotonic()
        async with opened(way) as joined:
            return way, time.monotonic() - began, [one.name for one in joined]

    way, took_s, joined = in_hub(machines, work)
    assert way.missing == {SILENT: "it does not answer at 198.18.0.99:2201 within 2 s"}
    assert joined == ["m1"]
    assert 2 <= took_s < ssh.CONNECT_TIMEOUT_S + BOUND_S


def test_agents_join_and_close_leaves_nothing(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []

    async def kill(link: ssh.Link, pid: int, mark: str) -> bool:
        killed.append(pid)
        return True

    monkeypatch.setattr(ssh.Link, "kill", kill)
    monkeypatch.setattr(ssh_way, "_END_S", 30)  # on a busy machine they may take more than their two seconds
    hosts = [Host(name="m1", cores=3), Host(name="m2"), Host(name=REFUSING), Host(name="m3")]

    async def work() -> None:
        way = SshWay(hosts, run_id=RUN)
        async with opened(way) as joined:
            assert [(one.name, one.engines) for one in joined] == [("m1", 3), ("m2", 0), ("m3", 0)]
            assert list(way.missing) == [REFUSING]
            for one in joined:
                assert one.address.startswith(f"tls://{machines.address(one.name)}:")
                (agent,) = commands(machines.processes(one.name), f"worker --stdin {RUN}/{one.name}")
                assert os.getpgid(agent) == agent
            names = await way.line.client.run(NAME_OF)
            assert sorted(names.values()) == ["m1", "m2", "m3"]
            limits = await way.line.client.run(OPEN_FILES, workers=[one.address for one in joined[1:]])
            assert [limits[one.address] == 64 for one in joined[1:]] == [False, True]
            await way.close()
            await way.close()
        assert not killed  # they ended by themselves

    in_hub(machines, work)
    for name in machines.names:
        assert machines.processes(name) == {}
        assert not list((machines.state(name)).iterdir())  # and nothing was written there


def test_an_agent_that_is_killed_is_gone_and_one_that_is_frozen_is_killed(machines: Machines) -> None:
    async def work() -> None:
        way = SshWay([Host(name="m1"), Host(name="m2"), Host(name="m3")], run_id=RUN)
        async with opened(way) as joined:
            assert len(joined) == 3
            agents = {name: commands(machines.processes(name), "worker --stdin")[0] for name in machines.names}
            os.kill(agents["m1"], signal.SIGKILL)
            os.kill(agents["m2"], signal.SIGSTOP)
            os.kill(agents["m3"], signal.SIGSTOP)
            assert await until(3, lambda: not machines.processes("m1"))
            await way.lose("m1")
            await way.lose("nobody")
            began = time.monotonic()
            await way.lose("m2")
            assert time.monotonic() - began < BOUND_S
            assert await until(BOUND_S, lambda: not is_running(agents["m2"]))
            began = time.monotonic()
        assert time.monotonic() - began < BOUND_S  # m3 is frozen: it has its two seconds, and is killed
        assert await until(BOUND_S, lambda: not is_running(agents["m3"]))

    in_hub(machines, work)


def test_a_host_whose_connection_is_lost_is_reached_by_another_one(machines: Machines) -> None:
    """sshd's part of it ends, the agent is frozen and does not see that."""

    async def work() -> None:
        way = SshWay([Host(name="m1")], run_id=RUN)
        async with opened(way):
            (agent,) = commands(machines.processes("m1"), "worker --stdin")
            os.kill(agent, signal.SIGSTOP)
            os.kill(_parent(agent), signal.SIGKILL)
            assert is_running(agent)
            await way.lose("m1")
            assert await until(BOUND_S, lambda: not is_running(agent))

    in_hub(machines, work)


def _parent(pid: int) -> int:
    return parent_in_stat(Path(f"/proc/{pid}/stat").read_text()) or 0


def test_a_process_that_has_the_pid_of_an_agent_is_left_alone(machines: Machines) -> None:
    async def work() -> None:
        link = await Ssh().connect(Host(name="m1"))
        try:
            assert await link.kill(bystander.pid, f"{RUN}/m1")
            assert is_running(bystander.pid)
            assert await link.kill(bystander.pid, "import time")
            assert await until(BOUND_S, lambda: not is_running(bystander.pid))
        finally:
            await link.close()

    code = "import time; time.sleep(60)"
    bystander = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        in_hub(machines, work)
    finally:
        bystander.kill()
        bystander.wait()


def test_a_coordinator_that_is_killed_leaves_nothing_there(machines: Machines, tmp_path: Path) -> None:
    program = tmp_path / "killed.py"
    program.write_text(f"""
import asyncio
from coordinator.fleet.dask.ssh_way import SshWay
from deploy.hosts.inventory import parse_list
async def main():
    way = SshWay(parse_list("m1,m2"), run_id="{RUN}")
    print(len(await way.open()), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
""")
    root = Path(__file__).parents[2]
    killed = machines.call(
        lambda: subprocess.Popen(
            [sys.executable, program], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(root)}
        )
    )
    with killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "2\n"
        assert all(machines.processes(name) for name in ("m1", "m2"))
        killed.kill()
    assert within(3, lambda: not any(machines.processes(name) for name in machines.names))


def test_agents_listen_where_the_host_says_and_reach_us_where_we_say(machines: Machines) -> None:
    async def work() -> None:
        way = SshWay(
            [Host(name="m1", bind=machines.load_address("m1")), Host(name="m2", bind="198.18.0.77")],
            run_id=RUN,
            coordinator_address="198.19.0.2",
        )
        async with opened(way) as (one,):
            assert one.address.startswith(f"tls://{machines.load_address('m1')}:")
            assert list(way.missing) == ["m2"]
            assert "m2 cannot listen at 198.18.0.77: that is no address of this machine" in way.missing["m2"]

    in_hub(machines, work)


def test_through_another_machine_it_must_be_said_where_we_are(machines: Machines) -> None:
    def by(name: str) -> Host:
        return Host(name="far", address=name)

    config = machines.home / ".ssh" / "config"
    before = config.read_text()
    config.write_text(f"Host far\n    ProxyJump m1\n    HostName 198.18.0.12\n    Port 2202\n{before}")

    async def work() -> None:
        way = SshWay([by("far")], run_id=RUN)
        async with opened(way) as joined:
            assert joined == ()
            assert "--coordinator" in way.missing["far"]
        way = SshWay([by("far")], run_id=RUN, coordinator_address=HUB)
        async with opened(way) as (one,):
            assert one.address.startswith("tls://198.18.0.12:")

    try:
        in_hub(machines, work)
    finally:
        config.write_text(before)


def test_what_a_machine_kept_is_fetched_and_deleted_once_it_was(machines: Machines) -> None:
    content = os.urandom((4 << 20) + 4711)
    digest = hashlib.sha256(content).hexdigest()
    path = spool_path(machines.state("m1") / "loadgen" / "spool", RUN, "m1")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)

    async def fetched(*, delete: bool, received: str) -> bytes:
        link = await Ssh().connect(Host(name="m1"))
        remote = await link.start(f"{RUN}/m1", bootstrap(Collect(run_id=RUN, name="m1", delete=delete)))
        try:
            found = b""
            while (message := await remote.receive()) is not None and message["is"] == "spool":
                found += message["data"]
            if message is None:
                raise FleetError(await remote.why_ended())
            assert message == {"is": "end", "bytes": len(content), "sha256": digest}
            if delete:
                remote.tell({"do": "received", "sha256": received})
            remote.end_input()
            await remote.wait_ended()
            assert (await remote.why_ended()) == "it exited with code 0"
        finally:
            await remote.close()
            await link.close()
        return found

    assert in_hub(machines, lambda: fetched(delete=True, received="0" * 64)) == content
    assert path.exists()
    assert in_hub(machines, lambda: fetched(delete=True, received=digest)) == content
    assert not path.parent.exists()

    async def again() -> None:
        await fetched(delete=False, received="")

    with pytest.raises(FleetError, match=f"there is no spool of m1 in run {RUN} here"):
        in_hub(machines, again)
    path.parent.parent.rmdir()
    path.parent.parent.parent.rmdir()


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "what this worker was told cannot be read: a frame of 1195725856 bytes"),
        (frames.encode({"do": "serve", "name": "a", "scheduler": "tcp://127.0.0.1:1", "credentials": "x"}),
         "its certificate is not a certificate of ours"),
    ],
    ids=["http", "certificate"],
)  # fmt: skip
def test_a_garbled_bootstrap_is_one_line(told: bytes, why: str, machines: Machines) -> None:
    done = subprocess.run([LOADGEN, "worker", "--stdin", "x"], input=told, capture_output=True, timeout=20, check=False)
    assert done.returncode == 2
    line, *hint = done.stderr.decode().splitlines()
    assert line.startswith(f"loadgen: {why}")
    assert all(one.startswith("hint: ") for one in hint)


def test_a_worker_joins_by_hand_and_ends_with_the_coordinator(machines: Machines, tmp_path: Path) -> None:
    from coordinator.fleet.dask.join_way import JoinWay

    done = machines.loadgen("fleet", "certificates", tmp_path / "certs", "--workers", "2", cwd=tmp_path)
    assert done.out.startswith("coordinator.pem and worker-0.pem to worker-1.pem")
    Authority().issue("stranger").write(tmp_path / "certs" / "worker-9.pem")
    said: list[str] = []

    async def work() -> list[str]:
        way = JoinWay(HUB, 0, tmp_path / "certs", 2, said.append)
        try:
            joined = await way.open()
            assert sorted((await way.line.client.run(NAME_OF)).values()) == ["a", "b"]
            return [one.name for one in joined]
        finally:
            await way.close()

    def start(number: int, name: str) -> subprocess.Popen[str]:
        cert = tmp_path / "certs" / f"worker-{number}.pem"
        return machines.start("worker", "--join", join, "--cert", cert, "--name", name, cwd=tmp_path)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(in_hub, machines, work)
        assert within(30, lambda: bool(said) or running.done())
        join = said[0].split(" --join ")[1].split()[0]
        # While the coordinator is there to refuse it: one that comes later waits ten minutes for another.
        stranger = start(9, "stranger")
        _, refused = stranger.communicate(timeout=30)
        workers = [start(1, "b"), start(0, "a")]
        assert running.result(timeout=60) == ["a", "b"]
    assert within(5, lambda: all(worker.poll() is not None for worker in workers))
    assert [worker.returncode for worker in workers] == [0, 0]
    assert workers[0].communicate()[1].splitlines()[-1] == "b ends: the coordinator is gone"
    assert stranger.returncode == 3
    assert refused.splitlines()[1].startswith("loadgen: the coordinator at tls://198.18.0.1:")


def test_nothing_of_it_outlives_a_test_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from tests.support.machines import Machines
with Machines(Path({str(tmp_path)!r})) as machines:
    machines.start("worker", "--join", "198.18.0.1:9", "--cert", "none", cwd=Path("/"))
    print(*(Path(place.path).readlink().name[5:-1] for place in machines._places.values()), flush=True)
    time.sleep(60)
"""
    root = Path(__file__).parents[2]
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=root)
    with holder:
        assert holder.stdout is not None
        made = set(map(int, holder.stdout.readline().split()))
        assert len(made) == 5
        assert made <= held_namespaces()
        holder.kill()
    assert within(20, lambda: not held_namespaces() & made)
