"""The report of each stage: every operation belongs to the stage in which it was due, and stages add up to the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.record.http import HTTP
from loadgen.measure.cells import Cell, CellTable
from loadgen.measure.fold import FoldContext, fold
from loadgen.measure.record import RECORD_DTYPE
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.stages import fold_stages
from loadgen.measure.together import Snapshots
from loadgen.model.bound import Bound
from loadgen.model.outcome import Outcome
from loadgen.model.stages import parse_stages
from loadgen.model.units import NS_PER_S
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.result import Verdict
from tests.support.https import OPEN, header, result, staged

OVERLOADED = dataclasses.replace(
    OPEN, stages=parse_stages("0s:10/s,1s:30/s,500ms@40/s,500ms:0/s"), slos=("p50<50ms", "errors<1%", "rate>1/s")
)
"""20 + 20 + 10 operations."""
TROUBLE = {25: Outcome.TIMED_OUT, 26: Outcome.BAD_STATUS, 30: Outcome.SHED, 48: Outcome.CUT, 49: Outcome.CUT}
SLOW = dict.fromkeys(range(20, 40), 0.2)

_STARTS_NS, _ENDS_NS = [100, 130, 150], np.array([30, 50, 90], np.int64)
_CONTEXT = FoldContext(
    kind=np.zeros(1, np.uint8),
    group=np.zeros(1, np.uint8),
    kinds=1,
    groups=1,
    target_of=np.array([0, 1, 1], np.int32),
    line_bps=0,
    bound=Bound.rate(1),
    is_open=True,
)


def broken() -> HttpResult:
    return result(OVERLOADED, given=staged(OVERLOADED, outcomes=TROUBLE, service_s=SLOW))


@given(
    operations=st.lists(
        st.tuples(st.integers(90, 200), st.integers(0, 500), st.integers(0, 2), st.sampled_from(list(Outcome))),
        max_size=30,
    )
)
def test_each_operation_belongs_to_the_stage_in_which_it_was_due(
    operations: list[tuple[int, int, int, Outcome]],
) -> None:
    rows = np.array(
        [(due, due + 1, due + 1 + took, 5, 0, connection, outcome, 0) for due, took, connection, outcome in operations],
        RECORD_DTYPE,
    )
    stages = fold_stages(rows, _CONTEXT, 100, _ENDS_NS)
    whole, _ = fold(rows, _CONTEXT, window=0, window_start_ns=100, window_end_ns=190)
    for stage, (start, end) in enumerate(zip(_STARTS_NS, [130, 150, 190], strict=True)):
        due = [target_due for target_due in operations if start <= target_due[0] < end]
        assert sum(cell.issued for (at, _), cell in stages.items() if at == stage) == len(due)
    for target in (0, 1):
        parts = [cell for (_, at), cell in stages.items() if at == target]
        assert Cell.merge_all([Cell.empty(1, 1), *parts]) == whole.get((0, target), Cell.empty(1, 1))


def test_the_rows_say_what_was_asked_and_what_became_of_it() -> None:
    rows = broken().stages
    assert [(row.number, row.stage, row.begins_s, row.measured_s) for row in rows] == [
        (2, "1s:30/s", 0.0, 1.0),
        (3, "500ms@40/s", 1.0, 0.5),
        (4, "500ms:0/s", 1.5, 0.5),
    ]
    assert [row.asked_per_s for row in rows] == [20, 40, 20]
    assert [(row.due, row.ok, row.errors, row.cut) for row in rows] == [
        (20, 20, {}, 0),
        (20, 17, {"TIMED_OUT": 1, "BAD_STATUS": 1, "SHED": 1}, 0),
        (10, 8, {}, 2),
    ]
    assert [row.per_s for row in rows] == [20, 34, 16]
    first, second, _ = (row.response_ms for row in rows)
    assert first.p99 is not None
    assert first.p99.high == pytest.approx(5, rel=0.01)
    assert second.p50 is not None
    assert second.p50.low == pytest.approx(200, rel=0.01)
    assert second.p99 is not None
    assert second.p99.high is None  # failed requests have no upper bound


def test_the_stages_add_up_to_the_run() -> None:
    found = broken()
    total, rows = found.total, found.stages
    for name in ("due", "ok", "cut", "unanswered"):
        assert sum(getattr(row, name) for row in rows) == getattr(total, name)
    assert sum(sum(row.errors.values()) for row in rows) == sum(total.errors.values())
    assert sum(row.asked_per_s * row.measured_s for row in rows) == OVERLOADED.rate_per_s * 2 == 50


def test_unanswered_is_decided_by_the_patience_of_the_whole_run() -> None:
    """A wait longer than any answer of its own stage is usual where another stage's answers took as long."""
    plan = dataclasses.replace(OVERLOADED, slos=("errors<1%",))
    slow = dict.fromkeys(range(20), 0.2)
    cut = {49: Outcome.CUT}
    quick = result(plan, given=staged(plan, outcomes=cut, service_s={49: 0.3}))
    mixed = result(plan, given=staged(plan, outcomes=cut, service_s={**slow, 49: 0.3}))
    assert [(one.total.unanswered, one.stages[-1].unanswered) for one in (quick, mixed)] == [(1, 1), (0, 0)]


