"""The hardware, limits and software of this machine, read from /proc and /sys, for `loadgen doctor`."""

from __future__ import annotations

import os
import platform
import resource
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from deploy.servers.base import WebServer
from loadgen.model.plan import Server

_PACKAGES = ("uvloop", "aiohttp", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysctls:
    """Settings of the kernel that limit a load; None (or "") where this kernel does not show one."""

    ip_local_port_range: tuple[int, int] | None
    ip_local_reserved_ports: str
    """Ports that are never given out, as a list: 8080,9000-9100."""
    tcp_tw_reuse: int | None
    tcp_max_tw_buckets: int | None
    tcp_max_syn_backlog: int | None
    somaxconn: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts of one machine.  `governors` is () where the CPU frequency is not visible, as in most VMs."""

    cpu_model: str
    cpus: int
    usable_cpus: int
    """The number of CPUs that this process may run on."""
    governors: tuple[str, ...]
    memory_bytes: int
    available_bytes: int
    load_average: tuple[float, float, float]
    nofile_soft: int
    nofile_hard: int
    sysctls: Sysctls
    servers: tuple[tuple[Server, str], ...]
    """Kind and version of each web server that was found."""
    python: str
    packages: tuple[tuple[str, str | None], ...]
    """The version of each package that matters for speed; None where it is missing."""


def gather(servers: Sequence[WebServer]) -> Facts:
    """The facts of this machine, with the servers that were found on it; reads files, takes milliseconds."""
    cpuinfo = _read("/proc/cpuinfo")
    memory = parse_meminfo(_read("/proc/meminfo"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    governors = {
        path.read_text().strip() for path in Path("/sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_governor")
    }
    return Facts(
        cpu_model=parse_cpu_model(cpuinfo) or platform.machine(),
        cpus=os.cpu_count() or 1,
        usable_cpus=len(os.sched_getaffinity(0)),
        governors=tuple(sorted(governors)),
        memory_bytes=memory.get("MemTotal", 0),
        available_bytes=memory.get("MemAvailable", 0),
        load_average=os.getloadavg(),
        nofile_soft=soft,
        nofile_hard=hard,
        sysctls=Sysctls(
            ip_local_port_range=parse_range(_read("/proc/sys/net/ipv4/ip_local_port_range")),
            ip_local_reserved_ports=_read("/proc/sys/net/ipv4/ip_local_reserved_ports").strip(),
            tcp_tw_reuse=parse_number(_read("/proc/sys/net/ipv4/tcp_tw_reuse")),
            tcp_max_tw_buckets=parse_number(_read("/proc/sys/net/ipv4/tcp_max_tw_buckets")),
            tcp_max_syn_backlog=parse_number(_read("/proc/sys/net/ipv4/tcp_max_syn_backlog")),
            somaxconn=parse_number(_read("/proc/sys/net/core/somaxconn")),
        ),
        servers=tuple((server.kind, server.version) for server in servers),
        python=platform.python_version(),
        packages=tuple((name, _package(name)) for name in _PACKAGES),
    )


def parse_number(text: str) -> int | None:
    """The number in the text of a file that contains one decimal number; None for other text."""
    text = text.strip()
    return int(text) if text.isdecimal() else None


def parse_range(text: str) -> tuple[int, int] | None:
    """The two numbers in the text of a file like ip_local_port_range; None for other text."""
    fields = text.split()
    return (int(fields[0]), int(fields[1])) if len(fields) == 2 and all(f.isdecimal() for f in fields) else None


def parse_meminfo(text: str) -> dict[str, int]:
    """The sizes in /proc/meminfo, in bytes, by name; lines without a size in kB are ignored."""
    sizes = {}
    for line in text.splitlines():
        match line.replace(":", " ").split():
            case [name, kilobytes, "kB"] if kilobytes.isdecimal():
                sizes[name] = int(kilobytes) * 1024
    return sizes


def parse_cpu_model(text: str) -> str | None:
    """The most frequent model name in /proc/cpuinfo; None on the many architectures that show none."""
    names = Counter(line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return names.most_common(1)[0][0] if names else None


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:  # this kernel or container does not show the file
        return ""
