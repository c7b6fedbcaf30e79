from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from coordinator.fleet.api import MachineStatus
from coordinator.output.terminal import plain
from coordinator.output.terminal.build import ViewBuilder
from coordinator.output.terminal.runview import Position
from coordinator.output.terminal.screen import Screen
from loadgen.measure.cells import Cell
from loadgen.measure.histogram import Histogram
from loadgen.measure.ledger import Ledger
from loadgen.model.machine import Clock, MachineState
from loadgen.model.outcome import Outcome
from loadgen.model.plan import SpecPlan
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.placement import Placement
from loadgen.verdict.span import Span
from tests.support.snapshots import GROUPS, KINDS, cell, snapshot, tally

PLAN = SpecPlan(vms=2, connections=3)
TARGETS = (Target(name="vm1", host="127.0.0.1", port=8001), Target(name="vm2", host="::1", port=8002))
MEASURE = Position(
    phase="measure", iteration=0, iterations=3, phase_elapsed_s=4, phase_length_s=20, elapsed_s=9, total_s=70
)


PLACEMENT = Placement(("a", "b"), np.array([0, 1, 0, 1, 0, 1], np.int32))


def builder() -> ViewBuilder:
    return ViewBuilder(PLAN, TARGETS, PLACEMENT, title="title")


def ledger(*workers: str) -> Ledger:
    return Ledger(workers, KINDS, GROUPS)


def test_before_the_first_interval_there_are_no_figures() -> None:
    view = builder().build(ledger("a"), dataclasses.replace(MEASURE, iteration=-1), ["hello"])
    assert (view.interval, view.engines, view.notices) == (-1, (), ("hello",))
    assert [(row.name, row.address, row.requested) for row in view.targets] == [
        ("vm1", "127.0.0.1:8001", 3),
        ("vm2", "[::1]:8002", 3),
    ]
    assert {row.conforming for row in (*view.targets, view.totals)} == {None}
    assert view.totals.p99_ms is None


def test_rates_are_those_of_the_newest_complete_interval() -> None:
    book, make = ledger("a", "b"), builder()
    book.receive(snapshot("a", 0, {(0, 0): cell(4, received=250_000)}))
    book.receive(snapshot("b", 0, {(0, 0): cell(6, received=1_000_000, response_ms=100), (-1, 1): cell(2)}))
    book.receive(snapshot("a", 1, {(0, 0): cell(999)}))
    view = make.build(book, MEASURE)
    first, second = view.targets
    assert view.interval == 0
    assert (first.ops_per_s, first.mbit_per_s) == (10.0, 10.0)
    assert first.p99_ms is not None
    assert first.p99_ms.low == first.p99_ms.high == pytest.approx(100, rel=0.001)
    assert (second.ops_per_s, view.totals.ops_per_s) == (2.0, 12.0)
    assert view.totals.p50_ms is not None
    assert view.totals.p50_ms.low == pytest.approx(20, rel=0.001)
    assert make.build(book, MEASURE) == view
    assert make.build(book, MEASURE, engine="python engine").title == "title · python engine"


def test_conforming_and_errors_are_summed_over_the_iteration() -> None:
    book, make = ledger("a"), builder()
    book.receive(
        snapshot("a", 0, {(0, 0): cell(5, 1), (-1, 1): cell(5, 2)}, (tally(0, 0), tally(0, 1, kbit_per_s=200)))
    )
    assert [row.conforming for row in make.build(book, MEASURE).targets] == [2, None]
    book.receive(
        snapshot(
            "a",
            1,
            {(0, 0): cell(5, 1)},
            (tally(0, 1, kbit_per_s=500), tally(0, 4, ok=0, bad=1), tally(-1, 5, ok=0, bad=1)),
        )
    )
    view = make.build(book, MEASURE)
    assert [row.conforming for row in view.targets] == [3, 2]
    assert [row.errors for row in view.targets] == [2, 0]  # no failure outside of the window is in the result
    assert (view.totals.conforming, view.totals.errors) == (5, 2)


def test_connections_of_a_lost_worker_do_not_conform() -> None:
    book, make = ledger("a", "b"), builder()
    for worker, connections in (("a", (0, 2, 4)), ("b", (1, 3, 5))):
        rows = tuple(tally(0, connection, kbit_per_s=500) for connection in connections)
        book.receive(snapshot(worker, 0, {(0, 0): cell(5, 1), (0, 1): cell(5, 1)}, rows))
    assert make.build(book, MEASURE).totals.conforming == 6
    book.lost("b", 1)
    assert [row.conforming for row in make.build(book, MEASURE).targets] == [2, 1]
    # Also before anything is known of an iteration, and in each of those that follow.
    assert make.build(book, dataclasses.replace(MEASURE, iteration=1)).totals.conforming == 3


