"""Views of TCP: sums, wire form; how looks become a table, and a table becomes views of windows."""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgpack
import numpy as np
import pytest

from loadgen.engine.api import Segment
from loadgen.engine.tcp_accounts import (
    FIELDS,
    INFO_BYTES,
    LOOK_NS,
    LOOKS_AT_ONCE,
    QUICK_LOOKS,
    QUICK_NS,
    ROUND_NS,
    TcpAccounts,
)
from loadgen.engine.tcp_looks import TcpLooks
from loadgen.measure.histogram import Histogram
from loadgen.measure.histograms import Histograms
from loadgen.measure.ledger import Totals
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.tcp_view import PATH_DTYPE, SLOT_DTYPE, TcpView
from loadgen.measure.together import Snapshots
from loadgen.model.units import NS_PER_S
from tests.support.snapshots import snapshot
from tests.support.tcp import tcp_view, with_tcp

US = 1000


def info(
    *, retransmits: int = 0, out_of_order: int = 0, sent: int = 0, busy_us: int = 0, rtt_us: int = 0, size: int = 280
) -> bytes:
    data = bytearray(size)
    fields = (
        (68, "I", rtt_us),
        (100, "I", retransmits),
        (136, "I", sent),
        (168, "Q", busy_us),
        (224, "I", out_of_order),
    )
    for at, kind, value in fields:
        if at + struct.calcsize(f"={kind}") <= size:
            struct.pack_into(f"={kind}", data, at, value)
    return bytes(data[:INFO_BYTES])


