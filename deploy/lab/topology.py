"""The lab as data: its places, their addresses, and the commands that make its links."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from loadgen.model.probe import Link


class Place(enum.Enum):
    """A network namespace of the lab."""

    SOURCE = "source"
    PROXY = "proxy"
    SINK = "sink"


SOURCE_HOST = "198.18.1.2"
PROXY_HOST = "198.18.1.1"
SINK_HOST = "198.18.2.2"
"""Of 198.18.0.0/15, which is for benchmarks of network devices (RFC 2544, RFC 6890)."""

_PROXY_FAR_HOST = "198.18.2.1"

NICS = {Place.SOURCE: ("va0",), Place.PROXY: ("va1", "vb0"), Place.SINK: ("vb1",)}
"""Those of each place."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A token bucket (tc-tbf(8)), in tc's own words."""

    rate: str
    burst: str
    limit: str


SHAPES = {
    Link.GIGE: Shape("984.4mbit", "256kb", "512kb"),
    Link.TEN_GIGE: Shape("9844mbit", "2560kb", "5120kb"),
    Link.NONE: None,
}
"""What each link is shaped to; every end sends through one.

Gigabit Ethernet carries 1448 bytes of TCP payload in 1538 bytes on the wire.  The kernel counts 1514 of them (without
preamble, gap and checksum), also in a large segment that no NIC has cut yet, so 984.4 Mbit/s is the same speed: 941.5
Mbit/s of payload.  The burst is what comes due in 2.1 ms: with half of it, a machine that is busy with other things
and late by a millisecond now and then reached 920 to 941 at a window of 64K, and with this 938 to 941.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, and the place to run it in."""

    place: Place
    argv: tuple[str, ...]


def commands(link: Link, namespaces: Mapping[Place, str]) -> tuple[Command, ...]:
    """What makes the links, in order.  `namespaces` are paths that name the places for `ip`."""
    made = [
        _ip(place, f"link add {near} type veth peer name {far} netns {namespaces[other]}")
        for place, near, other, far in (
            (Place.PROXY, "va1", Place.SOURCE, "va0"),
            (Place.PROXY, "vb0", Place.SINK, "vb1"),
        )
    ]
    for place, nic, host in (
        (Place.SOURCE, "va0", SOURCE_HOST),
        (Place.PROXY, "va1", PROXY_HOST),
        (Place.PROXY, "vb0", _PROXY_FAR_HOST),
        (Place.SINK, "vb1", SINK_HOST),
    ):
        made.append(_ip(place, f"address add {host}/24 dev {nic}"))
        if shape := SHAPES[link]:
            made.append(
                _words(
                    place,
                    f"tc qdisc add dev {nic} root tbf rate {shape.rate} burst {shape.burst} limit {shape.limit}",
                )
            )
    made += [_ip(place, f"link set {nic} up") for place in Place for nic in ("lo", *NICS[place])]
    made.append(_ip(Place.SOURCE, f"route add default via {PROXY_HOST}"))
    made.append(_ip(Place.SINK, f"route add default via {_PROXY_FAR_HOST}"))
    return tuple(made)


def _ip(place: Place, words: str) -> Command:
    return _words(place, f"ip {words}")


def _words(place: Place, words: str) -> Command:
    return Command(place, tuple(words.split()))


ROUTING = {"ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0"}
"""Settings below /proc/sys/net that make a place forward: for the proxy's, before its NICs are there."""

INHERITED = (
    "ipv4/tcp_congestion_control",
    "ipv4/tcp_rmem",
    "ipv4/tcp_wmem",
    "ipv4/tcp_sack",
    "ipv4/tcp_timestamps",
    "ipv4/tcp_window_scaling",
    "ipv4/tcp_slow_start_after_idle",
    "ipv4/tcp_no_metrics_save",
    "ipv4/ip_local_port_range",
    "ipv4/tcp_tw_reuse",
)
"""Settings that each namespace has for itself, and that a lab takes from ours: it shows this machine's TCP."""
