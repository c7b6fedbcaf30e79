"""Drivers that run further programs in their VMs (deploy.vms.api.Hosting), and the servers and probes that use them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.quiet.games import find_game
from deploy.vms import catalog
from deploy.vms.api import Deployment, Hosting
from loadgen.model.isolate import Game
from loadgen.model.limits import VmLimits
from loadgen.model.plan import Server
from loadgen.model.units import NS_PER_S
from loadgen.probe.pinger import Pings
from tests.support.boxes import needs_root
from tests.support.vms import make_file_set, vm_request, within

DRIVERS = ["local", pytest.param("ns", marks=needs_root)]

_NETWORK = f"198.19.{os.getpid() % 256}.128/26"  # for benchmarks (RFC 2544); each worker of pytest has its own
_PIDS = 40


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_file_set(tmp_path_factory.mktemp("set"))


def play(name: str, docroot: Path, scenario: Callable[[Deployment, Hosting], Awaitable[None]]) -> None:
    """Play a scenario with two VMs of a driver, with limits and addresses of their own where it can give them."""
    confined: dict[str, Any] = {"address": _NETWORK, "limits": VmLimits(pids=_PIDS)}
    request = vm_request([docroot] * 2, server=Server.BUILTIN, **(confined if name in catalog.SET_LIMITS else {}))

    async def main() -> None:
        async with catalog.choose(name).prepare(request) as vms:
            assert isinstance(vms, Hosting)
            await scenario(vms, vms)

    asyncio.run(main())


def free_ports() -> list[int]:
    """Two UDP ports that are free at the loopback address."""
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        for sock in (one, other):
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in (one, other)]


async def until(happened: Callable[[], bool]) -> bool:
    return await asyncio.to_thread(within, 30, happened)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_program_runs_in_a_vm_and_its_end_is_a_death(name: str, docroot: Path) -> None:
    async def scenario(vms: Deployment, host: Hosting) -> None:
        host.run("vm02", ("talker", "/bin/sh", "-c", "echo hello; exec sleep 0.2"))
        assert await until(lambda: host.log("vm02", "talker") == "hello\n")
        death = await asyncio.wait_for(anext(aiter(vms.deaths())), 30)
        assert (death.name, death.reason) == ("vm02", "talker exited with status 0: hello")
        assert host.log("vm02", "nobody") == ""

    play(name, docroot, scenario)


@pytest.mark.parametrize("name", DRIVERS)
def test_limits_and_counters_of_a_vm_are_told(name: str, docroot: Path) -> None:
    async def scenario(vms: Deployment, host: Hosting) -> None:
        use = host.usage("vm01")
        if name not in catalog.SET_LIMITS:
            assert (use, dict(host.granted("vm01"))) == (None, {})
            return
        assert host.granted("vm01")["pids"] == _PIDS
        assert use is not None
        assert 0 < (use.pids or 0) <= _PIDS

    play(name, docroot, scenario)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_client_may_ask_from_several_addresses_and_a_vm_reaches_this_machine(name: str, docroot: Path) -> None:
    async def scenario(vms: Deployment, host: Hosting) -> None:
        target, sources = vms.targets[0], host.sources(3)
        assert len(set(sources)) == 3
        for source in sources:
            with socket.create_connection((target.host, target.port), 20, source_address=(source, 0)) as sock:
                assert sock.getsockname()[0] == source
        gateway = host.gateway("vm02")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((gateway, 0))
            sock.settimeout(20)
            code = f"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'hi', {sock.getsockname()!r})"
            host.run("vm02", ("sender", sys.executable, "-c", code))
            assert await asyncio.to_thread(sock.recv, 10) == b"hi"

    play(name, docroot, scenario)


@pytest.mark.parametrize("name", DRIVERS)
def test_the_prober_asks_the_servers_of_a_quiet_vm(name: str, docroot: Path) -> None:
    async def scenario(vms: Deployment, host: Hosting) -> None:
        at = vms.targets[0].host
        ports = free_ports()
        game = find_game(Game.BUILTIN, at, ports[0], confined=True)
        host.run("vm01", game.program)
        host.run("vm01", ("echo", sys.executable, "-P", "-m", "deploy.quiet.echo", at, str(ports[1])))
        plan = Pings(game=(at, ports[0]), echo=(at, ports[1]), time_ns=NS_PER_S, sources=host.sources(10))

        def ask() -> bool:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "loadgen.probe.pinger", plan.encode()],
                capture_output=True,
                check=True,
            )
            found.update(json.loads(done.stdout))
            return bool(found["game"]["answered_ns"] and found["echo"]["answered_ns"])

        found: dict[str, Any] = {}
        assert await until(ask)  # the servers need a moment to start
        for service in ("game", "echo"):
            numbers = found[service]
            assert len(numbers["late_ns"]) == len(numbers["answered_ns"]) + numbers["lost"]
        assert found["about"]["gamename"] == "loadgen"
        assert found["stamps"] == "kernel"

    play(name, docroot, scenario)
