"""The effect of a machine's settings on a load, and recommended changes: `loadgen doctor`.

The load consists of paced connections (users), each of which opens several TCP connections per second; each of these
leaves a port in TIME_WAIT for 60 s (:mod:`loadgen.verdict.ports`).
"""

from __future__ import annotations

import bisect
import enum
from dataclasses import dataclass

from deploy.facts import Facts, Sysctls
from loadgen.model.plan import Server
from loadgen.verdict.ports import BUCKETS, MOST_SOURCES, RANGE, RESERVED, REUSE, TIME_WAIT_S, LocalPorts

_SPARE_FILES = 64
_MEMORY_PER_VM_BYTES = 12 << 20  # private memory of a web server and an application worker; measured: 5 to 9 MB
_MEMORY_PER_CONNECTION_BYTES = 32 << 10  # both ends in the kernel (8 KB) and the buffers of a server
_BASE_MEMORY_BYTES = 200 << 20
_BUSY_LOAD_PER_CPU = 0.5
_WIDE_PORT_RANGE = "1024 65000"


class Level(enum.Enum):
    """The severity of a finding: harmless, may limit or falsify a result, will make the run fail."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One finding about the machine.

    `meaning` says what follows from it, "" where nothing does.  `command` changes the setting (sysctl needs root), ""
    where no command can.
    """

    level: Level
    topic: str
    finding: str
    meaning: str = ""
    command: str = ""


def diagnose(facts: Facts, vms: int, connections: int, connects_per_s: float) -> list[Advice]:
    """Findings for a run with `vms` servers and `connections` paced connections to each, all on this machine.

    `connects_per_s` is the number of TCP connections that each connection opens per second.
    """
    total = vms * connections
    return [
        *_files(facts, connections, total),
        *_ports(facts, connections, connects_per_s),
        *_time_wait(facts, total, connects_per_s),
        *_backlog(facts, connections),
        *_memory(facts, vms, total),
        *_cpus(facts),
        *_software(facts),
    ]


def engine(why_not_compiled: str) -> Advice:
    """A finding about the engine that runs on this machine; `why_not_compiled` is "" when the compiled engine runs."""
    if not why_not_compiled:
        return Advice(level=Level.OK, topic="engine", finding="the compiled engine")
    return Advice(
        level=Level.WARNING,
        topic="engine",
        finding=f"the Python engine (not the compiled one: {why_not_compiled})",
        meaning="it needs more CPU time per request and cannot use the kernel's timestamps; install a C compiler and "
        "the headers of Python, then install loadgen again",
    )


