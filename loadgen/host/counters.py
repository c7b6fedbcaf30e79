"""Counters of the kernel that tell whether this machine disturbed a measurement.  What it does not report is None."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from loadgen.host.quota import Periods, read_periods

T = TypeVar("T")

_NS_PER_US = 1000
_KHZ_PER_MHZ = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Totals since the machine started.

    `pressure_ns`: time in which some task waited for a core (PSI).  `softnet_dropped`, `softnet_squeezed`: packets that
    the queue of a core had no room for, and rounds that ended with packets left.  `tcp_*` and `listen_*`
    are those of this network namespace (see OF_NAMESPACE).  `quotas`: see :func:`loadgen.host.quota.read_periods`.
    """

    pressure_ns: int | None = None
    softnet_dropped: int | None = None
    softnet_squeezed: int | None = None
    tcp_retransmits: int | None = None
    listen_overflows: int | None = None
    tcp_segments_sent: int | None = None
    tcp_segments_received: int | None = None
    tcp_syn_retransmits: int | None = None
    tcp_timeouts: int | None = None
    tcp_loss_probes: int | None = None
    tcp_out_of_order: int | None = None
    tcp_received_twice: int | None = None
    tcp_receive_drops: int | None = None
    tcp_aborted_on_timeout: int | None = None
    listen_drops: int | None = None
    quotas: Mapping[Path, Periods] | None = None


OF_NAMESPACE = {
    "tcp_segments_sent": ("Tcp", "OutSegs"),
    "tcp_segments_received": ("Tcp", "InSegs"),
    "tcp_retransmits": ("Tcp", "RetransSegs"),
    "tcp_syn_retransmits": ("TcpExt", "TCPSynRetrans"),
    "tcp_timeouts": ("TcpExt", "TCPTimeouts"),
    "tcp_loss_probes": ("TcpExt", "TCPLossProbes"),
    "tcp_out_of_order": ("TcpExt", "TCPOFOQueue"),
    "tcp_received_twice": ("TcpExt", "TCPDSACKOldSent"),
    "tcp_receive_drops": ("TcpExt", "TCPRcvQDrop"),
    "tcp_aborted_on_timeout": ("TcpExt", "TCPAbortOnTimeout"),
    "listen_overflows": ("TcpExt", "ListenOverflows"),
    "listen_drops": ("TcpExt", "ListenDrops"),
}
"""The group and name of each counter in /proc/net/snmp (Tcp) or /proc/net/netstat (TcpExt)."""

_SINGLE = tuple(field.name for field in fields(Counters) if field.name != "quotas")


def read_counters(proc: Path = Path("/proc")) -> Counters:
    """The counters now; takes well below a millisecond."""
    softnet = _parsed(parse_softnet, proc / "net/softnet_stat")
    snmp, netstat = (_parsed(parse_snmp, proc / "net" / name) or {} for name in ("snmp", "netstat"))
    return Counters(
        pressure_ns=_parsed(parse_pressure, proc / "pressure/cpu"),
        softnet_dropped=softnet[0] if softnet else None,
        softnet_squeezed=softnet[1] if softnet else None,
        **{
            name: (snmp if group == "Tcp" else netstat).get(group, {}).get(title)
            for name, (group, title) in OF_NAMESPACE.items()
        },
        quotas=read_periods(proc),
    )


def between(before: Counters, after: Counters) -> dict[str, int]:
    """The single counters' increase; those that are not known are left out.  A reset counter has not increased."""
    found = {}
    for name in _SINGLE:
        earlier, later = getattr(before, name), getattr(after, name)
        if earlier is not None and later is not None:
            found[name] = max(0, later - earlier)
    return found


def quota_between(before: Counters, after: Counters) -> dict[str, int]:
    """`throttled_ns`, `periods` and `throttled_periods` of the quota that was used up most; {} when not known.

    All are 0 without a quota.  A quota that is new counts from its start.
    """
    if before.quotas is None or after.quotas is None:
        return {}
    worst = Periods(0, 0)
    for group, now in after.quotas.items():
        was = before.quotas.get(group, Periods(0, 0))
        one = Periods(now.all - was.all, now.throttled - was.throttled, now.stopped_ns - was.stopped_ns)
        worst = max(worst, one, key=lambda periods: (periods.throttled, periods.stopped_ns, periods.all))
    return {
        "throttled_ns": max(0, worst.stopped_ns),
        "periods": max(0, worst.all),
        "throttled_periods": max(0, worst.throttled),
    }


def parse_pressure(text: str) -> int:
    """The time of "some" in ns, in the text of /proc/pressure/cpu.  Raises ValueError if it is malformed."""
    for line in text.splitlines():
        kind, *values = line.split()
        if kind == "some":
            return _NS_PER_US * int(dict(value.split("=") for value in values)["total"])
    raise ValueError("the pressure of the CPU has no line 'some'")


def parse_softnet(text: str) -> tuple[int, int]:
    """(dropped, squeezed) over all cores, in the text of /proc/net/softnet_stat.  Raises ValueError, IndexError."""
    rows = [line.split() for line in text.splitlines()]
    return sum(int(row[1], 16) for row in rows), sum(int(row[2], 16) for row in rows)


def parse_snmp(text: str) -> dict[str, dict[str, int]]:
    """Counters by group, in the text of /proc/net/snmp or netstat.  Raises ValueError if it is malformed."""
    found: dict[str, dict[str, int]] = {}
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        group, *titles = names.split()
        found[group.rstrip(":")] = dict(zip(titles, map(int, values.split()[1:]), strict=False))
    return found


def mean_mhz(cores: Iterable[int], sys: Path = Path("/sys")) -> int | None:
    """The mean frequency of cores; None when the kernel does not report it."""
    found = []
    for core in cores:
        with contextlib.suppress(OSError, ValueError):
            file = sys / f"devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq"
            found.append(int(file.read_text()) // _KHZ_PER_MHZ)
    return sum(found) // len(found) if found else None


def _parsed(parse: Callable[[str], T], file: Path) -> T | None:
    try:
        return parse(file.read_text())
    except (OSError, ValueError, IndexError, KeyError):
        return None
