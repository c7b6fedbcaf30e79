"""Known answers of the reader of VM counters, on files that stand for the kernel's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.counters.place import VmPlace
from deploy.counters.sampler import VmSampler, between
from loadgen.host.listen_queues import parse_socket
from loadgen.measure.vm_second import COLUMNS, UNKNOWN, VmSecond
from tests.support.vm_counters import groups_on, host_on, network_on, process_on

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
V1 = dict.fromkeys(("cpu", "cpuacct", "memory", "pids"), 1)
V2 = dict.fromkeys(("cpu", "memory", "pids"), 2)
HYBRID = {**V1, "pids": 2}

V1_TEXTS = {
    "cpu/cpu.stat": "nr_periods 100\nnr_throttled 62\nthrottled_time 5000\nnr_bursts 0\nburst_time 0\n",
    "cpuacct/cpuacct.usage": "777000\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory/memory.usage_in_bytes": "4096\n",
    "pids/pids.current": "7\n",
    "pids/pids.events": "max 11\n",
    "pids/cgroup.procs": "40\n41\n",
}
V2_TEXTS = {
    "cpu/cpu.stat": "usage_usec 777\nuser_usec 700\nnr_periods 100\nnr_throttled 62\nthrottled_usec 5\n",
    "memory/memory.events": "low 0\nhigh 0\nmax 400\noom 3\noom_kill 2\n",
    "memory/memory.current": "4096\n",
    "pids/pids.current": "7\n",
    "pids/pids.events": "max 11\n",
    "pids/cgroup.procs": "40\n41\n",
}
READ = {
    "cpu_ns": 777000,
    "periods": 100,
    "throttled_periods": 62,
    "throttled_ns": 5000,
    "oom_kills": 2,
    "memory_bytes": 4096,
    "pids": 7,
    "pids_refused": 11,
}


def of(numbers: VmSecond | None, sampler: VmSampler, vm: int = 0) -> dict[str, int]:
    """What was read of a VM, without what was not."""
    found = sampler.read().numbers if numbers is None else numbers.numbers
    return {name: number for name, number in zip(COLUMNS, found[:, vm].tolist(), strict=True) if number != UNKNOWN}


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    host_on(tmp_path / "proc", idle=100, stolen=0)
    return tmp_path / "proc"


@pytest.mark.parametrize(("versions", "texts"), [(V1, V1_TEXTS), (V2, V2_TEXTS), (HYBRID, V1_TEXTS)])
def test_the_counters_of_cgroups(
    tmp_path: Path, proc: Path, versions: Mapping[str, int], texts: dict[str, str]
) -> None:
    process_on(proc, 40, waited_ns=500)
    process_on(proc, 41, parent=40, waited_ns=500)
    group = groups_on(tmp_path, versions, texts)
    sampler = VmSampler([VmPlace(pids=(40,), group=group)], proc)
    assert of(None, sampler) == READ | {"waited_ns": 0}
    process_on(proc, 41, parent=40, waited_ns=2500)
    (group.places["cpu"] / "cpu.stat").write_text("nr_periods 110\nnr_throttled 70\n")
    second = of(None, sampler)
    assert (second["periods"], second["throttled_periods"], second["waited_ns"]) == (110, 70, 2000)
    assert "throttled_ns" not in second  # the file does not say it any more
    sampler.close()


@pytest.mark.parametrize("missing", sorted(V1_TEXTS))
def test_what_cannot_be_read_is_unknown_and_not_0(tmp_path: Path, proc: Path, missing: str) -> None:
    process_on(proc, 40)
    texts = {path: text for path, text in V1_TEXTS.items() if path != missing}
    read = of(None, VmSampler([VmPlace(pids=(40,), group=groups_on(tmp_path, V1, texts))], proc))
    assert 0 not in {value for name, value in read.items() if name != "waited_ns"}
    assert len(read) < len(READ) + 1


def test_a_counter_that_goes_back_was_not_read(tmp_path: Path, proc: Path) -> None:
    group = groups_on(tmp_path, V1, V1_TEXTS)
    sampler = VmSampler([VmPlace(group=group)], proc)
    before = sampler.read()
    (group.places["cpuacct"] / "cpuacct.usage").write_text("5\n")
    (group.places["pids"] / "pids.events").write_text("max 12\n")
    host_on(proc, idle=130, stolen=10)
    second = between(before, sampler.read(), before.at_ns - 5, 0)
    assert (second.begin_ns, second.stolen_ns, second.core_ns) == (5, 10 * TICK_NS, 40 * TICK_NS)
    read = of(second, sampler)
    assert "cpu_ns" not in read
    assert (read["pids_refused"], read["oom_kills"], read["memory_bytes"]) == (1, 0, 4096)


def test_groups_that_two_vms_share_are_of_none(tmp_path: Path, proc: Path) -> None:
    group = groups_on(tmp_path, V1, V1_TEXTS)
    sampler = VmSampler([VmPlace(group=group), VmPlace(group=group)], proc)
    assert of(None, sampler, 0) == of(None, sampler, 1) == {}


def test_processes_without_cgroups(proc: Path) -> None:
    process_on(proc, 40, ticks=3, reaped=2)
    process_on(proc, 41, parent=40, ticks=10)
    process_on(proc, 50, ticks=1000)
    process_on(proc, 60, ticks=7)
    sampler = VmSampler([VmPlace(pids=(40,)), VmPlace(pids=(60,)), None], proc)
    assert of(None, sampler)["cpu_ns"] == 15 * TICK_NS
    assert of(None, sampler, 1)["cpu_ns"] == 7 * TICK_NS
    assert of(None, sampler, 2) == {}
    process_on(proc, 60, parent=50, ticks=99)  # the number belongs to another program now
    assert of(None, sampler, 1) == {}


def test_the_network_namespace_of_a_vm(proc: Path) -> None:
    process_on(proc, 40, net=77)
    process_on(proc, 50)
    network_on(proc, 40, overflows=312, drops=313, sent=1000, again=30)
    network_on(proc, 50, overflows=5)  # that of the host: it counts for everybody
    sampler = VmSampler([VmPlace(pids=(40,)), VmPlace(pids=(50,))], proc)
    read = of(None, sampler)
    assert {name: read[name] for name in ("listen_overflows", "listen_drops", "segments_sent", "retransmits")} == {
        "listen_overflows": 312,
        "listen_drops": 313,
        "segments_sent": 1000,
        "retransmits": 30,
    }
    assert "listen_overflows" not in of(None, sampler, 1)
    (proc / "40" / "net" / "snmp").unlink()
    assert "retransmits" not in of(None, sampler)


def test_the_drops_of_a_listening_socket_of_the_host(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process_on(proc, 40, net=77)
    network_on(proc, 40)
    drops: dict[tuple[str, int], int] | None = {("127.0.0.1", 80): 9}
    monkeypatch.setattr("deploy.counters.sampler.listen_drops", lambda: drops)
    process_on(proc, 41)
    places = [VmPlace(pids=(40,), listening=("127.0.0.1", 80)), VmPlace(pids=(41,), listening=("127.0.0.1", 81))]
    read = of(None, VmSampler(places, proc))
    assert read["listen_drops"] == 9
    assert "listen_overflows" not in read  # the socket is of the host's namespace, although the VM has its own
    assert "listen_drops" not in of(None, VmSampler(places, proc), 1)
    drops = None
    assert "listen_drops" not in of(None, VmSampler(places, proc))


def test_a_message_of_sock_diag() -> None:
    message = bytes([2, 10, 0, 0]) + (8080).to_bytes(2, "big") + bytes(2) + bytes([127, 0, 0, 1]) + bytes(60)
    other = (8).to_bytes(2, "little") + (1).to_bytes(2, "little") + bytes(4)
    meminfo = (40).to_bytes(2, "little") + (7).to_bytes(2, "little") + bytes(32) + (12).to_bytes(4, "little")
    assert parse_socket(message + other + meminfo, 2) == (("127.0.0.1", 8080), 12)
    with pytest.raises(ValueError, match="does not count"):
        parse_socket(message + other, 2)


def test_pss_is_read_until_its_time_is_over(proc: Path) -> None:
    process_on(proc, 40, pss_kb=100)
    process_on(proc, 41, parent=40, pss_kb=20)
    process_on(proc, 60, pss_kb=5)
    (proc / "60" / "smaps_rollup").write_text("")
    sampler = VmSampler([VmPlace(pids=(40,)), VmPlace(pids=(60,)), None], proc)
    sampler.read()
    assert sampler.read_pss(60) == (120 * 1024, UNKNOWN, UNKNOWN)
    assert sampler.read_pss(-1) == (UNKNOWN,) * 3


def test_a_vm_with_many_threads_is_not_asked_how_long_they_waited(proc: Path) -> None:
    process_on(proc, 40)
    for thread in range(1000, 1064):
        (proc / "40" / "task" / str(thread)).mkdir()
    assert "waited_ns" not in of(None, VmSampler([VmPlace(pids=(40,))], proc))