def _files(facts: Facts, connections: int, total: int) -> list[Advice]:
    """Only the hard limit counts: servers and engines raise their soft limit to it."""
    finding = f"{facts.nofile_soft} open files per process, at most {facts.nofile_hard}"
    engines = min(facts.usable_cpus, total)  # the default of loadgen spec
    engine_files, server_files = -(-total // engines) + _SPARE_FILES, 4 * connections + _SPARE_FILES
    if engine_files > facts.nofile_hard:
        most = engines * max(0, facts.nofile_hard - _SPARE_FILES)
        meaning = (
            f"{engines} engines carry at most {most} connections, not {total}; raise the limit, or use more engines"
        )
        command = f"ulimit -n {engine_files}"
    elif server_files > facts.nofile_hard:
        most = max(0, facts.nofile_hard - _SPARE_FILES) // 4
        meaning = f"a server carries at most {most} connections, not {connections}; raise the limit, or use more VMs"
        command = f"ulimit -n {server_files}"
    else:
        return [Advice(level=Level.OK, topic="open files", finding=finding)]
    return [Advice(level=Level.PROBLEM, topic="open files", finding=finding, meaning=meaning, command=command)]


def _ports(facts: Facts, connections: int, connects_per_s: float) -> list[Advice]:
    sysctls = facts.sysctls
    if sysctls.ip_local_port_range is None:
        return [_unknown("local ports", "net.ipv4.ip_local_port_range")]
    low, high = sysctls.ip_local_port_range
    ports = _local_ports(sysctls, low, high)
    finding = f"{ports.each} local ports ({low}-{high}), in TIME_WAIT for {ports.rest_s} s"
    sources = ports.sources_needed(connections, connects_per_s)
    if sources == 1:
        most = bisect.bisect_right(range(ports.each), ports.each, key=lambda n: ports.needed(n, connects_per_s)) - 1
        meaning = f"enough for {most} paced connections to one server"
        return [Advice(level=Level.OK, topic="local ports", finding=finding, meaning=meaning)]
    needed = ports.needed(connections, connects_per_s)
    meaning = f"{connections} paced connections to one server need up to {needed} ports; "
    if sources > MOST_SOURCES:
        meaning += f"{MOST_SOURCES} source addresses do not have enough"
    else:
        meaning += (
            f"{sources} source addresses have enough: loadgen spec uses them by itself over loopback; otherwise list "
            "them with --source"
        )
    command = f'sysctl -w net.ipv4.ip_local_port_range="{_WIDE_PORT_RANGE}"'
    return [Advice(level=Level.WARNING, topic="local ports", finding=finding, meaning=meaning, command=command)]


def _local_ports(sysctls: Sysctls, low: int, high: int) -> LocalPorts:
    known = {
        RANGE: f"{low} {high}",
        RESERVED: sysctls.ip_local_reserved_ports,
        REUSE: str(sysctls.tcp_tw_reuse),
        BUCKETS: str(sysctls.tcp_max_tw_buckets),
    }
    ports = LocalPorts.of(known, on_loopback=True)
    assert ports is not None  # the range is known
    return ports


def _time_wait(facts: Facts, total: int, connects_per_s: float) -> list[Advice]:
    buckets = facts.sysctls.tcp_max_tw_buckets
    if buckets is None:
        return [_unknown("TIME_WAIT", "net.ipv4.tcp_max_tw_buckets")]
    needed = int(total * connects_per_s * TIME_WAIT_S) + 1
    finding = f"at most {buckets} sockets in TIME_WAIT"
    if needed <= buckets:
        most = int(buckets / (connects_per_s * TIME_WAIT_S))
        return [
            Advice(level=Level.OK, topic="TIME_WAIT", finding=finding, meaning=f"enough for {most} paced connections")
        ]
    return [
        Advice(
            level=Level.WARNING,
            topic="TIME_WAIT",
            finding=finding,
            meaning=f"{total} paced connections leave {needed}; the kernel ends the others early, against RFC 9293",
            command=f"sysctl -w net.ipv4.tcp_max_tw_buckets={needed}",
        )
    ]


def _backlog(facts: Facts, connections: int) -> list[Advice]:
    advice = []
    for name, value in (
        ("net.core.somaxconn", facts.sysctls.somaxconn),
        ("net.ipv4.tcp_max_syn_backlog", facts.sysctls.tcp_max_syn_backlog),
    ):
        topic = name.rpartition(".")[2]
        if value is None:
            advice.append(_unknown(topic, name))
        elif connections <= value:
            finding = f"at most {value} connections wait to be accepted"
            advice.append(Advice(level=Level.OK, topic=topic, finding=finding))
        else:
            advice.append(
                Advice(
                    level=Level.WARNING,
                    topic=topic,
                    finding=f"at most {value} connections wait to be accepted",
                    meaning=f"a burst of {connections} overflows the queue, and a lost SYN is repeated after 1 s",
                    command=f"sysctl -w {name}={connections}",
                )
            )
    return advice


def _memory(facts: Facts, vms: int, total: int) -> list[Advice]:
    needed = _BASE_MEMORY_BYTES + vms * _MEMORY_PER_VM_BYTES + total * _MEMORY_PER_CONNECTION_BYTES
    finding = f"{facts.available_bytes / 1e9:.1f} of {facts.memory_bytes / 1e9:.1f} GB free"
    if needed <= facts.available_bytes:
        return [Advice(level=Level.OK, topic="memory", finding=finding)]
    meaning = f"{vms} VMs with {total} connections need about {needed / 1e9:.1f} GB, and the file set comes on top"
    return [Advice(level=Level.PROBLEM, topic="memory", finding=finding, meaning=meaning)]


def _cpus(facts: Facts) -> list[Advice]:
    advice = []
    finding = f"{facts.usable_cpus} of {facts.cpus} usable, {facts.cpu_model}"
    if facts.usable_cpus < 2:
        meaning = "servers and load share one CPU, so the result depends on both"
        advice.append(Advice(level=Level.WARNING, topic="CPUs", finding=finding, meaning=meaning))
    else:
        advice.append(Advice(level=Level.OK, topic="CPUs", finding=finding))
    slow = [name for name in facts.governors if name != "performance"]
    if slow:
        advice.append(
            Advice(
                level=Level.WARNING,
                topic="CPU governor",
                finding=", ".join(facts.governors),
                meaning="the CPU frequency follows the load, so equal runs give different results",
                command="cpupower frequency-set -g performance",
            )
        )
    load = facts.load_average[0]
    finding = f"{load:.2f} over the last minute"
    if load > _BUSY_LOAD_PER_CPU * facts.cpus:
        meaning = "other programs use CPU time that the run needs"
        advice.append(Advice(level=Level.WARNING, topic="load average", finding=finding, meaning=meaning))
    else:
        advice.append(Advice(level=Level.OK, topic="load average", finding=finding))
    return advice


def _software(facts: Facts) -> list[Advice]:
    found = ", ".join(version for _, version in facts.servers)
    advice = []
    if any(kind is not Server.BUILTIN for kind, _ in facts.servers):
        advice.append(Advice(level=Level.OK, topic="web servers", finding=found))
    else:
        advice.append(
            Advice(
                level=Level.WARNING,
                topic="web servers",
                finding=found or "none",
                meaning="only the builtin server can be started; nginx and Apache are faster",
                command="apt-get install nginx-light",
            )
        )
    missing = [name for name, version in facts.packages if version is None]
    versions = ", ".join(f"{name} {version}" for name, version in facts.packages if version is not None)
    finding = f"Python {facts.python}, {versions}"
    if missing:
        names = " ".join(missing)
        meaning = f"{names} missing; loadgen needs them"
        command = f"pip install {names}"
        advice.append(Advice(level=Level.PROBLEM, topic="Python", finding=finding, meaning=meaning, command=command))
    else:
        advice.append(Advice(level=Level.OK, topic="Python", finding=finding))
    return advice


def _unknown(topic: str, sysctl: str) -> Advice:
    return Advice(level=Level.WARNING, topic=topic, finding=f"{sysctl} cannot be read here")
