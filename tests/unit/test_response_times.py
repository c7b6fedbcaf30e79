"""The response times of many groups of cells are those of each group's sum."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coordinator.output.terminal.failures import Failures
from coordinator.output.terminal.figures import Figures
from loadgen.measure.cells import Cell, CellTable
from loadgen.measure.censored import ResponseTimes, Times
from loadgen.measure.histogram import Histogram
from loadgen.model.outcome import OUTCOMES, Outcome

times = st.lists(st.integers(0, 10**11), max_size=6).map(lambda values: Histogram.of(np.array(values, np.int64)))


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    """A cell whose outcomes fit its times; of some failed and cut operations, no time is known (old records)."""
    known, failed, cut = draw(times), draw(times), draw(times)
    outcomes = np.zeros(OUTCOMES, np.int64)
    outcomes[Outcome.OK] = known.total
    shed = draw(st.integers(0, failed.total + 1))
    outcomes[Outcome.SHED] = shed
    outcomes[Outcome.RESET] = failed.total + draw(st.integers(0, 2)) - min(shed, failed.total)
    outcomes[Outcome.CUT] = cut.total + draw(st.integers(0, 2))
    empty = Cell.empty(1, 1)
    return Cell(
        outcomes=outcomes,
        counts=empty.counts,
        good=0,
        tolerable=0,
        overdue=0,
        connects=0,
        bytes=draw(st.integers(0, 10**9)),
        response=known,
        service=known,
        lateness=known,
        response_failed=failed,
        response_cut=cut,
        statuses=Histogram.of(np.full(known.total, 7, np.int64)),
    )


tables = st.dictionaries(st.tuples(st.integers(-1, 2), st.integers(0, 3)), cells(), min_size=1, max_size=8)


@given(table=tables)
def test_the_times_of_each_group_are_those_of_its_sum(table: dict[tuple[int, int], Cell]) -> None:
    packed = CellTable.of(table)
    found = ResponseTimes(packed, packed.targets.astype(np.int64), 4)
    for target in range(4):
        mine = [cell for (_, at), cell in table.items() if at == target]
        expected = (
            Times.response_of(Cell.merge_all(mine)) if mine else Times.exactly(Histogram.of(np.zeros(0, np.int64)))
        )
        assert found.times(target).lowest() == expected.lowest()
        for q in (1, 50, 99, 100):
            assert found.percentiles(q)[target] == expected.percentile(q)


@given(table=tables)
def test_the_figures_of_all_are_those_of_the_sum(table: dict[tuple[int, int], Cell]) -> None:
    figures, total = Figures(table, 4, 0.5), Cell.merge_all(table.values())
    assert figures.per_s[-1] == total.ok / 0.5
    assert figures.per_s[:-1] == [sum(c.ok for (_, t), c in table.items() if t == at) / 0.5 for at in range(4)]
    assert np.isclose(figures.mbit_per_s[-1], 8e-6 * total.bytes / 0.5)
    span = Times.response_of(total).percentile(99)
    shown = figures.percentiles_ms(99)[-1]
    assert (shown is None) == (span is None)
    assert span is None or shown is None or np.isclose(shown.low, span.low / 1e6)


def test_without_operations_there_are_no_times() -> None:
    assert Figures({}, 2, 1.0).percentiles_ms(50) == [None, None, None]
    assert Figures({}, 2, 1.0).per_s == [0.0, 0.0, 0.0]


@given(parts=st.lists(tables, max_size=3), window=st.integers(-1, 2))
def test_failures_are_counted_cell_by_cell(parts: list[dict[tuple[int, int], Cell]], window: int) -> None:
    failures = Failures(window)
    for part in parts:
        failures.add(part)
    shown = window if any(key[0] == window for part in parts for key in part) else -1
    for target in range(4):
        mine = [cell for part in parts for key, cell in part.items() if key == (shown, target)]
        shed = sum(int(cell.outcomes[Outcome.SHED]) for cell in mine)
        assert failures.shed(target) == shed
        assert failures.bad(target) == sum(cell.bad for cell in mine) - shed
    replies = sum(cell.statuses.total for part in parts for key, cell in part.items() if key[0] == shown)
    assert sum(failures.statuses().values()) == replies
