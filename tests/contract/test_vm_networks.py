"""VMs with addresses of their own: their entries of neighbours are permanent, so that these never run out."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from deploy.vms.ns import Ns
from loadgen.model.plan import Server
from tests.support.boxes import devices_with, needs_root
from tests.support.vms import make_file_set, vm_request

pytestmark = needs_root

_NUMBER = 128 + os.getpid() % 128  # each worker of pytest has networks of its own
_NETWORKS = [f"198.19.{_NUMBER}.0/26", f"fd00:6c67:{_NUMBER:x}::/64"]


def neighbours(devices: list[str]) -> list[str]:
    said = [
        subprocess.run(["/sbin/ip", version, "neigh"], capture_output=True, text=True, check=True).stdout.splitlines()
        for version in ("-4", "-6")
    ]
    return [line for lines in said for line in lines if line.split()[2] in devices]


@pytest.mark.parametrize("network", _NETWORKS, ids=["IPv4", "IPv6"])  # equal names in all workers
def test_all_neighbours_are_entered_for_good(network: str, tmp_path: Path) -> None:
    """The kernel does not count them; of others, all network namespaces together have 1024 by default."""
    if ":" in network and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    gateway = network.partition("/")[0].removesuffix("0") + "1"
    asked = vm_request([make_file_set(tmp_path / "set")] * 2, server=Server.BUILTIN, address=network)

    async def scenario() -> None:
        async with Ns().prepare(asked) as vms:
            found = [line for line in neighbours(devices_with(gateway)) if not line.startswith("fe80:")]
            assert {line.split()[-1] for line in found} == {"PERMANENT"}
            assert {target.host for target in vms.targets} < {line.split()[0] for line in found}
            assert len(found) == len(vms.targets) + 1  # and the guard's

    asyncio.run(scenario())
    assert not devices_with(gateway)
