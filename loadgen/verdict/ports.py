"""Local ports: how many a load needs at one server, and how many there are.  Arithmetic, for before a run and after it.

Connections from one address to one server (address and port) each need a port of their own.  A closed one keeps it in
TIME_WAIT on the side that closed first.  Servers that are asked to close and we, who have the whole reply, close at
about the same time: beside 8,000 to 20,000 paced connections to 16 servers on two busy cores, 47 to 73 % of those
sockets were ours.  So what rests is reckoned with, but only what is open at once makes a load impossible.
"""

from __future__ import annotations

import bisect
import ipaddress
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TIME_WAIT_S = 60  # TCP_TIMEWAIT_LEN of Linux
MOST_SOURCES = 250  # 127.0.0.1 and on
_REUSE_S = 1  # tcp_tw_reuse lets a port go after a second
RANGE, RESERVED = "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports"
REUSE, BUCKETS = "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_max_tw_buckets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A load: `shares[t]` connections to the server at `hosts[t]`, from `sources` (() leaves it to the kernel).

    `connects_per_s` is how many TCP connections each of them opens a second.
    """

    hosts: tuple[str, ...]
    shares: tuple[int, ...]
    connects_per_s: float = 0.0
    sources: tuple[str, ...] = ()

    @property
    def on_loopback(self) -> bool:
        """Whether all servers are on this machine's loopback."""
        return all(is_loopback(host) for host in self.hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPorts:
    """What a kernel grants: `each` ports from one address to one server, which rest for `rest_s` seconds.

    `max_resting` sockets are in TIME_WAIT at most; what is closed beyond is forgotten at once.
    """

    each: int
    rest_s: int
    max_resting: int

    @classmethod
    def of(cls, sysctls: Mapping[str, str], *, on_loopback: bool) -> LocalPorts | None:
        """By the kernel's settings as text; None where it does not show the range."""
        words = sysctls.get(RANGE, "").split()
        if len(words) != 2:
            return None
        low, high = int(words[0]), int(words[1])
        reuse, buckets = sysctls.get(REUSE, "0"), sysctls.get(BUCKETS, "")
        return cls(
            each=max(1, high - low + 1 - _reserved(sysctls.get(RESERVED, ""), low, high)),
            rest_s=_REUSE_S if reuse == "1" or (reuse == "2" and on_loopback) else TIME_WAIT_S,
            max_resting=int(buckets) if buckets.isdecimal() else 2**31,
        )

    def needed(self, connections: int, connects_per_s: float, sources: int = 1) -> int:
        """Ports of each of so many addresses at one server: for what is open, and for what rests if we close it all.

        Connects come at random, so what rests is reckoned with four standard deviations more than its mean.
        """
        resting = min(self.max_resting, connections * connects_per_s * self.rest_s) / sources
        return math.ceil(connections / sources + resting + 4 * math.sqrt(resting))

    def sources_needed(self, connections: int, connects_per_s: float) -> int:
        """How many addresses to connect from have ports enough; MOST_SOURCES + 1 when more are needed than that."""
        enough = bisect.bisect_left(
            range(1, MOST_SOURCES + 1),
            True,
            key=lambda count: self.needed(connections, connects_per_s, count) <= self.each,
        )
        return enough + 1


def usable_sources(sources: Sequence[str], host: str) -> int:
    """How many addresses connections to `host` come from: those of its family, at least the kernel's own choice."""
    try:
        version = ipaddress.ip_address(host.split("%")[0]).version
    except ValueError:  # a name may be of either
        return max(1, len(sources))
    return max(1, sum(ipaddress.ip_address(source).version == version for source in sources))


def is_loopback(host: str) -> bool:
    """Whether `host` is an address of loopback, or its name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reserved(text: str, low: int, high: int) -> int:
    """How many of the ports low..high are in a list like 8080,9000-9100."""
    count = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.strip().isdecimal():
            begin, end = int(first), int(last or first)
            count += max(0, min(end, high) - max(begin, low) + 1)
    return count
