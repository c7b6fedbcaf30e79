"""Folding the records of tapes with think times, and of kinds with bounds of their own, in both ways."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from loadgen.measure import fold as module
from loadgen.measure.cells import Cell
from loadgen.measure.fold import FoldContext
from loadgen.model.bound import Bound
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.evidence import records

START, END = 100 * NS_PER_S, 120 * NS_PER_S
CTX = FoldContext(
    kind=np.array([0, 1, 1, 0], np.uint8),
    group=np.zeros(4, np.uint8),
    kinds=2,
    groups=1,
    target_of=np.array([0, 0], np.int32),
    line_bps=400_000,
    bound=Bound.rate(320_000),
)
WAYS = {"compiled": module.fold_compiled, "numpy": module.fold_with_numpy}


@pytest.fixture(autouse=True, params=sorted(WAYS))
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use one way to count records; the compiled one must exist wherever there is a C compiler, as in CI."""
    if request.param == "compiled" and not module.IS_COMPILED and "CI" not in os.environ:
        pytest.skip("there was no C compiler")
    monkeypatch.setattr(module, "fold", WAYS[request.param])


def op(due_s: float, took_s: float, size: int = 15_000, **more: int) -> dict[str, int]:
    due = round(due_s * NS_PER_S)
    return {"due_ns": due, "sent_ns": due + NS_PER_MS, "done_ns": due + round(took_s * NS_PER_S), "bytes": size, **more}


def play(*given: dict[str, int], ctx: FoldContext = CTX) -> tuple[Mapping[tuple[int, int], Cell], NDArray[np.void]]:
    return module.fold(records(*given), ctx, window=3, window_start_ns=START, window_end_ns=END)


THINKS = dataclasses.replace(CTX, think_ns=np.array([0, 5, 0, 8], np.int64) * NS_PER_S)


def test_think_time_after_a_good_operation_is_pacing_and_neither_busy_nor_response() -> None:
    cells, (row,) = play(op(101, 1, row=1), ctx=THINKS)
    assert row["pacing_ns"] == 5 * NS_PER_S
    assert row["busy_ns"] == NS_PER_S
    assert cells[3, 0].response.max_ns == NS_PER_S


def test_an_operation_whose_think_time_reaches_into_the_window_counts_for_its_connection() -> None:
    """So a user who thinks for a whole window is not one without any request."""
    cells, tallies = play(op(94, 1, row=3), op(94, 1, connection=1), ctx=THINKS)
    thinking, other = tallies[tallies["connection"] == 0], tallies[tallies["connection"] == 1]
    assert thinking[["window", "ok", "bytes", "busy_ns", "pacing_ns"]].tolist() == [(3, 1, 0, 0, 3 * NS_PER_S)]
    assert other["window"].tolist() == [-1]
    assert not any(window == 3 for window, _ in cells)


def test_nobody_thinks_after_a_failed_operation() -> None:
    _, tallies = play(op(94, 1, row=3, outcome=Outcome.RESET), ctx=THINKS)
    assert tallies["window"].tolist() == [-1]
    assert not tallies["pacing_ns"].any()


RATES = Bound.rates(99_000, 95_000)
PAGES = dataclasses.replace(
    CTX, line_bps=800_000, bound=Bound.time(3 * NS_PER_S, 5 * NS_PER_S), own_bounds=(None, RATES)
)


