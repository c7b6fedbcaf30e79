"""What the driver `qemu` refuses before it starts anything, and how emulated VMs are called in a result."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from coordinator.output.terminal import report
from coordinator.output.terminal.vm_lines import vm_lines
from deploy.vms import qemu_network
from deploy.vms.api import VmRequest
from deploy.vms.qemu import check_limits
from deploy.vms.qemu_network import OwnAddresses, PublishedPorts, choose_network
from loadgen.measure.packing import UNKNOWN
from loadgen.model.emulated import EMULATED
from loadgen.model.errors import PlanError
from loadgen.model.limits import VmLimits
from loadgen.verdict.checks.tape.emulated_vms import emulated_vms
from loadgen.verdict.evidence import Loop
from loadgen.verdict.pack import judge_pack
from loadgen.verdict.result import Check, Trust, Verdict
from loadgen.verdict.trust import judge_trust
from tests.support.packs import PLAN, packed
from tests.unit.test_trust_catalog import evidence


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"cpus": 0.5}, "gives VMs 1 to 288 whole CPUs, got 0.5"),
        ({"cpus": 1.5}, "gives VMs 1 to 288 whole CPUs, got 1.5"),
        ({"cpus": 289.0}, "gives VMs 1 to 288 whole CPUs, got 289"),
        ({"memory_bytes": 48 << 20}, "needs at least 128M of memory for its kernel and server, got 48M"),
        ({"pids": 64}, "cannot limit pids: VMs get CPUs and memory only"),
        ({"disk_bytes_per_s": 1 << 20, "cpu_shares": 512}, "cannot limit cpu_shares, disk_bytes_per_s"),
    ],
)
def test_a_limit_that_a_machine_cannot_have_is_refused_in_one_line(limits: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said) as caught:
        check_limits(VmLimits(**limits))
    assert "--vm-driver ns" in caught.value.hint


def test_whole_cpus_and_enough_memory_are_granted() -> None:
    check_limits(VmLimits())
    check_limits(VmLimits(cpus=2, memory_bytes=128 << 20))


def test_ports_need_no_rights_and_addresses_need_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert isinstance(choose_network(VmRequest(count=1)), PublishedPorts)
    with pytest.raises(PlanError, match="addresses for VMs of the driver qemu need root") as caught:
        choose_network(VmRequest(count=1, address="198.18.0.0/24"))
    assert "published ports need no rights" in caught.value.hint
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(qemu_network, "_TUN", Path("/no/such/tun"))
    with pytest.raises(PlanError, match="need /no/such/tun"):
        choose_network(VmRequest(count=1, address="198.18.0.0/24"))


def test_the_user_network_has_no_ipv6() -> None:
    with pytest.raises(PlanError, match="cannot publish ports at the IPv6 address ::1"):
        choose_network(VmRequest(count=1, address="::1"))


@pytest.mark.parametrize(("network", "listen", "port"), [("198.18.0.0/24", "0.0.0.0", 8080), ("fd00::/64", "::", 8080)])
def test_servers_listen_on_all_addresses_of_their_vm(network: str, listen: str, port: int) -> None:
    own = OwnAddresses(VmRequest(count=1, address=network, base_port=port))
    assert (own.inner_host, own.inner_port) == (listen, port)


@pytest.mark.parametrize("loop", Loop)
def test_emulated_vms_make_any_run_invalid(loop: Loop) -> None:
    real = evidence(loop)
    assert emulated_vms(real) is None
    trust = judge_trust(dataclasses.replace(real, emulated_vms=2))
    (found,) = [check for check in trust.checks if check.name == "emulated VMs"]
    assert (found.value, found.limit, found.ok, found.detail) == (2, 0, False, EMULATED)
    assert not trust.valid


def test_a_packing_of_emulated_vms_has_no_number() -> None:
    real, emulated = judge_pack(PLAN, packed()), judge_pack(PLAN, packed(), emulated=True)
    assert (real.verdict, real.packed) == (Verdict.CONFORMING, 512)
    assert (emulated.verdict, emulated.packed) == (Verdict.INVALID, UNKNOWN)
    assert emulated.reasons[0] == f"the VMs are {EMULATED}"


def test_the_report_names_the_machine_and_its_emulation() -> None:
    server = {
        "driver": "qemu",
        "network": "published ports",
        "machine": "QEMU 7.2.0 microvm, kernel 6.1",
        "accelerator": "tcg",
        "emulated": True,
        "limits": {"cpus": 1, "memory_bytes": 256 << 20},
        "scheduler": "EEVDF",
    }
    assert list(vm_lines(server)) == [
        "driver qemu, published ports",
        EMULATED,
        "QEMU 7.2.0 microvm, kernel 6.1, tcg",
        "each: 1 CPU, 256M memory; EEVDF",
    ]
    assert EMULATED not in list(vm_lines({**server, "emulated": False, "accelerator": "kvm"}))


def test_the_report_blames_the_load_generator_only_for_its_own_checks() -> None:
    def check(name: str, ok: bool = False) -> Check:
        return Check(name=name, value=1, limit=0, ok=ok)

    emulated, late = check("emulated VMs"), check("send lateness")
    said = report._nothing_said(Trust(checks=(check("open files", ok=True), emulated)))
    assert said == f"The VMs are {EMULATED}: the run says nothing about real VMs."
    said = report._nothing_said(Trust(checks=(late, emulated)))
    assert said == "The load generator failed its checks: the run says nothing about the servers."
