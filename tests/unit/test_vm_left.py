"""What cannot be removed when VMs end: it is named, with what removes it, and costs no other word."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.limits import removal
from deploy.limits.groups import Groups
from deploy.limits.hierarchy import Controller
from deploy.oci import engine as engines
from deploy.oci.engine import Engine
from deploy.vms import ns_network
from deploy.vms.api import VmFacts, VmRequest
from deploy.vms.base import BaseDeployment
from deploy.vms.ns_network import RoutedNetwork
from loadgen.model.errors import LoadgenError, TargetError
from loadgen.model.limits import VmLimits
from loadgen.model.target import Target


def test_a_cgroup_that_stays_is_named_with_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "_AT_MOST_S", 0.0)
    root = tmp_path / "pids"
    root.mkdir()
    groups = Groups(VmLimits(), disk=tmp_path, controllers={"pids": Controller(1, root)})
    place = groups.make("vm01").places["pids"]
    groups.make("vm02")
    (place / "cgroup.procs").write_text("41\n7\n")
    with pytest.raises(TargetError) as failed:
        groups.remove()
    assert failed.value.message == f"the kernel has not removed 1 cgroup of the VMs within 0 s: {place}"
    assert failed.value.hint == (
        f"the next run with such VMs removes what is left; or, as root: kill -9 7 41; rmdir {place}"
    )
    groups.remove()  # said once


def test_a_network_device_that_stays_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    network = RoutedNetwork.of("198.18.0.0/24", 2)
    monkeypatch.setattr(ns_network, "_GONE_S", 0.1)
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, f"{network.prefix}1")])
    with pytest.raises(TargetError, match=rf"has not removed 1 network device .*: {network.prefix}1$") as failed:
        asyncio.run(network.wait_until_gone())
    assert failed.value.hint.endswith(f"198.18.0.0/24 is in use; as root: ip link delete {network.prefix}1")


def test_a_container_that_stays_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_REMOVED_S", -1.0)
    engine: Any = Engine("engine.sock")
    found = [{"Names": ["/loadgen-1f-vm01"], "State": "running"}, {"Names": ["/loadgen-1f-vm02"], "State": "exited"}]
    engine._client = SimpleNamespace(api=SimpleNamespace(containers=lambda **_: found, timeout=120))
    with pytest.raises(TargetError, match="has not removed loadgen-1f-vm01 loadgen-1f-vm02 within") as failed:
        engine.remove_run("1f")
    assert failed.value.hint.endswith("or: docker rm --force loadgen-1f-vm01 loadgen-1f-vm02")


class Stuck(BaseDeployment):
    """A deployment that cannot be removed, and starts unless there is an error."""

    error: LoadgenError | None = None

    async def start(self, ends: AsyncExitStack) -> tuple[Target, ...]:
        async def stay() -> None:
            raise TargetError("cgroup x stays", hint="rmdir x")

        ends.push_async_callback(stay)
        if self.error is not None:
            raise self.error
        return ()


async def enter(error: LoadgenError | None) -> None:
    stuck = Stuck(VmRequest(count=1), VmFacts(driver="stuck", server="", version="", config=""))
    stuck.error = error
    async with stuck:
        pass


def test_what_is_left_does_not_hide_why_vms_did_not_start() -> None:
    with pytest.raises(TargetError, match="vm01 did not start") as failed:
        asyncio.run(enter(TargetError("vm01 did not start", hint="look at its log")))
    assert failed.value.hint == "look at its log; cgroup x stays; rmdir x"
    with pytest.raises(TargetError, match="cgroup x stays"):
        asyncio.run(enter(None))
