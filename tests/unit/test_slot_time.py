"""The time of a connection adds up: whatever an engine can do, the parts and the remainder are the whole window."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.measure import fold as module
from loadgen.measure.fold import FoldContext
from loadgen.measure.record import RESTED
from loadgen.measure.slot_time import PARTS, are_known, pack_parts, total_ns, unpack_parts
from loadgen.measure.tally import empty_tallies, merge_tallies, pack_tallies, unpack_tallies
from loadgen.model.bound import Bound
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.evidence import records, rows

START, END = 1_000_000 * NS_PER_S, 1_000_003 * NS_PER_S
REST = 250 * NS_PER_MS
CTX = FoldContext(
    kind=np.zeros(1, np.uint8),
    group=np.zeros(1, np.uint8),
    kinds=1,
    groups=1,
    target_of=np.zeros(1, np.int32),
    line_bps=0,
    bound=Bound.rate(320_000),
    error_rest_ns=REST,
)
LINES = (0, 400_000, 3_000_000, 56_000, 7)  # 8e9 / 3,000,000 ns per byte is not a whole number


class Step(NamedTuple):
    """One operation: when it begins after it is due, how long it takes then, and how it ends."""

    late_ns: int
    took_ns: int
    size: int
    outcome: Outcome
    connects: bool
    rests: bool


times = st.one_of(st.integers(0, 5), st.integers(0, NS_PER_MS), st.integers(0, 2 * NS_PER_S))
steps = st.builds(
    Step,
    late_ns=times,
    took_ns=times,
    size=st.one_of(st.integers(0, 3), st.integers(0, 100_000)),
    outcome=st.sampled_from([Outcome.OK, Outcome.OK, Outcome.TIMED_OUT, Outcome.BAD_STATUS]),
    connects=st.booleans(),
    rests=st.booleans(),
)
before_ns = st.integers(-5 * NS_PER_S, 4 * NS_PER_S)


@pytest.fixture(autouse=True, scope="module", params=["compiled", "numpy"])
def fold(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "compiled" and not module.IS_COMPILED and "CI" not in os.environ:
        pytest.skip("there was no C compiler")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module, "fold", {"compiled": module.fold_compiled, "numpy": module.fold_with_numpy}[request.param]
        )
        yield


def folded(table: NDArray[np.void], ctx: FoldContext, parts: int = 2) -> NDArray[np.void]:
    """The row of the window, from records that are folded in several parts."""
    ends = [len(table) * at // parts for at in range(parts + 1)]
    found = [
        module.fold(table[a:b], ctx, window=0, window_start_ns=START, window_end_ns=END)[1]
        for a, b in itertools.pairwise(ends)
    ]
    merged = merge_tallies(found)
    return np.take(merged, np.flatnonzero(merged["window"] == 0))


def in_window(first: int, last: int) -> int:
    return max(min(last, END) - max(first, START), 0)


@pytest.mark.parametrize("line_bps", LINES)
@given(given_steps=st.lists(steps, min_size=1, max_size=12), first_ns=before_ns, cut=st.booleans(), stop_ns=times)
def test_a_closed_loop_adds_up_to_the_nanosecond(
    line_bps: int, given_steps: Sequence[Step], first_ns: int, cut: bool, stop_ns: int
) -> None:
    """As connection.py does it: the next operation is due when this one's line time, or the rest after it, is over."""
    due = first = START + first_ns
    table = []
    for at, step in enumerate(given_steps):
        sent = due + step.late_ns
        done = sent + step.took_ns
        last = cut and at == len(given_steps) - 1
        outcome = Outcome.CUT if last else step.outcome
        rests = outcome.is_error and (step.rests or line_bps > 0)
        table.append(
            {
                "due_ns": due,
                "sent_ns": sent if step.connects or outcome is Outcome.OK else -sent,
                "done_ns": done,
                "bytes": step.size,
                "outcome": outcome,
                "flags": RESTED * rests,
            }
        )
        if rests:
            due = done + REST
        elif outcome.is_error:
            due = done
        else:
            due = max(done, due + int(step.size * (8 * NS_PER_S / line_bps) + 0.5) if line_bps else done)
    row = folded(records(*table), dataclasses.replace(CTX, line_bps=line_bps))
    absent = END - START - int(total_ns(row).sum())
    assert absent == END - START - in_window(first, due)
    assert are_known(row) or not total_ns(row).any()  # only of failures that took no time at all is nothing known
    assert all((row[name] >= 0).all() for name in PARTS)


