from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.measure.cells import Cell
from loadgen.measure.histogram import Histogram
from loadgen.measure.ledger import KEPT_INTERVALS, Ledger, Totals
from loadgen.measure.snapshot import Health, Snapshot
from loadgen.measure.together import Snapshots
from loadgen.measure.wire import unpack
from loadgen.model.outcome import OUTCOMES, Outcome
from loadgen.model.units import NS_PER_MS
from tests.support.evidence import GROUPS, KINDS, rows, snapshots

HEALTH = Health(
    wall_ns=1, cpu_ns=1, runqueue_ns=1, still_ns=1, open_fds=1, fd_limit=1, sockets_time_wait=1, active_connections=1
)
WORKERS = ("a", "b")


def snap(worker: str, interval: int, ok: int = 1, *, window: int = 0, target: int = 0, connects: int = 0) -> Snapshot:
    empty = Cell.empty(KINDS, GROUPS)
    empty.outcomes[Outcome.OK] = ok
    late = Histogram.of(np.array([interval * NS_PER_MS], np.int64))
    cell = dataclasses.replace(empty, connects=connects, lateness=late)
    tallies = rows({"window": window, "connection": target, "ok": ok})
    return Snapshot(worker, interval, {(window, target): cell}, tallies, HEALTH)


def ledger_of(snapshots: Iterable[Snapshot], workers: Iterable[str] = WORKERS) -> Ledger:
    ledger = Ledger(workers, KINDS, GROUPS)
    for snapshot in snapshots:
        ledger.receive(snapshot)
    return ledger


def same(a: Totals, b: Totals) -> bool:
    return (a.cells, a.played) == (b.cells, b.played) and np.array_equal(a.tallies, b.tallies)


def test_an_interval_is_complete_when_all_workers_have_reported() -> None:
    ledger = Ledger(WORKERS, KINDS, GROUPS)
    seen = []
    for worker, n in [("a", 0), ("a", 1), ("b", 0), ("b", 0), ("b", 1), ("a", 3), ("b", 2), ("a", 2)]:
        ledger.receive(snap(worker, n))
        seen.append(ledger.complete_through())
    assert seen == [-1, -1, 0, 0, 1, 1, 1, 2]
    assert (ledger.reported_through("a"), ledger.reported_through("b")) == (3, 2)


def test_an_engine_that_starts_late_does_not_delay_the_others() -> None:
    ledger = ledger_of([snap("a", 0), snap("a", 1), snap("b", 1)])
    assert ledger.complete_through() == 1


def test_a_repeated_report_replaces_the_first() -> None:
    ledger = ledger_of([snap("a", 0, ok=3), snap("b", 0), snap("a", 0, ok=5)])
    assert ledger.interval(0).cells[0, 0].ok == 6
    assert ledger.interval(0).tallies["ok"].tolist() == [6]


def test_a_lost_worker_is_not_waited_for() -> None:
    ledger = ledger_of([snap("a", 0), snap("a", 1), snap("a", 2), snap("b", 0)])
    assert ledger.complete_through() == 0
    ledger.lost("b", ledger.reported_through("b") + 1)
    assert ledger.complete_through() == 2
    ledger.receive(snap("b", 1, ok=100))  # its last report arrives too late
    assert ledger.totals().cells[0, 0].ok == 4
    ledger.receive(snap("a", 3))
    ledger.lost("a", 4)
    assert ledger.complete_through() == 3


def test_a_worker_that_never_reported_can_be_lost() -> None:
    ledger = ledger_of([snap("a", 0)])
    ledger.lost("b", 0)
    assert ledger.complete_through() == 0


@pytest.mark.parametrize("wrong", [snap("c", 0), dataclasses.replace(snap("a", 0), cells={(0, 0): Cell.empty(9, 9)})])
def test_reports_of_another_run_are_refused(wrong: Snapshot) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        ledger_of([wrong])


@settings(max_examples=40)
@given(
    sent=st.lists(snapshots(), max_size=5, unique_by=lambda s: (s.worker, s.interval)),
    order=st.randoms(use_true_random=False),
    first=st.integers(0, 4),
    last=st.integers(0, 4),
)
def test_order_and_repetitions_do_not_matter(sent: list[Snapshot], order: random.Random, first: int, last: int) -> None:
    shuffled = sent * 2
    order.shuffle(shuffled)
    ledger = ledger_of(shuffled)
    inside = [s for s in sent if first <= s.interval <= last]
    assert same(ledger.totals(), Totals.merge_all(Totals.of(s) for s in sent))
    assert same(ledger.totals(first, last), Totals.merge_all(Totals.of(s) for s in inside))


