"""The commands that build a lab: none changes the current namespace, and both ends of each link are shaped."""

from __future__ import annotations

import pytest

from deploy.lab.topology import NICS, PROXY_HOST, SINK_HOST, SOURCE_HOST, Place, commands
from loadgen.model.probe import Link

PATHS = {Place.SOURCE: "/proc/self/fd/3", Place.PROXY: "/proc/self/fd/4", Place.SINK: "/proc/self/fd/5"}
LABS = (Link.GIGE, Link.TEN_GIGE, Link.NONE)
EVERY_END = {(place, nic) for place, nics in NICS.items() for nic in nics}


def lines(link: Link) -> list[tuple[Place, str]]:
    return [(command.place, " ".join(command.argv)) for command in commands(link, PATHS)]


@pytest.mark.parametrize("link", LABS)
def test_both_links_are_made_at_the_proxy_and_end_in_another_place(link: Link) -> None:
    assert lines(link)[:2] == [
        (Place.PROXY, "ip link add va1 type veth peer name va0 netns /proc/self/fd/3"),
        (Place.PROXY, "ip link add vb0 type veth peer name vb1 netns /proc/self/fd/5"),
    ]


@pytest.mark.parametrize("link", LABS)
def test_every_end_has_an_address_and_is_up(link: Link) -> None:
    made = lines(link)
    addressed = {(place, line.split()[-1]) for place, line in made if line.startswith("ip address add")}
    up = {(place, line.split()[-2]) for place, line in made if line.startswith("ip link set") and line.endswith(" up")}
    assert addressed == EVERY_END
    assert up == EVERY_END | {(place, "lo") for place in Place}


@pytest.mark.parametrize(("link", "rate"), [(Link.GIGE, "984.4mbit"), (Link.TEN_GIGE, "9844mbit")])
def test_every_end_is_shaped_before_it_is_up(link: Link, rate: str) -> None:
    made = lines(link)
    for place, nic in EVERY_END:
        (shaped,) = [n for n, (where, line) in enumerate(made) if where is place and f" dev {nic} root tbf " in line]
        assert f" rate {rate} " in made[shaped][1]
        assert shaped < made.index((place, f"ip link set {nic} up"))


def test_an_unshaped_lab_has_no_shaper() -> None:
    assert not [line for _, line in lines(Link.NONE) if line.startswith("tc")]


def test_the_only_path_between_the_ends_leads_through_the_proxy() -> None:
    made = lines(Link.GIGE)
    assert (Place.SOURCE, f"ip route add default via {PROXY_HOST}") in made
    sink_way = [line for place, line in made if place is Place.SINK and line.startswith("ip route")]
    assert len(sink_way) == 1
    assert SOURCE_HOST.rpartition(".")[0] != SINK_HOST.rpartition(".")[0]
