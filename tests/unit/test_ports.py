"""The number of local ports that a load needs, and the number that is available."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.run.here import check_files, settle_sources
from loadgen.model.errors import PlanError
from loadgen.verdict.ports import BUCKETS, MOST_SOURCES, RANGE, REUSE, Demand, LocalPorts, is_loopback, usable_sources

USUAL = {RANGE: "32768 60999", REUSE: "2", BUCKETS: "131072"}


def ports(*, on_loopback: bool = True, **changes: str) -> LocalPorts:
    found = LocalPorts.of(
        {**USUAL, **{f"net.ipv4.{name}": text for name, text in changes.items()}}, on_loopback=on_loopback
    )
    assert found is not None
    return found


def demand(*shares: int, host: str = "127.0.0.1", connects_per_s: float = 0.0, sources: tuple[str, ...] = ()) -> Demand:
    return Demand(hosts=(host,) * len(shares), shares=shares, connects_per_s=connects_per_s, sources=sources)


def test_a_closed_connection_keeps_its_port_for_the_kernels_time() -> None:
    assert ports().rest_s == 1
    assert ports(on_loopback=False).rest_s == 60  # tcp_tw_reuse 2 is for loopback
    assert ports(on_loopback=False, tcp_tw_reuse="1").rest_s == 1
    assert ports(tcp_tw_reuse="0").rest_s == 60
    assert ports().needed(1250, 1.21) == 2919  # 1250 open, 1512.5 in TIME_WAIT, 4 * 38.9 more
    assert ports(tcp_tw_reuse="0").needed(1250, 1.21) == 93_205
    assert ports(tcp_tw_reuse="0").needed(1250, 1.21, 4) == 23_603
    assert ports(tcp_tw_reuse="0", tcp_max_tw_buckets="10000").needed(1250, 1.21) == 1250 + 10_000 + 400
    assert ports().needed(1250, 0) == 1250


def test_reserved_ports_are_not_available() -> None:
    assert ports().each == 28_232
    assert ports(ip_local_reserved_ports="80,32767-32769,40000,60999-61005").each == 28_232 - 4
    assert ports(ip_local_port_range="5 5", ip_local_reserved_ports="5").each == 1  # division by zero is avoided
    assert LocalPorts.of({}, on_loopback=True) is None


@given(st.integers(1, 100_000), st.floats(0, 100), st.integers(1, 60_000))
def test_the_number_of_required_sources_is_exact(connections: int, connects_per_s: float, each: int) -> None:
    some = LocalPorts(each=each, rest_s=60, max_resting=1 << 17)
    count = some.sources_needed(connections, connects_per_s)
    assert count > MOST_SOURCES or some.needed(connections, connects_per_s, count) <= each
    assert count == 1 or some.needed(connections, connects_per_s, count - 1) > each


def test_only_sources_of_a_servers_address_family_count() -> None:
    assert usable_sources((), "::1") == 1
    assert usable_sources(("127.0.0.1", "127.0.0.2", "::1"), "127.0.0.9") == 2
    assert usable_sources(("127.0.0.1", "127.0.0.2", "::1"), "fe80::1%eth0") == 1
    assert usable_sources(("127.0.0.1", "127.0.0.2"), "example.org") == 2
    assert [is_loopback(host) for host in ("127.9.9.9", "::1", "localhost", "192.0.2.1", "example.org")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_load_with_enough_ports_is_unchanged() -> None:
    for one in (demand(1250), demand(12_000, connects_per_s=1.21), demand(28_232)):
        assert settle_sources(one, USUAL) == (one, [])
    assert settle_sources(demand(100_000), {}) == (demand(100_000), [])  # the number is not known


def test_on_loopback_more_addresses_are_used_and_reported() -> None:
    found, said = settle_sources(demand(20, 20_000, connects_per_s=1.21), USUAL)
    assert found.sources == ("127.0.0.2", "127.0.0.3")
    assert said == ["connecting from 127.0.0.2 to 127.0.0.3: one address has 28,232 ports to a server"]
    assert settle_sources(demand(28_233, host="127.8.8.8"), USUAL)[0].sources == ("127.0.0.2", "127.0.0.3")
    strict = {**USUAL, REUSE: "0"}
    assert len(settle_sources(demand(1250, connects_per_s=1.21), strict)[0].sources) == 4


def test_ports_with_listeners_are_not_counted() -> None:
    scarce = {**USUAL, RANGE: "40000 40029"}
    one = demand(70, connects_per_s=0.5)
    assert len(settle_sources(one, scarce)[0].sources) == 6
    assert len(settle_sources(one, scarce, listeners=6)[0].sources) == 7
    assert LocalPorts(each=30, rest_s=1, max_resting=9).beside(4) == LocalPorts(each=26, rest_s=1, max_resting=9)
    assert LocalPorts(each=30, rest_s=1, max_resting=9).beside(40).each == 1
    far = demand(374, host="192.0.2.1", connects_per_s=1.21)
    (said,) = settle_sources(far, USUAL, listeners=100)[1]
    assert "but has 28,132" in said


@pytest.mark.parametrize(
    ("one", "hint"),
    [
        (demand(28_233, host="192.0.2.1"), "connect from 2 addresses"),
        (demand(28_233, host="::1"), "connect from 2 addresses"),
        (demand(28_233, host="localhost"), "connect from 2 addresses"),  # the name may resolve to ::1
        (demand(60_000, sources=("127.0.0.5", "127.0.0.6")), "connect from 3 addresses"),
        (demand(28_233, sources=("::1", "127.0.0.6")), "connect from 2 addresses"),
    ],
)
def test_a_load_without_enough_ports_is_refused_with_a_remedy(one: Demand, hint: str) -> None:
    with pytest.raises(PlanError, match="need as many local ports, and there are") as refused:
        settle_sources(one, USUAL)
    assert hint in refused.value.hint
    assert refused.value.exit_code == 2


def test_a_possible_shortage_of_ports_is_reported() -> None:
    far = demand(375, host="192.0.2.1", connects_per_s=1.21)
    found, (said,) = settle_sources(far, USUAL)
    assert found == far
    assert (
        "up to 28,260 ports to 192.0.2.1, including those in TIME_WAIT for 60 s, but has 28,232; 2 addresses " in said
    )
    assert settle_sources(demand(374, host="192.0.2.1", connects_per_s=1.21), USUAL)[1] == []


def test_an_engine_that_cannot_open_enough_files_is_refused_with_a_remedy() -> None:
    check_files(20_000, 2, 20_000)
    check_files(20_000, 1, -1)  # no limit
    with pytest.raises(
        PlanError, match="each of 1 engines needs 20,032 open files, but the hard limit is 20,000"
    ) as refused:
        check_files(20_000, 1, 20_000)
    assert "--engines 2" in refused.value.hint
