"""What TCP did on connections that do not conform: judged, recorded, and said."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from coordinator.output.terminal.tcp_lines import tcp_lines
from coordinator.record.tcp import read_tcp, write_tcp
from loadgen.measure.tcp_view import TcpView
from loadgen.verdict.connection import State
from loadgen.verdict.run import without_score
from loadgen.verdict.tcp_result import Blame, TcpResult, TcpRow, judge_tcp
from tests.support.results import run_result
from tests.support.tcp import tcp_view

SEEN = {"looks": 4, "ordered": 4, "timed": 4}
TARGET_OF = np.array([0, 0, 0, 1, 1, 1], np.int32)
GOOD, SLOW, LOST = State.CONFORMING, State.SLOW, State.LOST


def judged(view: TcpView, states: Sequence[State] | None = None, targets: int = 2) -> TcpResult:
    found = judge_tcp(view, 0, TARGET_OF, targets, None if states is None else np.array(states, np.uint8))
    assert found is not None
    return found


def test_each_non_conforming_connection_had_losses_or_not() -> None:
    view = tcp_view(
        {(0, 0): SEEN, (0, 1): SEEN},
        {(0, 0): (3, 0), (0, 1): (1, 4), (0, 3): (0, 2), (0, 5): (9, 0), (1, 4): (7, 7)},
    )
    found = judged(view, (GOOD, SLOW, State.NO_REQUESTS, SLOW, State.ERRORS, LOST))
    assert found.all.not_conforming == Blame(connections=4, retransmits=1, out_of_order=1, waited=0, failed=2)
    assert found.all.lossy == 4
    first, second = found.targets
    assert first is not None
    assert second is not None
    assert first.not_conforming == Blame(connections=2, retransmits=1, out_of_order=0, waited=0, failed=1)
    assert second.not_conforming == Blame(connections=2, retransmits=0, out_of_order=1, waited=0, failed=1)
    assert (first.connections, first.lossy) == (3, 2)


def test_only_slow_connections_waited() -> None:
    view = tcp_view({(0, 0): SEEN, (0, 1): SEEN}, {(0, 3): (1, 0)})
    found = judged(view, (SLOW, GOOD, State.NO_REQUESTS, State.ERRORS, State.ERRORS, LOST)).all
    assert found.not_conforming == Blame(connections=4, retransmits=1, out_of_order=0, waited=1, failed=2)
    assert found.not_conforming.lost == 1


def test_where_only_some_kernels_tell_the_order_each_connection_counts_once() -> None:
    view = tcp_view({(0, 0): {**SEEN, "ordered": 2, "out_of_order": 3}}, {(0, 1): (0, 3)})
    found = judged(view, (SLOW,) * 6).all
    assert found.out_of_order is None  # of all segments received, some kernels told nothing
    assert found.not_conforming == Blame(connections=6, retransmits=0, out_of_order=1, waited=5, failed=0)


def test_sums_times_and_shares_of_one_window() -> None:
    numbers = {"retransmits": 5, "segments_sent": 100, "out_of_order": 2, "segments_received": 300}
    times = {"busy_us": 4_000_000, "rwnd_limited_us": 1_000_000, "sndbuf_limited_us": 0}
    view = tcp_view({(0, 0): {**SEEN, **numbers, **times}, (1, 0): SEEN}, {}, rtt_us=[100, 200, 2000])
    row = judged(view).all
    assert (row.retransmits, row.segments_sent, row.out_of_order, row.segments_received) == (5, 100, 2, 300)
    assert (row.busy_s, row.cwnd_limited, row.rwnd_limited, row.sndbuf_limited) == (4.0, 0.75, 0.25, 0.0)
    assert (row.rtts, row.rtt_min_ms, row.rtt_p99_ms) == (3, 0.1, 2.0)
    assert row.rtt_p50_ms == pytest.approx(0.2, rel=0.001)
    assert row.not_conforming is None
    assert judged(view).targets[1] is None


def test_what_is_not_known_is_none_and_nothing_seen_is_absent() -> None:
    old = judged(tcp_view({(0, 0): {"looks": 4, "retransmits": 1}}, {(0, 1): (1, 0)}), (GOOD, SLOW) + (SLOW,) * 4).all
    assert old.retransmits == 1
    unknown = (old.segments_sent, old.out_of_order, old.busy_s, old.cwnd_limited, old.rtt_min_ms)
    assert unknown == (None,) * 5
    assert old.not_conforming == Blame(connections=5, retransmits=1, out_of_order=None, waited=4, failed=0)
    assert judge_tcp(TcpView.NOTHING, 0, TARGET_OF, 2) is None
    assert judge_tcp(tcp_view({(1, 0): SEEN}, {}), 0, TARGET_OF, 2) is None


def test_rows_survive_the_record_and_lose_their_blame_without_a_score() -> None:
    found = judged(tcp_view({(0, 0): SEEN}, {(0, 0): (1, 0)}, [50]), (SLOW,) * 6).all
    for row in (found, dataclasses.replace(found, not_conforming=None)):
        assert read_tcp(write_tcp(row)) == {"tcp": row}
    assert write_tcp(None) == {}
    assert read_tcp({}) == {}
    result = run_result(1)
    targets = tuple(dataclasses.replace(one, tcp=found) for one in result.targets)
    bare = without_score(dataclasses.replace(result, targets=targets))
    assert all(one.tcp is not None and one.tcp.not_conforming is None for one in bare.targets)


@dataclasses.dataclass
class Vm:
    name: str
    tcp: TcpRow | None


def said(*arguments: Any) -> list[str]:
    console = Console(width=80, record=True, file=None, force_terminal=False)
    with console.capture() as got:
        for line in tcp_lines(*arguments):
            console.print(line)
    return [line.rstrip() for line in got.get().splitlines() if line.strip()]


def test_the_report_says_it_in_one_line() -> None:
    numbers = {**SEEN, "retransmits": 5, "segments_sent": 1000, "segments_received": 3000, "busy_us": 10_000_000}
    view = tcp_view({(0, 0): {**numbers, "rwnd_limited_us": 4_000_000}, (0, 1): SEEN}, {(0, 0): (5, 0)}, [100, 200])
    found = judged(view, (SLOW, SLOW, GOOD, GOOD, GOOD, GOOD))
    rows = [Vm("vm01", found.targets[0]), Vm("vm02", found.targets[1]), Vm("vm03", None)]
    lines = said(found.all, rows, "VM", "VMs")
    assert lines[:3] == [
        "TCP (client's end): 5 of 1,000 segments resent, 0 of 3,000 received out of order",
        "  round-trip time min/p50/p99 0.10/0.10/0.20 ms",
        "  sending for 10 s: congestion window 60%, receive window 40%",
    ]
    assert "1 of 2 non-conforming connections had retransmits or segments out of order; 1" in lines
    assert [line.split() for line in lines if line.lstrip().startswith("vm")] == [
        ["vm01", "5", "0", "1/3", "0.10", "0.20", "1", "1"],
        ["vm02", "0", "0", "0/3", "-", "-", "0", "0"],
        ["vm03", *["-"] * 7],
    ]
    assert said(None, rows, "VM", "VMs") == []


def test_the_report_says_what_was_not_looked_at_and_what_failed() -> None:
    view = tcp_view({(0, 0): {**SEEN, "skipped": 1234}}, {})
    found = judged(view, (SLOW, State.ERRORS, State.ERRORS, GOOD, GOOD, GOOD))
    lines = said(found.all, [], "VM", "VMs")
    assert lines[1:] == [
        "  without 1,234 TCP connections that ended soon and were not looked at",
        "0 of 3 non-conforming connections had retransmits or segments out of order; 1",
        "only waited, 2 failed",
    ]


def test_without_losses_there_is_no_table() -> None:
    found = judged(tcp_view({(0, 0): SEEN, (0, 1): SEEN}, {}), (GOOD,) * 6)
    assert said(found.all, [Vm("a", found.targets[0]), Vm("b", found.targets[1])], "VM", "VMs") == [
        "TCP (client's end): 0 of 0 segments resent, 0 of 0 received out of order"
    ]
