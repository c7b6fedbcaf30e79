"""The VMs and their limits in the report of `loadgen spec`."""

from coordinator.output.terminal.vm_lines import vm_lines


def test_the_limits_that_were_granted_are_shown() -> None:
    limits = {"cgroup": "v1", "cpu_shares": 1024, "cpus": 0.5, "memory_bytes": 48 << 20, "pids": 64}
    server = {"driver": "ns", "network": "published ports", "scheduler": "EEVDF", "limits": limits}
    assert list(vm_lines(server)) == [
        "driver ns, published ports",
        "each: 0.5 CPU, 48M memory, 64 processes; cgroup v1, EEVDF",
    ]
    assert list(vm_lines({"limits": {"cgroup": "v2", "disk_bytes_per_s": 20 << 20}, "scheduler": "CFS"})) == [
        "each: 20M/s disk; cgroup v2, CFS"
    ]
    assert list(vm_lines({**server, "limits": {"cgroup": "v2"}}))[1] == "each: no limits; cgroup v2, EEVDF"


def test_records_without_such_facts_have_no_such_lines() -> None:
    assert list(vm_lines({})) == []
    assert list(vm_lines({"kind": "nginx", "version": "1", "driver": "local", "config": ""})) == []