def test_the_next_iteration_starts_at_zero() -> None:
    book, make = ledger("a"), builder()
    book.receive(snapshot("a", 0, {(0, 0): cell(5, 1)}, (tally(0, 0, kbit_per_s=200),)))
    assert make.build(book, MEASURE).totals.conforming == 5
    book.receive(snapshot("a", 1, {(0, 0): cell(5, 1), (1, 1): cell(5, 3)}, (tally(0, 0, kbit_per_s=200), tally(1, 4))))
    view = make.build(book, dataclasses.replace(MEASURE, iteration=1))
    assert [row.conforming for row in view.targets] == [None, 3]
    assert [row.errors for row in view.targets] == [0, 3]


def test_the_rate_of_a_short_last_interval_is_that_of_its_length() -> None:
    book, whole = ledger("a"), snapshot("a", 0, {(0, 0): cell(8)})
    book.receive(dataclasses.replace(whole, health=dataclasses.replace(whole.health, wall_ns=NS_PER_S // 4)))
    assert builder().build(book, MEASURE).totals.ops_per_s == 32.0


def test_an_interval_in_which_operations_were_only_cut_has_their_waits_as_lower_bounds() -> None:
    book, silent = ledger("a"), Cell.empty(KINDS, GROUPS)
    silent.outcomes[Outcome.CUT] = 2
    silent = dataclasses.replace(silent, response_cut=Histogram.of(np.array([1000, 2000]) * NS_PER_MS))
    book.receive(snapshot("a", 0, {(0, 0): silent}))
    view = builder().build(book, MEASURE)
    assert view.totals.p99_ms == Span(2000, None)
    assert "p99_ms=>2000.0 " in plain.line(view)
    assert "  >2,000  " in "\n".join(line.plain for line in Screen(view).lines(80, 24, ascii_only=True))


def test_a_view_continues_after_a_long_pause() -> None:
    book, make = ledger("a"), builder()
    for n in range(500):
        book.receive(snapshot("a", n))
    view = make.build(book, MEASURE)
    assert (view.interval, view.targets[0].ops_per_s) == (499, 5.0)


def test_engines_are_shown_as_in_the_newest_complete_interval() -> None:
    book = ledger("a", "b", "c")
    book.receive(snapshot("a", 0, {(0, 0): cell(5, late_ms=3), (-1, 1): cell(1, late_ms=7)}))
    book.receive(snapshot("b", 0, {}, runqueue_ns=-1))
    book.lost("c", 0)
    one, two = builder().build(book, MEASURE).engines
    assert (one.worker, one.connections, one.cpu_share, one.runqueue_share) == ("a", 20, 0.25, 0.002)
    assert one.lateness_p99_ms == pytest.approx(7, rel=0.001)
    assert (two.worker, two.runqueue_share, two.lateness_p99_ms) == ("b", None, None)


def test_remote_machines_have_rows_with_their_engines_lateness() -> None:
    book = ledger("a/0", "a/1", "ab/0")
    book.receive(snapshot("a/0", 0, {(0, 0): cell(5, late_ms=3)}))
    book.receive(snapshot("a/1", 0, {(0, 0): cell(5, late_ms=7)}))
    book.receive(snapshot("ab/0", 0, {(0, 0): cell(5, late_ms=90)}))
    clock = Clock(offset_ns=-1_500_000, error_ns=250_000)
    playing = MachineStatus(
        name="a", state=MachineState.PLAYING, engines=2, clock=clock, cpu_share=0.5, seen_ago_s=0.25
    )
    lost = dataclasses.replace(playing, name="ab", state=MachineState.LOST, engines=0, why="silent for 2.2 s")
    here = dataclasses.replace(playing, name="local")
    one, two = builder().build(book, MEASURE, (), [playing, lost, here]).machines
    assert (one.name, one.state, one.engines, one.failing) == ("a", "playing", 2, False)
    assert (one.offset_ms, one.offset_error_ms) == (-1.5, 0.25)
    assert one.lateness_p99_ms == pytest.approx(7, rel=0.001)
    assert (two.state, two.failing) == ("lost", True)
    assert two.lateness_p99_ms == pytest.approx(90, rel=0.001)