class Sock(socket.socket):
    """A socket whose TCP_INFO the test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.info: bytes | None = info()

    def getsockopt(self, *_: Any) -> Any:
        if self.info is None:
            raise OSError("no TCP")
        return self.info


class Slot:
    def __init__(self, number: int, *socks: socket.socket) -> None:
        self.number = number
        self.socks = socks

    def sockets(self) -> tuple[socket.socket, ...]:
        return self.socks


def column(table: Any, name: str) -> list[int]:
    return [int(value) for value in table[:, FIELDS.index(name)]]


def test_what_a_tcp_connection_counts_is_added_up_once() -> None:
    looks = TcpLooks([3, 7])
    with Sock() as sock, Sock() as other:
        sock.info, other.info = info(retransmits=2, rtt_us=50), info(retransmits=1)
        looks.look(2 * NS_PER_S, [Slot(3, sock), Slot(7, other)])
        assert column(looks.table(), "retransmits") == [2, 1]
        sock.info = info(retransmits=5, rtt_us=70)
        looks.look(4 * NS_PER_S, [Slot(3, sock), Slot(7)])
        sock.info = info(retransmits=6)
        looks.ended(3, sock, NS_PER_S)
        sock.info = info(retransmits=4)  # the next TCP connection with this descriptor
        looks.ended(7, sock, NS_PER_S)
    table = looks.table()
    assert column(table, "retransmits") == [6, 5]
    assert column(table, "looks") == [3, 2]
    assert (column(table, "rtts"), column(table, "rtt_us")) == ([2, 0], [70, 0])


def test_older_kernels_and_other_sockets() -> None:
    looks = TcpLooks([0])
    with Sock() as sock:
        sock.info = info(retransmits=3, out_of_order=9, busy_us=5, size=192)
        looks.look(NS_PER_S, [Slot(0, sock)])
        sock.info = info(retransmits=4, size=104)
        looks.ended(0, sock, NS_PER_S)
        sock.info = None  # a Unix socket
        looks.ended(0, sock, NS_PER_S)
    table = looks.table()
    names = ("retransmits", "out_of_order", "busy_us", "looks", "timed", "ordered")
    assert [column(table, name)[0] for name in names] == [4, 0, 5, 2, 1, 0]


def test_many_connections_are_looked_at_in_turn() -> None:
    looks = TcpLooks(range(250))
    with Sock() as sock:
        slots = [Slot(number, sock) for number in range(250)]
        seen = []
        for at_ns in range(ROUND_NS, 2 * ROUND_NS, LOOK_NS // 2):
            looks.look(at_ns, slots)
            seen.append(sum(column(looks.table(), "looks")))
    assert LOOKS_AT_ONCE == 100
    assert seen[:6] == [100, 100, 200, 200, 250, 250]
    assert seen[-1] == 250  # once a second


def test_of_many_short_tcp_connections_some_are_looked_at() -> None:
    looks = TcpLooks([0])
    with Sock() as sock:
        sock.info = info(retransmits=2)
        looks.look(NS_PER_S, [Slot(0, sock)])
        for _ in range(QUICK_LOOKS + 3):
            looks.ended(0, sock, QUICK_NS - 1)
        assert column(looks.table(), "looks") == [1 + QUICK_LOOKS]
        assert column(looks.table(), "skipped") == [3]
        seen = column(looks.table(), "retransmits")[0]
        looks.ended(0, sock, QUICK_NS)  # old enough
        assert column(looks.table(), "retransmits") == [seen + 2]
        looks.look(3 * NS_PER_S, [Slot(0)])
        looks.ended(0, sock, 0)
    assert column(looks.table(), "looks") == [3 + QUICK_LOOKS]
    assert column(looks.table(), "skipped") == [3]


SEGMENT = Segment(
    index=2,
    origin_ns=0,
    start_ns=NS_PER_S,
    window_start_ns=2 * NS_PER_S,
    window_end_ns=4 * NS_PER_S,
    end_ns=5 * NS_PER_S,
)


def table(*rows: dict[str, int]) -> Any:
    made = np.zeros((len(rows), len(FIELDS)), np.int64)
    for at, row in enumerate(rows):
        for name, value in row.items():
            made[at, FIELDS.index(name)] = value
    return made


def test_counters_belong_to_the_window_in_which_most_of_the_time_lies() -> None:
    accounts = TcpAccounts(np.array([4]), np.array([0], np.int32), 0)
    accounts.start(SEGMENT)
    found = []
    for number, at_s in enumerate((1.9, 2.05, 3.0, 4.1, 5.0), start=1):
        view = accounts.view(table({"looks": number, "retransmits": number**2}), SEGMENT, int(at_s * NS_PER_S))
        found.append([(int(row["window"]), int(row["retransmits"])) for row in view.paths])
    assert found == [[(-1, 1)], [(-1, 3)], [(2, 5)], [(2, 7)], [(-1, 9)]]
    assert not accounts.view(table({"looks": 5, "retransmits": 25}), SEGMENT, 5 * NS_PER_S)


def test_a_view_has_the_sums_of_targets_and_the_connections_with_losses() -> None:
    accounts = TcpAccounts(np.array([1, 2, 5]), np.array([0, 0, 3], np.int32), 0)
    accounts.start(SEGMENT)
    seen = {"looks": 1, "timed": 1, "ordered": 1}
    rows = (
        {**seen, "retransmits": 2, "segments_sent": 50, "rtts": 1, "rtt_us": 120},
        {**seen, "segments_sent": 7},
        {**seen, "out_of_order": 1, "busy_us": 3, "rtts": 1, "rtt_us": 80},
    )
    view = accounts.view(table(*rows), SEGMENT, 3 * NS_PER_S)
    assert view.slots.tolist() == [(2, 1, 2, 0), (2, 5, 0, 1)]
    assert view.paths[["target", "looks", "retransmits", "segments_sent", "busy_us"]].tolist() == [
        (0, 2, 2, 57, 0),
        (3, 1, 0, 0, 3),
    ]
    assert list(view.rtt) == [Histogram.of(np.array([120 * US])), Histogram.of(np.array([80 * US]))]


def test_what_is_new_without_a_look_is_in_the_view() -> None:
    accounts = TcpAccounts(np.array([4, 5]), np.array([0, 1], np.int32), 0)
    accounts.start(SEGMENT)
    view = accounts.view(table({"skipped": 7}, {"retransmits": 2}), SEGMENT, 3 * NS_PER_S)
    assert view.paths[["target", "looks", "skipped", "retransmits"]].tolist() == [(0, 0, 7, 0), (1, 0, 0, 2)]


def test_streams_of_a_lossy_tcp_connection_share_its_numbers() -> None:
    accounts = TcpAccounts(np.arange(6), np.zeros(6, np.int32), 3)
    accounts.start(SEGMENT)
    nothing: dict[str, int] = {}
    view = accounts.view(
        table({"looks": 1}, nothing, nothing, {"looks": 1, "retransmits": 4}, nothing, nothing), SEGMENT, 3 * NS_PER_S
    )
    assert view.slots["connection"].tolist() == [3, 4, 5]
    assert view.paths["retransmits"].tolist() == [4]


def test_views_are_added_up() -> None:
    one = tcp_view({(0, 0): {"retransmits": 1, "looks": 2}, (1, 0): {"looks": 1}}, {(0, 3): (1, 0)}, rtt_us=[100])
    other = tcp_view({(0, 0): {"retransmits": 3, "looks": 1}}, {(0, 3): (1, 2), (-1, 1): (0, 9)}, rtt_us=[300])
    both = TcpView.merge_all([one, TcpView.NOTHING, other])
    assert both.slots.tolist() == [(-1, 1, 0, 9), (0, 3, 2, 2)]
    assert both.paths[["window", "target", "looks", "retransmits"]].tolist() == [(0, 0, 3, 4), (1, 0, 1, 0)]
    assert both.rtt[0] == Histogram.of(np.array([100, 300]) * US)
    assert TcpView.merge_all([]) is TcpView.NOTHING
    assert not TcpView.NOTHING


def test_a_view_survives_the_wire_alone_and_together() -> None:
    view = tcp_view({(-1, 2): {"looks": 1, "busy_us": 1 << 40}, (0, 2): {"looks": 3}}, {(0, 70000): (5, 0)})
    first, second = with_tcp(snapshot("a", 1), view), snapshot("b", 1)
    wire = msgpack.unpackb(msgpack.packb(first.to_wire()))
    assert Snapshot.from_wire(wire) == first
    assert Snapshot.from_wire(wire).to_wire() == first.to_wire()
    assert "tcp" not in second.to_wire()  # as in earlier versions
    together = Snapshots.from_wires([msgpack.unpackb(msgpack.packb(Snapshots.of([second, first]).to_wire()))])
    assert together.split() == [second, first]
    assert Totals.of(together).tcp == view


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slots", 2),
        ("slots", -1),
        ("paths", 1 << 40),
        ("slot_rows", b"abc"),
        ("path_rows", "text"),
        ("rtt", None),
        ("rtt", Histograms.nothing(3).to_wire()),
    ],
)
def test_a_malformed_view_is_refused(field: str, value: object) -> None:
    wire = tcp_view({(0, 0): {"looks": 1}}, {(0, 1): (1, 1)}).to_wire()
    with pytest.raises(ValueError, match=r"."):
        TcpView.from_wire({**wire, field: value})
    with pytest.raises(ValueError, match=r"."):
        TcpView.from_wire([wire])


def test_windows_that_cannot_be_are_refused() -> None:
    rows, paths = np.zeros(1, SLOT_DTYPE), np.zeros(0, PATH_DTYPE)
    rows["window"] = 1 << 30
    with pytest.raises(ValueError, match="window"):
        TcpView.from_wire(TcpView(rows, paths, Histograms.nothing(0)).to_wire())
