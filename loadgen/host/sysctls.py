"""The kernel settings that limit a web server or a load generator."""

from __future__ import annotations

import contextlib
from pathlib import Path

SYSCTLS = (
    "fs.file-max",
    "kernel.sched_autogroup_enabled",
    "net.core.default_qdisc",
    "net.core.netdev_max_backlog",
    "net.core.rmem_max",
    "net.core.somaxconn",
    "net.core.wmem_max",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_sack",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_wmem",
    "vm.overcommit_memory",
    "vm.swappiness",
)
"""Names as sysctl(8) has them.  They are kept in each record, so that two runs can be compared."""


def read_sysctls(proc: Path = Path("/proc")) -> dict[str, str]:
    """Read the settings of SYSCTLS; those that this kernel or network namespace does not have are left out."""
    found = {}
    for name in SYSCTLS:
        with contextlib.suppress(OSError):
            text = (proc / "sys" / name.replace(".", "/")).read_text(encoding="utf-8", errors="replace")
            found[name] = " ".join(text.split())
    return found
