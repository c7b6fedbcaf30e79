"""Machines over real SSH: each fault of a host is reported in one sentence, and nothing is left on a machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.fleet.dask import ssh_way
from coordinator.fleet.dask.hub import Hub
from coordinator.fleet.dask.ssh_way import SshWay
from deploy.hosts import connect, ssh
from deploy.hosts.inventory import Host
from deploy.hosts.ssh import Ssh
from deploy.proc import parent_in_stat
from loadgen.model.errors import FleetError, PlanError
from loadgen.model.port_range import PortRange
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
from tests.support.ssh_hosts import BOUND_S, NAME_OF, OPEN_FILES, RUN, as_coordinators_user, in_hub
from tests.support.vms import is_running, within

pytestmark = needs_machines


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with Machines(tmp_path_factory.mktemp("ssh"), limits={"m3": Limits(open_files=64, disk_bytes=65536)}) as made:
        yield made


@pytest.fixture(autouse=True)
def user(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with as_coordinators_user(machines, monkeypatch):
        yield


def refusal(machines: Machines, host: Host) -> str:
    """Return the message of the error when a host cannot be connected to, or no agent can be started there."""

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
    """Whether `happened` becomes true in time, while the event loop continues."""
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
        (Host(name="m1", command="/bin/echo"),
         f"it exited with code 0; the machine printed 'worker --stdin {RUN}/x' instead of starting loadgen: may the "
         "account run commands there (its login shell, ForceCommand)?"),
        # The worker runs and answers, but its task is not valid.
        (Host(name="m1"), "it exited with code 2: serve.name is missing"),
    ],
    ids=["unknown", "changed", "key", "user", "port", "name", "absent", "fails", "talks", "garbage"],
)  # fmt: skip
def test_faults_of_a_host_are_reported_in_one_sentence(machines: Machines, host: Host, why: str) -> None:
    found = refusal(machines, host)
    for part in why.split("…"):
        assert part in found


def test_a_host_that_does_not_answer_delays_the_others_only_for_the_time_limit(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect.CONNECT_TIMEOUT_S == 10
    monkeypatch.setattr(connect, "CONNECT_TIMEOUT_S", 2)

    async def work() -> tuple[SshWay, float, list[str]]:
        way = SshWay([Host(name=SILENT), Host(name="m1")], run_id=RUN)
        began = time.monotonic()
        async with opened(way) as joined:
            return way, time.monotonic() - began, [one.name for one in joined]

    way, took_s, joined = in_hub(machines, work)
    assert way.missing == {SILENT: "it does not answer at 198.18.0.99:2201 within 2 s"}
    assert joined == ["m1"]
    assert 2 <= took_s < connect.CONNECT_TIMEOUT_S + BOUND_S


def test_agents_join_and_close_leaves_no_process(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []

    async def kill(link: ssh.Link, pid: int, mark: str) -> bool:
        killed.append(pid)
        return True

    monkeypatch.setattr(ssh.Link, "kill", kill)
    monkeypatch.setattr(ssh_way, "_END_S", 30)  # on a busy machine they can take longer than two seconds
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
        assert not killed  # the agents ended by themselves

    in_hub(machines, work)
    for name in machines.names:
        assert machines.processes(name) == {}
        assert not list((machines.state(name)).iterdir())  # no file was written on the machine


def test_a_killed_agent_is_gone_and_a_suspended_agent_is_killed(machines: Machines) -> None:
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
        assert time.monotonic() - began < BOUND_S  # m3 is suspended: it gets two seconds, then it is killed
        assert await until(BOUND_S, lambda: not is_running(agents["m3"]))

    in_hub(machines, work)


def test_a_host_with_a_lost_connection_is_reached_by_a_new_one(machines: Machines) -> None:
    """The sshd process of the connection ends; the agent is suspended and does not notice that."""

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


def test_another_process_with_the_pid_of_an_agent_is_left_alone(machines: Machines) -> None:
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


def test_a_killed_coordinator_leaves_no_process_on_machines(machines: Machines, tmp_path: Path) -> None:
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


def test_agents_listen_at_the_hosts_bind_address_and_use_the_given_coordinator_address(machines: Machines) -> None:
    async def work() -> None:
        way = SshWay(
            [Host(name="m1", bind=machines.load_address("m1")), Host(name="m2", bind="198.18.0.77")],
            run_id=RUN,
            coordinator_address="198.19.0.2",
        )
        async with opened(way) as (one,):
            assert one.address.startswith(f"tls://{machines.load_address('m1')}:")
            assert list(way.missing) == ["m2"]
            assert "m2 cannot listen at 198.18.0.77, which is not an address of this machine" in way.missing["m2"]

    in_hub(machines, work)


def test_all_listen_at_the_given_ports(machines: Machines) -> None:
    ports = PortRange(15000, 15001)

    async def work() -> None:
        way = SshWay([Host(name="m1"), Host(name="m2")], run_id=RUN, ports=ports)
        async with opened(way) as joined:
            assert [one.address.rpartition(":")[2] for one in joined] == ["15000", "15000"]
            assert isinstance(way.line, Hub)
            assert way.line.contact(HUB).endswith(":15000")
            other = SshWay([Host(name="m1")], run_id=f"{RUN}-2", ports=ports)
            async with opened(other) as (one,):
                assert one.address.endswith(":15001")
            full = SshWay(
                [Host(name="m1", bind=machines.address("m1"))], run_id=f"{RUN}-3", ports=PortRange(15000, 15000)
            )
            with pytest.raises(PlanError, match="cannot listen at any of the ports 15000"):
                await full.open()

    in_hub(machines, work)


def test_through_a_jump_host_the_coordinator_address_must_be_given(machines: Machines) -> None:
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
