from __future__ import annotations

import dataclasses
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.measure import fold as module
from loadgen.measure.cells import BAD, CUT, OK, Cell, CellTable
from loadgen.measure.fold import FoldContext
from loadgen.measure.histogram import Histogram
from loadgen.measure.record import CONNECTED, RESTED, RETRIED, SURPLUS
from loadgen.measure.tally import merge_tallies
from loadgen.model.bound import Bound, BoundKind
from loadgen.model.outcome import OUTCOMES, Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.evidence import records

START, END = 100 * NS_PER_S, 120 * NS_PER_S
LINE = 400_000
CTX = FoldContext(
    kind=np.array([0, 1, 1, 0], np.uint8),
    group=np.array([0, 0, 1, 2], np.uint8),
    kinds=2,
    groups=3,
    target_of=np.array([0, 0, 1, 2], np.int32),
    line_bps=LINE,
    bound=Bound.rate(320_000),
)
TIMED = dataclasses.replace(CTX, bound=Bound.time(2 * NS_PER_S, 4 * NS_PER_S))


@pytest.fixture(autouse=True, scope="module", params=["compiled", "numpy"])
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Use one way to count records; the compiled one must exist wherever there is a C compiler, as in CI."""
    if request.param == "compiled" and not module.IS_COMPILED and "CI" not in os.environ:
        pytest.skip("there was no C compiler")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module, "fold", {"compiled": module.fold_compiled, "numpy": module.fold_with_numpy}[request.param]
        )
        yield


def fold(
    table: NDArray[np.void], ctx: FoldContext, window: int = 3
) -> tuple[Mapping[tuple[int, int], Cell], NDArray[np.void]]:
    return module.fold(table, ctx, window=window, window_start_ns=START, window_end_ns=END)


def op(due_s: float, took_s: float, size: int = 15_000, **more: int) -> dict[str, int]:
    due = round(due_s * NS_PER_S)
    return {"due_ns": due, "sent_ns": due + NS_PER_MS, "done_ns": due + round(took_s * NS_PER_S), "bytes": size, **more}


def play(*given: dict[str, int], ctx: FoldContext = CTX) -> tuple[Mapping[tuple[int, int], Cell], NDArray[np.void]]:
    return fold(records(*given), ctx)


def test_an_operation_belongs_to_the_window_in_which_it_was_due() -> None:
    cells, _ = play(op(99.9, 5), op(100, 5), op(119.999999999, 5), op(120, 5))
    assert cells[3, 0].ok == 2
    assert cells[-1, 0].ok == 2


def test_an_operation_as_long_as_the_window_counts_for_its_connection_only() -> None:
    """It does not count for throughput and mix: it would add all its bytes, and more long operations than planned."""
    stalled = op(99, 30, size=1000, outcome=Outcome.CUT)
    cells, tallies = play(stalled, op(99, 0.9, connection=1), op(99, 21, connection=2))
    assert (cells[-1, 0].cut, cells[-1, 0].ok, cells[-1, 1].ok) == (1, 1, 1)
    assert not any(window == 3 for window, _ in cells)
    assert tallies["window"].tolist() == [-1, 3, 3]
    assert tallies["busy_ns"].tolist() == [900 * NS_PER_MS, 20 * NS_PER_S, 20 * NS_PER_S]


def test_a_stall_across_an_end_of_the_window_counts_as_far_as_it_lies_in_it() -> None:
    """From 4 s before the window to 5.8 s into it; its bytes are shared out by time.  And from 18 s into it on."""
    cells, tallies = play(op(96, 9.8, size=98_000), op(105.8, 0.3), op(118, 5, size=50_000), op(120, 1))
    assert tallies[["window", "ok", "bytes", "busy_ns"]].tolist() == [
        (-1, 1, 15_000, NS_PER_S),
        (3, 3, 58_000 + 15_000 + 20_000, 8_100 * NS_PER_MS),
    ]
    assert (cells[3, 0].ok, cells[3, 0].bytes, cells[3, 0].response.max_ns) == (2, 65_000, 5 * NS_PER_S)


def test_an_operation_that_ends_when_the_window_begins_is_outside_of_it() -> None:
    assert play(op(99, 1))[1]["window"].tolist() == [-1]
    assert play(op(99, 1.000000001))[1][["window", "bytes", "busy_ns"]].tolist() == [(3, 0, 1)]


def test_a_failure_across_the_opening_of_the_window_counts_in_it() -> None:
    tallies = play(op(96, 9.8, size=700, outcome=Outcome.TIMED_OUT))[1]
    assert tallies[["window", "bad", "bytes", "busy_ns"]].tolist() == [(3, 1, 0, 0)]


def test_what_reaches_into_the_window_is_judged_by_line_time() -> None:
    """1.1 MB came in a second before the window, but would have crossed the line in 22."""
    large = op(99, 1, size=1_100_000)
    assert play(large)[1][["window", "bytes", "busy_ns"]].tolist() == [(3, 1_000_000, 20 * NS_PER_S)]
    assert play(large, ctx=dataclasses.replace(CTX, line_bps=0))[1]["window"].tolist() == [-1]


def test_in_an_unpaced_closed_loop_an_operation_belongs_to_the_window_in_which_it_ends() -> None:
    """Its times are whole, because the waits were real; its bytes are those of the part that lies in the window."""
    played = (
        op(96, 4, size=1),  # ends when the window opens
        op(99, 4, size=400, connection=1),
        op(98, 4, size=800, connection=1, outcome=Outcome.TIMED_OUT),
        op(99, 21, size=2_100, connection=2, outcome=Outcome.CUT),  # under way during all of it
        op(118, 4, size=80, connection=1),
        op(120, 1, connection=1),
    )
    cells, tallies = play(*played, ctx=dataclasses.replace(CTX, line_bps=0))
    assert (cells[-1, 0].ok, cells[-1, 0].bytes, cells[3, 0].ok, cells[3, 0].bad) == (2, 15_001, 2, 1)
    assert (cells[3, 0].response.max_ns, cells[3, 0].response.min_ns) == (4 * NS_PER_S, 4 * NS_PER_S)
    assert (cells[3, 0].lateness.total, cells[3, 0].response_failed.max_ns) == (3, 4 * NS_PER_S)
    assert cells[3, 0].bytes == 300 + 400 + 80
    assert (cells[3, 1].cut, cells[3, 1].response_cut.max_ns, cells[3, 1].bytes) == (1, 21 * NS_PER_S, 2_000)
    own = tallies[tallies["window"] == 3]
    assert own[["connection", "ok", "bad", "cut", "bytes"]].tolist() == [(1, 2, 1, 0, 340), (2, 0, 0, 1, 2_000)]
    open_cells, _ = play(*played, ctx=dataclasses.replace(CTX, line_bps=0, is_open=True))
    assert {key: cell.issued for key, cell in open_cells.items()} == {(-1, 0): 4, (3, 0): 1, (-1, 1): 1}
    assert open_cells[3, 0].bytes == 80


def test_line_time_is_the_longer_of_elapsed_and_paced() -> None:
    _, tallies = play(op(101, 0.01), op(102, 0.5, connection=1))
    assert tallies["busy_ns"].tolist() == [300 * NS_PER_MS, 500 * NS_PER_MS]  # 15,000 B at 400 kbit/s are 300 ms
    _, unpaced = play(op(101, 0.01), ctx=dataclasses.replace(CTX, line_bps=0))
    assert unpaced["busy_ns"].tolist() == [10 * NS_PER_MS]
    _, rounded = play(op(101, 1e-6, size=1), ctx=dataclasses.replace(CTX, line_bps=3_000_000))
    assert rounded["busy_ns"].tolist() == [2667]  # 2,666 and two thirds


def test_a_bad_operation_adds_neither_bytes_nor_time_to_its_connection() -> None:
    cells, tallies = play(op(101, 0.3), op(102, 10, size=700, outcome=Outcome.TIMED_OUT))
    assert (tallies["ok"][0], tallies["bad"][0], tallies["bytes"][0]) == (1, 1, 15_000)
    assert tallies["busy_ns"][0] == 300 * NS_PER_MS
    assert cells[3, 0].bytes == 15_700
    assert cells[3, 0].errors == {"TIMED_OUT": 1}


def test_a_cut_operation_adds_bytes_and_time_but_is_neither_ok_nor_bad() -> None:
    cells, tallies = play(op(110, 10, size=5_000, row=2, outcome=Outcome.CUT))
    assert tallies[["ok", "bad", "cut", "good", "bytes", "busy_ns"]].tolist() == [
        (0, 0, 1, 0, 5_000, 10 * NS_PER_S),
    ]
    cell = cells[3, 0]
    assert (cell.ok, cell.bad, cell.cut, cell.response.total, cell.lateness.total) == (0, 0, 1, 0, 1)
    assert cell.counts[1, 1].tolist() == [0, 0, 1]


def test_the_rate_bound_allows_the_transfer_time_at_the_floor() -> None:
    cells, tallies = play(op(101, 0.375), op(102, 0.375000001))  # 15,000 B at 320 kbit/s are 375 ms
    assert (cells[3, 0].good, cells[3, 0].tolerable, cells[3, 0].ok) == (1, 1, 2)
    assert tallies["good"][0] == 1


def test_the_time_bound_tells_good_tolerable_and_failed_apart() -> None:
    bad = op(105, 1, outcome=Outcome.BAD_STATUS)
    cells, tallies = play(op(101, 2), op(102, 4), op(103, 4.000000001), bad, ctx=TIMED)
    assert (cells[3, 0].good, cells[3, 0].tolerable, cells[3, 0].ok) == (1, 2, 3)
    assert tallies[["good", "tolerable"]].tolist() == [(1, 2)]


def test_a_cut_operation_is_overdue_after_the_tolerable_time() -> None:
    cut = int(Outcome.CUT)
    cells, tallies = play(op(101, 4, outcome=cut), op(102, 4.1, outcome=cut), op(103, 9), ctx=TIMED)
    assert (cells[3, 0].overdue, tallies["overdue"][0]) == (1, 1)
    assert play(op(102, 9, outcome=cut))[0][3, 0].overdue == 0  # with a bound by size, the size is not known


def test_response_service_and_lateness_are_kept_apart() -> None:
    never_sent = {**op(104, 0.2, outcome=Outcome.REFUSED), "sent_ns": 0}
    sent_and_lost = op(105, 0.2, outcome=Outcome.RESET)
    cell = play(op(101, 0.5), never_sent, sent_and_lost)[0][3, 0]
    assert (cell.response.max_ns, cell.response.total) == (500 * NS_PER_MS, 1)
    assert (cell.service.max_ns, cell.service.total) == (499 * NS_PER_MS, 1)
    assert (cell.lateness.max_ns, cell.lateness.total) == (NS_PER_MS, 2)


def test_failed_and_cut_operations_leave_lower_bounds_of_their_times() -> None:
    waited = {**op(104, 9, outcome=Outcome.CUT), "sent_ns": 0}  # an open loop: it found no free connection
    shed = {**op(105, 0, outcome=Outcome.SHED), "sent_ns": 0}
    cut, failed = op(103, 7, outcome=Outcome.CUT), op(102, 10, outcome=Outcome.TIMED_OUT)
    cell = play(op(101, 0.5), failed, cut, waited, shed)[0][3, 0]
    assert (cell.response.total, cell.response_failed.total, cell.response_cut.total) == (1, 2, 2)
    assert (cell.response_failed.min_ns, cell.response_failed.max_ns) == (0, 10 * NS_PER_S)
    assert (cell.response_cut.min_ns, cell.response_cut.max_ns) == (7 * NS_PER_S, 9 * NS_PER_S)
    assert (cell.service_failed.total, cell.service_failed.max_ns) == (1, 10 * NS_PER_S - NS_PER_MS)
    assert (cell.service_cut.total, cell.service_cut.max_ns) == (1, 7 * NS_PER_S - NS_PER_MS)


def test_outside_of_all_windows_everything_counts_for_no_window() -> None:
    cells, tallies = fold(records(op(101, 1), op(130, 1)), CTX, window=-1)
    assert {at: cell.ok for at, cell in cells.items()} == {(-1, 0): 2}
    assert tallies["window"].tolist() == [-1]


def test_without_records_there_are_no_cells() -> None:
    cells, tallies = play()
    assert (cells, len(tallies)) == ({}, 0)


def test_the_result_does_not_refer_to_the_engines_buffer() -> None:
    buffer = bytearray(records(op(101, 0.3), op(102, 1, connection=2)).tobytes())
    view = np.frombuffer(buffer, dtype=records().dtype)
    cells, tallies = fold(view, CTX)
    before = CellTable.of(cells).to_wire(), tallies.tobytes()
    buffer[:] = bytes(len(buffer))
    assert (CellTable.of(cells).to_wire(), tallies.tobytes()) == before


# An independent implementation of the same rules, one operation at a time


def spans(
    due: int, begun: int, done: int, end: int, state: int, rests: bool, ctx: FoldContext
) -> Iterator[tuple[str, int, int]]:
    """Where the time of an operation goes: (part, from, until)."""
    if ctx.is_open:
        if not begun:
            return
        due = begun
        end = max(done, begun)
    done = max(done, due)
    sent = min(max(begun, due), done)
    yield "lateness_ns", due, sent
    yield {OK: "service_ns", BAD: "failed_ns", CUT: "unfinished_ns"}[state], sent, done
    if state != BAD:
        yield "pacing_ns", done, end
    if rests:
        yield "rest_ns", done, done + ctx.error_rest_ns


def slow_fold(table: NDArray[np.void], ctx: FoldContext) -> tuple[dict[tuple[int, int], Cell], dict[Any, Any]]:
    found: defaultdict[tuple[int, int], list[Any]] = defaultdict(list)
    tallies: defaultdict[tuple[int, int], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for r in table:
        due, sent, done, size = (int(r[name]) for name in ("due_ns", "sent_ns", "done_ns", "bytes"))
        outcome = Outcome(int(r["outcome"]))
        state = BAD if outcome.is_error else CUT if outcome is Outcome.CUT else OK
        response = max(done - due, 0)
        line = math.floor(8 * NS_PER_S * size / ctx.line_bps + 0.5) if ctx.line_bps else 0
        busy = max(response, line)
        due_inside = START <= due < END
        judged = due_inside or (due < START and due + busy > START)
        inside, received = busy, size
        if judged and (inside := min(due + busy, END) - max(due, START)) != busy:
            received = round(float(size) * float(inside) / float(busy))
        bound = ctx.bound
        good = state == OK and response <= bound.good_ns + bound.good_ns_per_byte * size
        tolerable = state == OK and response <= bound.tolerable_ns + bound.tolerable_ns_per_byte * size
        overdue = state == CUT and bound.kind is BoundKind.TIME and response > bound.tolerable_ns
        row, connection = int(r["row"]), int(r["connection"])
        unpaced = not ctx.line_bps and not ctx.is_open
        belongs = judged if unpaced else due_inside
        cell = Cell.empty(ctx.kinds, ctx.groups)
        cell.outcomes[outcome] += 1
        cell.counts[ctx.kind[row], ctx.group[row], state] += 1
        found[3 if belongs else -1, int(ctx.target_of[connection])].append(
            dataclasses.replace(
                cell,
                good=int(good),
                tolerable=int(tolerable),
                overdue=int(overdue),
                bytes=received if unpaced and due < START else size,
                connects=(int(r["flags"]) & CONNECTED) + (int(r["flags"]) >> 4 & 0xFFF),
                retries=int(bool(r["flags"] & RETRIED)),
                rest_ns=ctx.error_rest_ns if r["flags"] & RESTED else 0,
                surplus=int(bool(r["flags"] & SURPLUS)),
                statuses=Histogram.of(np.array([r["flags"] >> 16] if r["flags"] >> 16 else [], np.int64)),
                response=Histogram.of(np.array([response] if state == OK else [], np.int64)),
                service=Histogram.of(np.array([done - sent] if state == OK else [], np.int64)),
                lateness=Histogram.of(np.array([sent - due] if sent > 0 else [], np.int64)),
                response_failed=Histogram.of(np.array([response] if state == BAD else [], np.int64)),
                response_cut=Histogram.of(np.array([response] if state == CUT else [], np.int64)),
                service_failed=Histogram.of(np.array([done - sent] if state == BAD and sent > 0 else [], np.int64)),
                service_cut=Histogram.of(np.array([done - sent] if state == CUT and sent > 0 else [], np.int64)),
            )
        )
        tally = tallies[3 if judged else -1, connection]
        for name, value in (("ok", state == OK), ("bad", state == BAD), ("cut", state == CUT)):
            tally[name] += value
        for name, value in (("good", good), ("tolerable", tolerable), ("overdue", overdue)):
            tally[name] += value
        tally["bytes"] += received * (state != BAD)
        tally["busy_ns"] += inside * (state != BAD)
        for name, first, last in spans(due, abs(sent), done, due + busy, state, bool(r["flags"] & RESTED), ctx):
            low, high = (START, END) if judged else (first, last)
            tally[name] += max(min(last, high) - max(first, low), 0)
            if name == "rest_ns" and not judged and due < START < last:
                tallies[3, connection][name] += min(last, END) - max(first, START)
    return {at: Cell.merge_all(parts) for at, parts in found.items()}, tallies


any_record = st.builds(
    lambda due, late, took, sent, **more: {
        **more,
        "due_ns": due,
        "sent_ns": (due + late) * sent,
        "done_ns": due + late + took,
    },
    due=st.one_of(st.integers(START - 25 * NS_PER_S, END + NS_PER_S), st.sampled_from([START, END, START - 1])),
    late=st.integers(0, 10**8),
    took=st.integers(-1000, 25 * NS_PER_S),
    sent=st.integers(-1, 1),
    bytes=st.integers(0, 1_200_000),
    row=st.integers(0, 3),
    connection=st.integers(0, 3),
    outcome=st.integers(0, OUTCOMES - 1),
    flags=st.builds(
        lambda flags, more, status: flags | more << 4 | status << 16,
        st.integers(0, 15),
        st.sampled_from([0, 0, 1, 7, 4095]),
        st.sampled_from([0, 200, 404]),
    ),
)


@pytest.mark.parametrize(
    "ctx",
    [
        dataclasses.replace(CTX, line_bps=3_000_000),
        dataclasses.replace(TIMED, error_rest_ns=250_000_000),
        dataclasses.replace(TIMED, line_bps=0),
        dataclasses.replace(TIMED, line_bps=0, error_rest_ns=30 * NS_PER_S, is_open=True),
    ],
)
@given(table=st.lists(any_record, max_size=30).map(lambda given: records(*given)), cut=st.integers(0, 30))
def test_folding_at_once_in_parts_or_one_by_one_is_the_same(
    ctx: FoldContext, table: NDArray[np.void], cut: int
) -> None:
    cells, tallies = fold(table, ctx)
    slow_cells, slow_tallies = slow_fold(table, ctx)
    assert cells == slow_cells
    keys = list(zip(tallies["window"].tolist(), tallies["connection"].tolist(), strict=True))
    assert keys == sorted(slow_tallies)
    for row, key in zip(tallies, keys, strict=True):
        assert {name: int(row[name]) for name in slow_tallies[key]} == slow_tallies[key]
    parts = [fold(p, ctx) for p in (table[:cut], table[cut:])]
    assert np.array_equal(merge_tallies([t for _, t in parts]), tallies)
    for at, cell in cells.items():
        assert Cell.merge_all([part[at] for part, _ in parts if at in part]) == cell


@pytest.mark.parametrize("wrong", [{"row": 4}, {"connection": 4}, {"outcome": OUTCOMES}])
def test_a_record_with_an_invalid_index_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(IndexError):
        play(op(101, 1), op(102, 1, **wrong))


@pytest.mark.parametrize("first", [0, 900_000])
def test_many_similar_records_of_any_connections_are_folded_like_single_ones(first: int) -> None:
    """Close indices are counted; distant indices are sorted."""
    random = np.random.default_rng(first)
    target_of = np.zeros(first + 4, np.int32)
    target_of[first:] = CTX.target_of
    ctx = dataclasses.replace(CTX, target_of=target_of)
    table = records(*({"row": 1, "bytes": 100, "connection": first} for _ in range(800)))
    table["due_ns"] = random.integers(START - NS_PER_S, END, 800)
    table["sent_ns"] = table["due_ns"] + random.integers(0, 3_000, 800)
    table["done_ns"] = table["sent_ns"] + random.integers(1_000_000, 1_400_000, 800)
    table["connection"] += random.integers(0, 4, 800).astype(np.uint32)
    table["bytes"] = random.integers(1, 1_000, 800)
    table["outcome"] = random.integers(0, OUTCOMES, 800)
    cells, tallies = fold(table, ctx)
    slow_cells, slow_tallies = slow_fold(table, ctx)
    assert cells == slow_cells
    assert [(int(row["window"]), int(row["connection"])) for row in tallies] == sorted(slow_tallies)
    for row in tallies:
        expected = slow_tallies[int(row["window"]), int(row["connection"])]
        assert {name: int(row[name]) for name in expected} == expected