@settings(max_examples=60)
@given(
    groups=st.lists(st.lists(snapshots(), min_size=1, max_size=4), max_size=4),
    lost=st.none() | st.tuples(st.sampled_from(WORKERS), st.integers(0, 4)),
)
def test_filing_together_equals_filing_one_by_one(groups: list[list[Snapshot]], lost: tuple[str, int] | None) -> None:
    alone, together = Ledger(WORKERS, KINDS, GROUPS), Ledger(WORKERS, KINDS, GROUPS)
    for number, group in enumerate(groups):
        if number == 1 and lost is not None:
            for ledger in (alone, together):
                ledger.lost(*lost)
        for snapshot in group:
            alone.receive(snapshot)
        together.receive_all(Snapshots.of(group))
        assert together.complete_through() == alone.complete_through()
        assert same(together.totals(), alone.totals())
    for worker in WORKERS:
        assert together.reported_through(worker) == alone.reported_through(worker)
        assert together.health(worker) == alone.health(worker)
    assert together.peak_connects(2) == alone.peak_connects(2)


def test_a_report_after_a_joint_report_replaces_it() -> None:
    ledger = Ledger(WORKERS, KINDS, GROUPS)
    ledger.receive_all(Snapshots.of([snap("a", 0, ok=3, connects=1), snap("b", 0, target=1, connects=2)]))
    assert ledger.interval(0).cells[0, 0].ok == 3
    ledger.receive(snap("a", 0, ok=5, connects=4))
    assert {at: cell.ok for at, cell in ledger.interval(0).cells.items()} == {(0, 0): 5, (0, 1): 1}
    assert ledger.peak_connects(1) == {0: 4, 1: 2}


def test_an_invalid_report_prevents_filing_of_its_whole_group() -> None:
    ledger = Ledger(WORKERS, KINDS, GROUPS)
    with pytest.raises(ValueError, match="'c'"):
        ledger.receive_all(Snapshots.of([snap("a", 0), snap("c", 0)]))
    assert not ledger.totals().cells
    assert ledger.reported_through("a") == -1


