"""Local ports: how many a load needs to one server, and how many the kernel has.  Used before a run and after it.

Connections from one address to one server (address and port) need one local port each.  After a close, the side that
closed first keeps its port in TIME_WAIT.  A server that is asked to close and a client that has the whole reply close
at about the same time: with 8,000 to 20,000 paced connections to 16 servers on two busy cores, 47 to 73 % of the
sockets in TIME_WAIT were the client's.  So ports in TIME_WAIT are counted, but only the connections open at once make a
load impossible.
"""

from __future__ import annotations

import bisect
import ipaddress
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

TIME_WAIT_S = 60  # TCP_TIMEWAIT_LEN of Linux
MOST_SOURCES = 250  # source addresses on loopback, from 127.0.0.2 on
_REUSE_S = 1  # with tcp_tw_reuse, a port in TIME_WAIT can be reused after one second
RANGE, RESERVED = "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports"
REUSE, BUCKETS = "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_max_tw_buckets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A load: `shares[t]` connections to the server at `hosts[t]`, from `sources` (empty: the kernel's choice).

    `lanes`: TCP connections that each of these has open at once.  `connects_per_s`: TCP connections that are opened per
    second for each of those.  `streams`: HTTP/2 streams on each connection.
    """

    hosts: tuple[str, ...]
    shares: tuple[int, ...]
    connects_per_s: float = 0.0
    sources: tuple[str, ...] = ()
    streams: int = 1
    lanes: int = 1

    @property
    def sockets(self) -> tuple[int, ...]:
        """The TCP connections to each server at once."""
        return tuple(share * self.lanes for share in self.shares)

    @property
    def on_loopback(self) -> bool:
        """Whether all servers are on the loopback."""
        return all(is_loopback(host) for host in self.hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPorts:
    """The ports that a kernel has: `each` from one source address to one server.

    A closed connection keeps its port for `rest_s` seconds.  At most `max_resting` sockets are in TIME_WAIT; the kernel
    drops further ones at once.
    """

    each: int
    rest_s: int
    max_resting: int

    @classmethod
    def of(cls, sysctls: Mapping[str, str], *, on_loopback: bool) -> LocalPorts | None:
        """Read from the kernel's settings (name to text); None if the port range is missing."""
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

    def beside(self, listeners: int) -> LocalPorts:
        """Return what is left of these ports beside `listeners` sockets that listen on ports the kernel chose.

        connect(2) never takes a port that a listening socket of any address of this machine is bound to (Linux:
        `__inet_hash_connect` skips such a port).  At least one port is left.
        """
        return replace(self, each=max(1, self.each - listeners))

    def needed(self, connections: int, connects_per_s: float, sources: int = 1) -> int:
        """Ports that each of `sources` addresses needs to one server: for open connections and for those in TIME_WAIT.

        Assumes that the client closes every connection first.  Connects come at random, so the number in TIME_WAIT is
        taken as its mean plus four standard deviations.
        """
        resting = min(self.max_resting, connections * connects_per_s * self.rest_s) / sources
        return math.ceil(connections / sources + resting + 4 * math.sqrt(resting))

    def sources_needed(self, connections: int, connects_per_s: float) -> int:
        """The number of source addresses that have enough ports; MOST_SOURCES + 1 if MOST_SOURCES are not enough."""
        enough = bisect.bisect_left(
            range(1, MOST_SOURCES + 1),
            True,
            key=lambda count: self.needed(connections, connects_per_s, count) <= self.each,
        )
        return enough + 1


def usable_sources(sources: Sequence[str], host: str) -> int:
    """The number of `sources` of the address family of `host`, at least 1 (the kernel's choice)."""
    try:
        version = ipaddress.ip_address(host.split("%")[0]).version
    except ValueError:  # a host name may resolve to either family
        return max(1, len(sources))
    return max(1, sum(ipaddress.ip_address(source).version == version for source in sources))


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address or `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reserved(text: str, low: int, high: int) -> int:
    """The number of ports low..high that are in `text`, a list like `8080,9000-9100`."""
    count = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.strip().isdecimal():
            begin, end = int(first), int(last or first)
            count += max(0, min(end, high) - max(begin, low) + 1)
    return count
