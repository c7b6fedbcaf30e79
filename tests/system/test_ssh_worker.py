"""`loadgen worker` and the spool over real SSH: fetched once, invalid tasks refused, joined by hand."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordinator.fleet.certificates import Authority
from deploy.hosts.inventory import Host
from deploy.hosts.ssh import Ssh
from loadgen.agent.bootstrap import Collect, bootstrap
from loadgen.agent.spool import spool_path
from loadgen.host import frames
from loadgen.model.errors import FleetError
from tests.support.cli import LOADGEN
from tests.support.lab import held_namespaces
from tests.support.machines import (
    HUB,
    Machines,
    needs_machines,
)
from tests.support.ssh_hosts import NAME_OF, RUN, as_coordinators_user, in_hub
from tests.support.vms import within

pytestmark = needs_machines


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with Machines(tmp_path_factory.mktemp("ssh"), count=1) as made:
        yield made


@pytest.fixture(autouse=True)
def user(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with as_coordinators_user(machines, monkeypatch):
        yield


def test_results_on_a_machine_are_fetched_and_deleted_once(machines: Machines) -> None:
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
        (b"GET / HTTP/1.1\r\n\r\n", "the task on standard input cannot be read: a frame of 1195725856 bytes"),
        (frames.encode({"do": "serve", "name": "a", "scheduler": "tcp://127.0.0.1:1", "credentials": "x"}),
         "what the coordinator sent is not a certificate of loadgen"),
    ],
    ids=["http", "certificate"],
)  # fmt: skip
def test_an_invalid_task_is_reported_in_one_line(told: bytes, why: str, machines: Machines) -> None:
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
        # The coordinator must still exist to refuse this worker: a later worker waits ten minutes for another
        # coordinator.
        stranger = start(9, "stranger")
        _, refused = stranger.communicate(timeout=30)
        workers = [start(1, "b"), start(0, "a")]
        assert running.result(timeout=60) == ["a", "b"]
    assert within(5, lambda: all(worker.poll() is not None for worker in workers))
    assert [worker.returncode for worker in workers] == [0, 0]
    assert workers[0].communicate()[1].splitlines()[-1] == "b ends: the coordinator has ended"
    assert stranger.returncode == 3
    assert refused.splitlines()[1].startswith("loadgen: the coordinator at tls://198.18.0.1:")


def test_no_machine_outlives_a_killed_test(tmp_path: Path) -> None:
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
