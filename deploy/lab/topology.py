"""The lab as data: its places, their addresses, and the commands that create its links."""

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
"""Addresses in 198.18.0.0/15, which is reserved for benchmarks of network devices (RFC 2544, RFC 6890)."""

_PROXY_FAR_HOST = "198.18.2.1"

NICS = {Place.SOURCE: ("va0",), Place.PROXY: ("va1", "vb0"), Place.SINK: ("vb1",)}
"""The NICs of each place."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The parameters of a token bucket filter (tc-tbf(8)), in the notation of tc."""

    rate: str
    burst: str
    limit: str


SHAPES = {
    Link.GIGE: Shape("984.4mbit", "256kb", "512kb"),
    Link.TEN_GIGE: Shape("9844mbit", "2560kb", "5120kb"),
    Link.NONE: None,
}
"""The shape of each kind of link; both ends of a link send through such a filter.

Gigabit Ethernet carries 1448 bytes of TCP payload in 1538 bytes on the wire.  The kernel counts 1514 of these (without
preamble, gap and checksum), also in large segments that no NIC has split, so 984.4 Mbit/s is the same speed: 941.5
Mbit/s of payload.  The burst lasts 2.1 ms.  With half of it, a busy machine, which is a millisecond late now and then,
reached 920 to 941 Mbit/s at a window of 64K; with this burst it reached 938 to 941.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, and the place in which it runs."""

    place: Place
    argv: tuple[str, ...]


def commands(link: Link, namespaces: Mapping[Place, str]) -> tuple[Command, ...]:
    """The commands that create the links, in order.  `namespaces` are the paths of the places, for `ip`."""
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
"""Settings below /proc/sys/net that make the proxy forward packets; set before its NICs exist."""

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
"""Settings of each namespace that a lab copies from this one, so that it behaves like the TCP of this machine."""