def test_objectives_are_judged_in_each_stage_without_a_word_in_the_verdict() -> None:
    quick = dataclasses.replace(OVERLOADED, slos=("p50<50ms", "errors<20%", "rate>1/s"))
    found = result(quick, given=staged(quick, outcomes=TROUBLE, service_s=SLOW))
    assert [[(check.name, check.ok) for check in row.slos] for row in found.stages] == [
        [("p50", True), ("errors", True)],
        [("p50", False), ("errors", True)],
        [("p50", True), ("errors", True)],
    ]
    assert [check.ok for check in found.slos] == [True, True, True]
    assert found.verdict is Verdict.CONFORMING
    assert not any("stage" in reason for reason in found.reasons)


def test_a_stopped_run_is_compared_with_the_rate_until_then() -> None:
    given = staged(OVERLOADED)
    found = result(OVERLOADED, given=given[:1], interrupted=True, complete=frozenset(), measured_ns={0: NS_PER_S // 2})
    assert [(row.measured_s, row.asked_per_s) for row in found.stages] == [(0.5, 15), (0, 0), (0, 0)]
    assert found.stages[2].per_s == 0


@pytest.mark.parametrize("changes", [{"left_out": frozenset({0})}, {"measured_ns": {}}])
def test_without_a_whole_window_there_are_no_rows(changes: dict[str, Any]) -> None:
    assert result(OVERLOADED, given=staged(OVERLOADED), **changes).stages == ()


def test_a_run_without_stages_has_no_rows() -> None:
    assert result(OPEN).stages == ()
    assert "stages" not in HTTP.write(header(OPEN), result(OPEN))


def test_a_record_keeps_the_rows() -> None:
    found = broken()
    document = HTTP.write(header(OVERLOADED), found)
    assert document["stages"][1]["errors"] == 3
    verdict = {"verdict": found.verdict.value, "reasons": list(found.reasons)}
    assert HTTP.read({**document, **verdict}).stages == found.stages


def test_a_snapshot_that_comes_again_counts_once() -> None:
    given = staged(OVERLOADED, outcomes=TROUBLE, service_s=SLOW)
    assert result(OVERLOADED, given=[*given, *given]).stages == broken().stages


def _with_stages(snapshot: Snapshot, cells: dict[tuple[int, int], Cell]) -> Snapshot:
    return dataclasses.replace(snapshot, stages=CellTable.of(cells))


@pytest.mark.parametrize(
    ("cells", "said"),
    [({(0, 9): Cell.empty(2, 1)}, "more targets"), ({(0, 0): Cell.empty(7, 1)}, "other kinds or groups")],
)
@pytest.mark.parametrize("together", [False, True])
def test_stages_of_another_run_are_refused(cells: dict[tuple[int, int], Cell], said: str, together: bool) -> None:
    foreign: Sequence[Snapshot] = [_with_stages(one, cells) for one in staged(OVERLOADED)[:1]]
    if together:
        foreign = Snapshots.from_wires([Snapshots.of(foreign).to_wire()]).split()
    with pytest.raises(ValueError, match=said):
        result(OVERLOADED, given=foreign)