@given(
    steps_given=st.lists(steps, min_size=1, max_size=12),
    waits=st.lists(times, min_size=12, max_size=12),
    first_ns=before_ns,
)
def test_an_open_loops_connection_is_idle_between_its_operations(
    steps_given: Sequence[Step], waits: Sequence[int], first_ns: int
) -> None:
    """An operation may have been due long before, while the connection was busy with another one."""
    at = START + first_ns
    table, used = [], 0
    for step, idle in zip(steps_given, waits, strict=False):
        sent = at + idle
        done = sent + step.took_ns
        rests = step.outcome.is_error and step.rests
        begun = sent if step.connects or step.outcome is Outcome.OK else -sent
        table.append(
            {"due_ns": sent - step.late_ns, "sent_ns": begun, "done_ns": done, "outcome": step.outcome}
            | {"flags": RESTED * rests}
        )
        at = done + REST * rests
        used += in_window(sent, at)
    waited = {"due_ns": START + 1, "sent_ns": 0, "done_ns": END, "outcome": Outcome.CUT}
    row = folded(records(*table, waited), dataclasses.replace(CTX, is_open=True))
    assert int(total_ns(row).sum()) == used
    assert not row["lateness_ns"].any()


def test_each_part_is_what_it_says() -> None:
    ms = NS_PER_MS
    ctx = dataclasses.replace(CTX, line_bps=400_000)
    row = folded(
        records(
            {"due_ns": START - 200 * ms, "sent_ns": START - 100 * ms, "done_ns": START + 50 * ms, "bytes": 15_000},
            {"due_ns": START + 100 * ms, "sent_ns": START + 101 * ms, "done_ns": START + 120 * ms, "bytes": 15_000},
            {"due_ns": START + 400 * ms, "sent_ns": START + 403 * ms, "done_ns": START + 500 * ms, "flags": RESTED}
            | {"outcome": Outcome.TIMED_OUT},
            {"due_ns": START + 750 * ms, "sent_ns": START + 750 * ms, "done_ns": START + 4_000 * ms, "bytes": 1}
            | {"outcome": Outcome.CUT},
        ),
        ctx,
    )
    found = {name: int(row[name][0]) // ms for name in PARTS}
    assert found == {
        "service_ns": 50 + 19,
        "pacing_ns": 50 + 280,
        "lateness_ns": 1 + 3,
        "rest_ns": 250,
        "failed_ns": 97,
        "unfinished_ns": 2_250,
    }
    assert total_ns(row).tolist() == [END - START]


def test_a_rest_reaches_into_the_window_without_its_failure() -> None:
    failed = {"due_ns": START - 300 * NS_PER_MS, "sent_ns": START - 299 * NS_PER_MS, "outcome": Outcome.NO_REPLY}
    row = folded(records({**failed, "done_ns": START - 100 * NS_PER_MS, "flags": RESTED}), CTX)
    assert row[["ok", "bad", "cut", "rest_ns"]].tolist() == [(0, 0, 0, 150 * NS_PER_MS)]


parts_of = st.fixed_dictionaries({name: st.one_of(st.just(0), st.integers(0, 2**45)) for name in PARTS})


@given(given_rows=st.lists(parts_of, max_size=6), late_failures=st.integers(0, 10**9))
def test_parts_survive_the_wire(given_rows: list[dict[str, int]], late_failures: int) -> None:
    table = rows(*({**one, "connection": at, "ok": 1} for at, one in enumerate(given_rows)))
    table["busy_ns"] = table["service_ns"] + table["unfinished_ns"] + table["pacing_ns"] + table["lateness_ns"]
    table["lateness_ns"] += late_failures
    read = unpack_tallies([pack_tallies(table)] * 2, [len(table)] * 2)
    unpack_parts(read, [pack_parts(table)] * 2, [len(table)] * 2)
    assert read.tolist() == table.tolist() * 2


def test_a_second_of_a_paced_connection_takes_8_bytes_more() -> None:
    """Pacing follows from the others, and parts that are 0 everywhere take no room."""
    one = {"service_ns": 3 * NS_PER_MS, "lateness_ns": 70_000, "pacing_ns": 900 * NS_PER_MS}
    table = rows(*[{**one, "busy_ns": sum(one.values())}] * 1000)
    assert len(pack_parts(table)) == 6 + 8 * 1000


@pytest.mark.parametrize(
    "wrong",
    [
        b"\4",
        b"\4\0\0\0\0\0",
        b"\3\0\0\0\0\0" + bytes(3),
        b"\x08\0\0\0\0\0" + b"\xff" * 8,  # 2^64 - 1 ns
        b"\1\0\0\0\0\0\1",  # more service than time in operations
    ],
)
def test_malformed_parts_are_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="tall"):
        unpack_parts(rows({}), [wrong], [1])


def test_rows_of_earlier_versions_have_no_parts() -> None:
    old = rows({"ok": 1, "busy_ns": 5})
    assert pack_parts(old) == b""
    assert not are_known(old)
    assert not are_known(rows({"bad": 1}))
    assert are_known(empty_tallies())
    assert are_known(rows({"bad": 1, "rest_ns": 3}))
