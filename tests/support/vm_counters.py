"""Constructed counters of VMs: seconds of a run, and files that stand for the kernel's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deploy.limits.groups import Group
from loadgen.measure.vm_second import COLUMNS, UNKNOWN, VmSecond
from loadgen.model.units import NS_PER_S

NETSTAT = """\
TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits
TcpExt: 1 {overflows} {drops} 99
IpExt: InNoRoutes InTruncatedPkts
IpExt: 0 0
"""
SNMP = """\
Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm InSegs OutSegs RetransSegs
Tcp: 1 500 {sent} {again}
"""


def vm_second(at_s: int, *vms: Mapping[str, int], window: int = 0, seconds: int = 1, **more: Any) -> VmSecond:
    """Return a second of these VMs; what is not given was not read."""
    numbers = np.full((len(COLUMNS), len(vms)), UNKNOWN, dtype=np.int64)
    for vm, given in enumerate(vms):
        for name, value in given.items():
            numbers[COLUMNS.index(name), vm] = value
    begin_ns = at_s * NS_PER_S
    return VmSecond(begin_ns=begin_ns, end_ns=begin_ns + seconds * NS_PER_S, window=window, numbers=numbers, **more)


def groups_on(root: Path, versions: Mapping[str, int], texts: Mapping[str, str], name: str = "vm01") -> Group:
    """Return cgroups below `root` with files of these texts; those of version 2 share a directory."""
    places = {one: root / ("unified" if version == 2 else one) / name for one, version in versions.items()}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        controller, _, file = path.partition("/")
        (places[controller] / file).write_text(text)
    return Group(name=name, places=places, versions=versions)


def process_on(proc: Path, pid: int, parent: int = 1, **more: Any) -> None:
    """Make the files of a process: `ticks` used by it, `reaped` by ended children, `waited_ns`, `net`, `pss_kb`."""
    home = proc / str(pid)
    (home / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
    ticks, reaped = more.get("ticks", 0), more.get("reaped", 0)
    fields = ["S", parent, pid, pid, *[0] * 7, ticks, 0, reaped, 0, 20, 0, 1, 0, 5000, *[0] * 16, 1, *[0] * 13]
    (home / "stat").write_text(f"{pid} (a (b) c) {' '.join(map(str, fields))}\n")
    (home / "schedstat").write_text(f"1000 {more.get('waited_ns', 0)} 3\n")
    (home / "smaps_rollup").write_text(f"00-ff ---p [rollup]\nRss: 9999 kB\nPss: {more.get('pss_kb', 0)} kB\n")
    (home / "ns").mkdir(exist_ok=True)
    if not (home / "ns" / "net").is_symlink():
        (home / "ns" / "net").symlink_to(f"net:[{more.get('net', 1)}]")
    (home / "net").mkdir(exist_ok=True)


def network_on(proc: Path, pid: int, **numbers: int) -> None:
    """Write the counters of a process's network namespace."""
    own = {"overflows": 0, "drops": 0, "sent": 0, "again": 0} | numbers
    (proc / str(pid) / "net" / "netstat").write_text(NETSTAT.format(**own))
    (proc / str(pid) / "net" / "snmp").write_text(SNMP.format(**own))


def host_on(proc: Path, *, idle: int, stolen: int) -> None:
    """Write the CPU time of the host in clock ticks."""
    proc.mkdir(exist_ok=True)
    (proc / "stat").write_text(f"cpu  0 0 0 {idle} 0 0 0 {stolen} 7 0\ncpu0 0 0 0 {idle} 0 0 0 {stolen} 7 0\n")
    (proc / "self" / "ns").mkdir(parents=True, exist_ok=True)
    if not (proc / "self" / "ns" / "net").is_symlink():
        (proc / "self" / "ns" / "net").symlink_to("net:[1]")
