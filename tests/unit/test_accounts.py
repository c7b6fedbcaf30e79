"""The counts of an engine do not depend on how often its records are folded."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.accounts import Accounts
from loadgen.engine.api import Assignment, Load, Segment
from loadgen.engine.records import Records
from loadgen.engine.vitals import Vitals
from loadgen.model.bound import Bound
from loadgen.model.shard import Shard
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from tests.support.evidence import records
from tests.support.tapes import Op, make_tape

SEGMENT = Segment(index=0, origin_ns=0, start_ns=0, window_start_ns=0, window_end_ns=NS_PER_S, end_ns=NS_PER_S)
CONNECTIONS = 3


def accounts() -> Accounts:
    assignment = Assignment(
        worker="a/0",
        shard=Shard(tuple(range(CONNECTIONS))),
        targets=(Target(name="x", host="127.0.0.1", port=9), Target(name="y", host="127.0.0.1", port=10)),
        shares=(2, 1),
        tape=make_tape([Op(), Op()], CONNECTIONS),
        load=Load(line_bps=0, bound=Bound.time(NS_PER_S, NS_PER_S), timeout_ns=NS_PER_S),
    )
    return Accounts(assignment, Vitals())


operations = st.fixed_dictionaries(
    {
        "due_ns": st.integers(0, 2 * NS_PER_S),
        "sent_ns": st.integers(1, 3 * NS_PER_S),
        "done_ns": st.integers(1, 4 * NS_PER_S),
        "bytes": st.integers(0, 10**6),
        "row": st.integers(0, 1),
        "connection": st.integers(0, CONNECTIONS - 1),
        "outcome": st.integers(0, 5),
    }
)


@given(done=st.lists(operations, max_size=30), cuts=st.lists(st.integers(0, 30), max_size=5))
def test_folding_in_parts_gives_the_same_counts_as_folding_at_once(done: list[dict[str, int]], cuts: list[int]) -> None:
    whole, parts = accounts(), accounts()
    whole.fold(records(*done), SEGMENT)
    edges = [0, *sorted(min(cut, len(done)) for cut in cuts), len(done)]
    for low, high in itertools.pairwise(edges):
        parts.fold(records(*done[low:high]), SEGMENT)
    once, again = parts.drain(7, 0, 0, {}), parts.drain(7, 0, 0, {})
    expected = whole.drain(7, 0, 0, {})
    assert once.cells == expected.cells == again.cells
    assert np.array_equal(once.tallies, expected.tallies)
    assert not parts.drain(8, 0, 0, {}).cells


def test_records_are_folded_when_the_array_is_full() -> None:
    taken: list[int] = []

    def fold() -> None:
        taken.append(len(rows.take()))

    rows = Records(fold)
    room = rows.end // 48
    for number in range(2 * room + 1):
        rows.put(number, 1, 2, 3, 4, 5, 0, 1)
    assert taken == [room, room]
    (last,) = rows.take()
    assert last["due_ns"] == 2 * room
    assert len(rows.take()) == 0