@pytest.mark.parametrize(
    ("took_s", "size", "row", "good", "tolerable"),
    [
        (3.0, 20_000, 0, 1, 1),  # a page
        (3.001, 20_000, 0, 0, 1),
        (5.0, 20_000, 0, 0, 1),
        (5.001, 20_000, 0, 0, 0),
        (10.0, 990_000, 1, 1, 1),  # a download
        (10.0, 989_990, 1, 0, 1),
        (10.0, 950_000, 1, 0, 1),
        (10.0, 949_990, 1, 0, 0),
        (1.0, 10, 1, 0, 0),
        (1.0614, 104_858 + 230, 1, 1, 1),  # the smallest download of the support workload, with a head
        (1.0616, 104_858 + 230, 1, 0, 1),
        (1.1063, 104_858 + 230, 1, 0, 0),
    ],
)
def test_a_kind_with_a_bound_of_its_own_is_judged_by_it(
    took_s: float, size: int, row: int, good: int, tolerable: int
) -> None:
    cells, (tally,) = play(op(101, took_s, size=size, row=row), ctx=PAGES)
    assert (cells[3, 0].good, cells[3, 0].tolerable) == (good, tolerable)
    assert (tally["good"], tally["tolerable"], tally["overdue"]) == (good, tolerable, 0)


@pytest.mark.parametrize(
    ("took_s", "size", "row", "judged", "overdue"),
    [
        (4.9, 0, 0, (0, 0, 0), 0),  # a page that may still be tolerable: nobody knows
        (5.1, 0, 0, (0, 0, 1), 1),
        (12.0, 1_200_000, 1, (1, 1, 1), 0),  # a download at line speed
        (2.9, 0, 1, (1, 1, 1), 0),  # it has just begun
        (4.9, 0, 1, (0, 1, 1), 0),
        (5.1, 0, 1, (0, 0, 1), 1),
        (12.0, 700_000, 1, (0, 1, 1), 0),
        (12.0, 600_000, 1, (0, 0, 1), 1),
    ],
)
def test_a_cut_operation_of_a_kind_with_a_rate_is_judged_by_its_rate_so_far(
    took_s: float, size: int, row: int, judged: tuple[int, int, int], overdue: int
) -> None:
    """It may be behind its rate by the fixed times of the load's bound.  In cells only what ended is good."""
    cells, (tally,) = play(op(101, took_s, size=size, row=row, outcome=Outcome.CUT), ctx=PAGES)
    assert (tally["good"], tally["tolerable"], tally["overdue"]) == judged
    assert (cells[3, 0].good, cells[3, 0].tolerable, cells[3, 0].overdue) == (0, 0, overdue)


def test_under_a_rate_bound_of_the_load_a_cut_operation_is_not_judged_by_that_of_its_kind() -> None:
    _, (tally,) = play(
        op(101, 12, size=0, row=1, outcome=Outcome.CUT), ctx=dataclasses.replace(CTX, own_bounds=(None, RATES))
    )
    assert (tally["good"], tally["tolerable"], tally["overdue"]) == (0, 0, 0)


def test_both_ways_agree_on_many_operations() -> None:
    rng = np.random.default_rng(3)
    given = [
        op(
            float(rng.uniform(80, 125)),
            float(rng.exponential(4)),
            size=int(rng.integers(0, 900_000)),
            row=int(rng.integers(4)),
            connection=int(rng.integers(2)),
            outcome=int(rng.choice([Outcome.OK, Outcome.OK, Outcome.CUT, Outcome.RESET])),
        )
        for _ in range(500)
    ]
    ctx = dataclasses.replace(PAGES, think_ns=THINKS.think_ns)
    cells, tallies = play(*given, ctx=ctx)
    others, other_tallies = module.fold_with_numpy(
        records(*given), ctx, window=3, window_start_ns=START, window_end_ns=END
    )
    assert tallies.tolist() == other_tallies.tolist()
    for key, cell in cells.items():
        same = others[key]
        assert (cell.good, cell.tolerable, cell.overdue, cell.bytes) == (
            same.good,
            same.tolerable,
            same.overdue,
            same.bytes,
        )


def test_limits_for_too_few_kinds_are_refused() -> None:
    if module.fold is module.fold_compiled:
        with pytest.raises(ValueError, match="limits for 1 of 2 kinds"):
            play(op(101, 1), ctx=dataclasses.replace(CTX, own_bounds=(None,)))
