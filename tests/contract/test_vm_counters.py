"""Each counter of a VM counts what happens in that VM, by the kernel's own numbers; its neighbour's stay 0.

Nothing is timed: a test waits until the kernel has counted what it made happen.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordinator.run.vm_track import VmTrack
from deploy.counters.place import VmPlace
from deploy.counters.sampler import VmSampler, between
from deploy.servers.catalog import choose
from deploy.vms.local import LocalVms
from deploy.vms.ns import Ns, NsVms
from loadgen.host.listen_queues import listen_drops
from loadgen.measure.vm_second import COLUMNS, UNKNOWN
from loadgen.model.limits import VmLimits
from loadgen.model.plan import Server
from loadgen.verdict.vm_counters import VmCounters
from tests.support.boxes import needs_root
from tests.support.vms import entered, make_file_set, vm_request, within

_NETWORK = f"198.19.{os.getpid() % 256}.64/26"

_FULL_QUEUE = """
import socket, time
server = socket.create_server(("127.0.0.1", 5000), backlog=0)
clients = [socket.socket() for _ in range(8)]
for client in clients:
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", 5000))
time.sleep(120)
"""
"""The kernel drops what the queue has no room for, and the clients send it again after a second."""

_HOGS = {
    "cpu": ("/bin/sh", "-c", "while true; do :; done"),
    "queue": (sys.executable, "-S", "-c", _FULL_QUEUE),
    "eater": ("/bin/sh", "-c", f"""{sys.executable} -S -c 'print(len(b"x" * (300 << 20)))'; sleep 120"""),
    "bomb": ("/bin/sh", "-c", "while true; do sleep 120 & done"),  # the last one: it leaves no process to the others
}


_COUNTED = {
    "queue": ("listen_overflows", "retransmits"),
    "eater": ("oom_kills",),
    "cpu": ("throttled_periods",),
    "bomb": ("pids_refused",),
}


def _has(name: str, counters: VmCounters) -> bool:
    return (getattr(counters, name) or 0) > 0


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_file_set(tmp_path_factory.mktemp("set"))


class Watched:
    """The counters of VMs since the first reading."""

    def __init__(self, places: list[VmPlace]) -> None:
        self._sampler = VmSampler(places)
        self._vms = len(places)
        self._first = self._sampler.read()

    def counters(self) -> list[VmCounters]:
        """What has been counted until now."""
        track = VmTrack(self._vms)
        now = self._sampler.read()
        track.add(between(self._first, now, self._first.at_ns, 0))
        return [one for one in track.counters(0) if one is not None]

    def until(self, happened: Callable[[VmCounters], bool]) -> bool:
        """Wait until the first VM's counters are so."""
        return within(60, lambda: happened(self.counters()[0]))

    def pss(self) -> tuple[int, ...]:
        """The memory of each."""
        return self._sampler.read_pss(60)

    def close(self) -> None:
        self._sampler.close()


@pytest.fixture
def watched() -> Iterator[Callable[[list[VmPlace]], Watched]]:
    made: list[Watched] = []

    def make(places: list[VmPlace]) -> Watched:
        made.append(Watched(places))
        return made[-1]

    yield make
    for one in made:
        one.close()


@needs_root
def test_each_counter_of_a_vm_in_namespaces(docroot: Path, watched: Callable[[list[VmPlace]], Watched]) -> None:
    limits = VmLimits(cpus=0.5, memory_bytes=128 << 20, pids=48)
    asked = vm_request([docroot] * 2, address=_NETWORK, server=Server.BUILTIN, limits=limits)

    async def main(vms: NsVms) -> None:
        async with vms:
            places = [vms.places()[target.name] for target in vms.targets]
            watch = await asyncio.to_thread(watched, places)
            for hog, counted in _COUNTED.items():
                vms.run("vm01", (hog, *_HOGS[hog]))
                for name in counted:
                    happened = functools.partial(_has, name)
                    assert await asyncio.to_thread(watch.until, happened), name
            hurt, quiet = await asyncio.to_thread(watch.counters)
            told = {held.what for held in hurt.held}
            assert told >= {"OOM-killed", "pids limit", "listen queue overflowed"}
            nothing = ("oom_kills", "pids_refused", "listen_overflows", "listen_drops", "retransmits")
            assert [getattr(quiet, name) for name in nothing] == [0] * len(nothing)
            assert not {"OOM-killed", "pids limit", "listen queue overflowed"} & {held.what for held in quiet.held}
            for one in (hurt, quiet):
                assert UNKNOWN not in {getattr(one, name) for name in COLUMNS}
                assert None not in {getattr(one, name) for name in COLUMNS}
            assert (hurt.cpu_ns or 0) > (quiet.cpu_ns or 0)
            assert (quiet.pids or 0) < (hurt.pids or 0) <= 48
            assert min(await asyncio.to_thread(watch.pss)) > 0

    asyncio.run(main(Ns().prepare(asked)))


@needs_root
def test_the_network_of_a_vm_at_a_published_port_is_not_read(docroot: Path) -> None:
    """Its connections are of the host's namespace: the counters of its own would always be 0."""

    async def main(vms: NsVms) -> None:
        async with vms:
            sampler = VmSampler([vms.places()[target.name] for target in vms.targets])
            (numbers,) = (await asyncio.to_thread(sampler.read)).numbers.T.tolist()
            read = dict(zip(COLUMNS, numbers, strict=True))
            assert {name for name, number in read.items() if number == UNKNOWN} == {
                "listen_overflows",
                "segments_sent",
                "retransmits",
            }
            assert read["listen_drops"] == 0
            sampler.close()

    asyncio.run(main(Ns().prepare(vm_request([docroot], server=Server.BUILTIN))))


def test_processes_of_the_driver_local(docroot: Path, watched: Callable[[list[VmPlace]], Watched]) -> None:
    with entered(LocalVms(choose(Server.BUILTIN), vm_request([docroot] * 2))) as vms:
        watch = watched([vms.places()[target.name] for target in vms.targets])

        def asked(one: VmCounters) -> bool:
            with socket.create_connection((vms.targets[0].host, vms.targets[0].port), timeout=30) as client:
                client.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" * 50)
                while client.recv(65536):
                    pass
            return (one.cpu_ns or 0) > 0

        assert watch.until(asked)
        busy, idle = watch.counters()
        assert (busy.listen_drops, idle.listen_drops) == (0, 0)
        assert (busy.oom_kills, busy.throttled_periods, busy.pids, busy.memory_bytes, busy.retransmits) == (None,) * 5
        assert idle.cpu_ns is not None
        assert min(watch.pss()) > 0


def test_the_drops_of_a_listening_socket(watched: Callable[[list[VmPlace]], Watched]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.create_server(("127.0.0.1", 0)) as other:
        watch = watched([VmPlace(pids=(os.getpid(),), listening=one.getsockname()) for one in (server, other)])
        clients = [socket.socket() for _ in range(8)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        assert within(60, lambda: (listen_drops() or {}).get(server.getsockname(), 0) > 0)
        assert watch.until(lambda one: (one.listen_drops or 0) > 0)
        full = watch.counters()[0]
        assert "listening socket dropped" in full.held[0].phrase
        for client in clients:
            client.close()
        assert (listen_drops() or {})[other.getsockname()] == 0
