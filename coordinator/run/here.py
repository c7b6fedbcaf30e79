"""Checks before the start whether this machine can make the load.

Other machines report the same facts when they join (coordinator.fleet.admission).
"""

from __future__ import annotations

import dataclasses
import resource
from collections.abc import Mapping

from coordinator.fleet.admission import RESERVED_FILES
from loadgen.engine.api import Load
from loadgen.engine.choice import choose_for
from loadgen.host.sysctls import read_sysctls
from loadgen.model.errors import FleetError, PlanError
from loadgen.verdict.ports import MOST_SOURCES, Demand, LocalPorts, is_loopback, usable_sources

_WIDE_RANGE = 'sysctl -w net.ipv4.ip_local_port_range="1024 65000"'


def settle_here(demand: Demand, load: Load, engines: int, *, tls: bool) -> tuple[Demand, list[str]]:
    """Choose the source addresses of the load and check this machine; see the functions below.

    Returns the demand with source addresses, and notices.
    """
    check_engine(load, tls=tls)
    check_files(sum(demand.sockets), engines, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    # servers on loopback are this machine's; each engine has a responder for its canary
    listeners = engines + (len(demand.hosts) if demand.on_loopback else 0)
    return settle_sources(demand, read_sysctls(), listeners)


def check_engine(load: Load, *, tls: bool) -> None:
    """Raise PlanError when the requested engine or time stamps are not available."""
    try:
        choose_for(load, tls=tls)
    except FleetError as error:
        raise PlanError(error.message, hint=error.hint) from error


def check_files(connections: int, engines: int, hard_limit: int) -> None:
    """Raise PlanError when an engine cannot open enough connections; engines raise their limit to the hard limit."""
    needed = -(-connections // engines) + RESERVED_FILES
    if 0 <= hard_limit < needed:
        more = -(-connections // max(1, hard_limit - RESERVED_FILES))
        raise PlanError(
            f"each of {engines} engines needs {needed:,} open files, but the hard limit is {hard_limit:,}",
            hint=f"--engines {more}, or a higher limit (as root: ulimit -Hn {needed})",
            of_generator=True,
        )


def settle_sources(demand: Demand, sysctls: Mapping[str, str], listeners: int = 0) -> tuple[Demand, list[str]]:
    """Choose source addresses that have enough ports.  Returns the demand with them, and notices.

    On loopback all addresses of 127.0.0.0/8 can be used: when none are given, as many are taken as needed.
    `listeners`: sockets of this machine that may listen on ports of the kernel's range during the run.
    Raises PlanError when there are fewer ports than connections.
    """
    ports = LocalPorts.of(sysctls, on_loopback=demand.on_loopback)
    if ports is None:
        return demand, []
    if not demand.sources and all(_is_ipv4_loopback(host) for host in demand.hosts):
        left = ports.beside(listeners)
        count = max(left.sources_needed(share, demand.connects_per_s) for share in demand.sockets)
        if 1 < count <= MOST_SOURCES:
            # 127.0.0.1 is left to the coordinator: its own requests to the servers leave ports in TIME_WAIT, too
            sources = tuple(f"127.0.0.{number}" for number in range(2, count + 2))
            note = f"connecting from {sources[0]} to {sources[-1]}: one address has {ports.each:,} ports to a server"
            return dataclasses.replace(demand, sources=sources), [note]
    for host, share in zip(demand.hosts, demand.sockets, strict=True):
        available = ports.each * usable_sources(demand.sources, host)
        if share > available:
            raise PlanError(
                f"{share:,} connections to {host} need as many local ports, and there are {available:,}",
                hint=f"connect from {-(-share // ports.each)} addresses of this machine (--source A,B,...), "
                f"or as root: {_WIDE_RANGE}",
                of_generator=True,
            )
    return demand, _warned(demand, ports.beside(listeners))


def _warned(demand: Demand, ports: LocalPorts) -> list[str]:
    """Return a warning about ports in TIME_WAIT when most connections are closed after use."""
    host, share = max(zip(demand.hosts, demand.sockets, strict=True), key=lambda one: one[1])
    sources = usable_sources(demand.sources, host)
    needed = ports.needed(share, demand.connects_per_s, sources)
    if needed <= ports.each:
        return []
    enough = ports.sources_needed(share, demand.connects_per_s)
    said = f"{enough} addresses (--source) have enough" if enough <= MOST_SOURCES else f"{MOST_SOURCES} are not enough"
    return [
        f"local ports may run out: each source address needs up to {needed:,} ports to {host}, including those in "
        f"TIME_WAIT for {ports.rest_s} s, but has {ports.each:,}; {said}"
    ]


def _is_ipv4_loopback(host: str) -> bool:
    return is_loopback(host) and host[0].isdigit() and ":" not in host  # a host name may also resolve to ::1
