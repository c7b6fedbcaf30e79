"""Counters of the load machines' network namespaces: summed up by window, recorded, and read from older records."""

from __future__ import annotations

import pytest

from coordinator.record.tcp import read_namespaces, write_namespaces
from loadgen.host.counters import OF_NAMESPACE, read_counters
from loadgen.measure.disturbance import NAMESPACE, UNKNOWN, MachineSecond
from loadgen.model.units import NS_PER_S
from loadgen.verdict.namespace import NamespaceRow, NamespaceSums
from tests.support.disturbance import second


def test_seconds_are_added_up_by_window_and_machine() -> None:
    sums = NamespaceSums()
    for one in (
        second(0, window=-1, tcp_retransmits=100),
        second(1, tcp_retransmits=2, tcp_timeouts=1),
        second(2, tcp_retransmits=3, tcp_timeouts=UNKNOWN),
        second(2, machine="other", tcp_retransmits=7),
        second(3, window=1, tcp_retransmits=9),
        second(4, end_ns=NS_PER_S // 2 - 1, tcp_retransmits=50),  # less than half of it is in the window
    ):
        sums.add(one)
    first, other = sums.rows(0)
    assert (first.machine, first.seconds, first.counted["tcp_retransmits"]) == ("local", 2, 5)
    assert "tcp_timeouts" not in first.counted  # not known in each second
    assert (other.machine, other.seconds, other.counted["tcp_retransmits"]) == ("other", 1, 7)
    assert [row.counted["tcp_retransmits"] for row in sums.rows(1)] == [9]
    assert sums.rows(2) == ()


def test_rows_survive_the_record() -> None:
    rows = (NamespaceRow(machine="m", seconds=3, counted={"tcp_retransmits": 4, "listen_drops": 0}),)
    assert read_namespaces(write_namespaces(rows)) == rows
    assert write_namespaces(()) == {}
    assert read_namespaces({}) == ()


def test_seconds_of_earlier_versions_are_read() -> None:
    wire = second(1).to_wire()
    old = {name: value for name, value in wire.items() if name not in NAMESPACE}
    with pytest.raises(ValueError, match="tcp_retransmits"):
        MachineSecond.from_wire(old)
    old |= {"tcp_retransmits": 5, "listen_overflows": 2}
    read = MachineSecond.from_wire(old)
    assert (read.tcp_retransmits, read.tcp_timeouts, read.listen_drops) == (5, UNKNOWN, UNKNOWN)


def test_the_kernel_here_has_the_counters() -> None:
    assert OF_NAMESPACE.keys() == set(NAMESPACE)
    found = read_counters()
    assert [name for name in NAMESPACE if getattr(found, name) is None] in ([], ["tcp_receive_drops"])