def widened(wire: dict[str, Any]) -> dict[str, Any]:
    """Return the same snapshot with eight bytes per number in every column: valid, but not written by loadgen."""
    size, kinds, groups = (wire["cells"][name] for name in ("size", "kinds", "groups"))
    sizes = {"slots": size, "targets": size, "outcomes": size * OUTCOMES, "counts": size * kinds * groups * 3}
    sizes |= {"sums": size * wire["cells"]["counters"], "sizes": 3 * size, "max_ns": 3 * size, "min_ns": 3 * size}
    sizes |= dict.fromkeys(("intervals", "cell_parts", "tally_parts"), len(wire["workers"]))
    sizes |= dict.fromkeys(("indexes", "counts_of_times"), int(unpack(wire["cells"]["times"], "sizes", 3 * size).sum()))

    def wide(part: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        return {**part, **{at: unpack(part, at, sizes[name]).astype("<u8").tobytes() for at, name in names.items()}}

    times = wide(
        wire["cells"]["times"],
        {"sizes": "sizes", "indexes": "indexes", "counts": "counts_of_times", "max_ns": "max_ns", "min_ns": "min_ns"},
    )
    columns = {name: name for name in ("slots", "targets", "outcomes", "counts", "sums")}
    cells = {**wide(wire["cells"], columns), "times": times}
    return {**wide(wire, {name: name for name in ("intervals", "cell_parts", "tally_parts")}), "cells": cells}


@settings(max_examples=40)
@given(some=st.lists(snapshots(), min_size=1, max_size=3, unique_by=lambda s: s.worker))
def test_columns_of_any_width_are_added_up(some: list[Snapshot]) -> None:
    narrow, wide = Ledger(WORKERS, KINDS, GROUPS), Ledger(WORKERS, KINDS, GROUPS)
    wire = Snapshots.of(some).to_wire()
    for ledger, given_wire in ((narrow, wire), (wide, widened(wire))):
        ledger.receive_all(Snapshots.from_wires([given_wire]))
        ledger.receive(snap("a", 7, ok=2))
    assert same(wide.totals(), narrow.totals())
    assert wide.peak_connects(2) == narrow.peak_connects(2)


def test_a_long_run_is_added_up_without_loss() -> None:
    half = 3 * KEPT_INTERVALS
    length = 2 * half
    sent = [snap(w, n, ok=n, window=n // half, target=i) for n in range(length) for i, w in enumerate(WORKERS)]
    ledger = ledger_of(sent)
    totals = ledger.totals()
    assert {at: cell.ok for at, cell in totals.cells.items()} == {
        (0, 0): sum(range(half)),
        (0, 1): sum(range(half)),
        (1, 0): sum(range(half, length)),
        (1, 1): sum(range(half, length)),
    }
    assert same(totals, Totals.merge_all(Totals.of(s) for s in sent))
    assert [n for n, _ in ledger.health("b")] == list(range(length))
    assert ledger.interval(length - KEPT_INTERVALS).cells[1, 0].ok == length - KEPT_INTERVALS


def test_the_newest_intervals_can_always_be_read() -> None:
    ledger = Ledger(WORKERS, KINDS, GROUPS)
    for n in range(4 * KEPT_INTERVALS):
        for worker in WORKERS:
            ledger.receive(snap(worker, n, ok=n))
        oldest = max(0, n - KEPT_INTERVALS + 1)
        assert ledger.interval(oldest).cells[0, 0].ok == 2 * oldest


def test_old_intervals_are_released() -> None:
    ledger = ledger_of(snap(w, n) for n in range(1000) for w in WORKERS)
    kept = [n for n in range(1000) if _kept(ledger, n)]
    assert kept == list(range(kept[0], 1000))
    assert KEPT_INTERVALS <= len(kept) <= 2 * KEPT_INTERVALS
    ledger.receive(snap("a", 0, ok=99))  # a repeated report of an added interval must be equal
    assert ledger.totals().cells[0, 0].ok == 2000
    with pytest.raises(LookupError):
        ledger.totals(0, 5)
    with pytest.raises(LookupError):
        ledger.totals(5, None)


def _kept(ledger: Ledger, n: int) -> bool:
    try:
        ledger.interval(n)
    except LookupError:
        return False
    return True


def test_totals_by_window_and_by_worker() -> None:
    ledger = ledger_of([snap("a", 0, window=-1), snap("a", 1, 2), snap("a", 2, 3, target=1), snap("b", 2, 4)])
    totals = ledger.totals()
    assert {target: cell.ok for target, cell in totals.window(0).items()} == {0: 6, 1: 3}
    assert totals.window_tallies(0)["ok"].tolist() == [6, 3]
    assert {by: played.operations for by, played in totals.played.items()} == {(-1, "a"): 1, (0, "a"): 5, (0, "b"): 4}
    assert totals.played[0, "a"].lateness == Histogram.of(np.array([NS_PER_MS, 2 * NS_PER_MS], np.int64))


def test_connects_are_counted_within_the_time_that_ports_rest() -> None:
    opened = [("a", 0, 5, 0), ("b", 0, 7, 0), ("a", 1, 1, 1), ("a", 59, 10, 0), ("a", 60, 6, 0), ("a", 200, 21, 0)]
    ledger = ledger_of(snap(w, n, target=target, connects=connects) for w, n, connects, target in opened)
    assert ledger.peak_connects(60) == {0: 22, 1: 1}
    assert ledger.peak_connects(61) == {0: 28, 1: 1}
    assert ledger.peak_connects(1) == {0: 21, 1: 1}
    assert ledger.peak_connects(60, ["b"]) == {0: 7}
    assert ledger_of([]).peak_connects(60) == {}


def test_intervals_that_are_set_apart_are_missing_from_the_undisturbed_sum_only() -> None:
    """Also those that are so old that only sums of many intervals are kept."""
    asked = []

    def is_apart(interval: int) -> bool:
        asked.append(interval)
        return interval % 10 == 3

    count = 5 * KEPT_INTERVALS
    ledger = Ledger(["a"], KINDS, GROUPS, is_apart)
    sent = [snap("a", n, ok=n + 1) for n in range(count)]
    for one in sent:
        ledger.receive(one)
    assert asked == sorted(asked)
    assert len(asked) >= 3 * KEPT_INTERVALS
    assert same(ledger.totals(), Totals.merge_all(Totals.of(one) for one in sent))
    rest = Totals.merge_all(Totals.of(one) for one in sent if one.interval % 10 != 3)
    assert same(ledger.undisturbed(), rest)
    assert ledger.undisturbed().cells[0, 0].ok < ledger.totals().cells[0, 0].ok
