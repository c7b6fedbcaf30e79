"""The simulation of ideal servers: answers computed by hand, and those of the records of such a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.measure.cells import CUT
from loadgen.measure.fold import FoldContext, fold
from loadgen.measure.record import RECORD_DTYPE
from loadgen.measure.slot_time import PARTS
from loadgen.measure.tally import TALLY_DTYPE, merge_tallies
from loadgen.model.bound import Bound
from loadgen.model.outcome import Outcome
from loadgen.model.plan import Phases
from loadgen.model.sending import PACED_READ_BYTES
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import START_DTYPE
from loadgen.schedule.timings import Timings
from loadgen.verdict.ideal import IdealWindow, Line, play_window

RATE = Bound.rate(6_400)
SLOW = Line(8_000)  # 1 byte takes 1 ms


def phases(*, ramp_up_s: float = 1, measure_s: int = 10, ramp_down_s: float = 1) -> Phases:
    return Phases(
        ramp_up_ns=round(ramp_up_s * NS_PER_S),
        warmup_ns=0,
        measure_ns=measure_s * NS_PER_S,
        ramp_down_ns=round(ramp_down_s * NS_PER_S),
        iterations=1,
    )


def timings(reply_bytes: Sequence[int], starts: Sequence[tuple[int, int]]) -> Timings:
    """`starts`: row and delay in ms of each connection."""
    given = np.array([(row, delay_ms * NS_PER_MS) for row, delay_ms in starts], START_DTYPE)
    return Timings(np.array(reply_bytes, np.int64), given.reshape(1, -1), doubt_bytes=0)


def row(played: IdealWindow, at: int = 0) -> dict[str, int]:
    """The tally of a connection, without the parts of its time: the judge of a score does not read them."""
    return {name: int(played.tallies[name][at]) for name in TALLY_DTYPE.names or () if name not in PARTS}


def test_two_files_in_turn() -> None:
    """Operations of .5 and 1.5 s; the window is from 1 to 11 s, and opens inside of the second operation."""
    played = play_window(timings([500, 1_500], [(0, 0)]), 0, phases(), SLOW, RATE)
    assert (played.ops, played.bytes) == (10, 10_000)  # due at 2, 2.5, 4, ... 10, 10.5
    assert row(played) == {
        "window": 0,
        "connection": 0,
        "ok": 11,  # one reaches into the window
        "bad": 0,
        "cut": 0,
        "overdue": 0,
        "good": 11,
        "tolerable": 11,
        "bytes": 10_000,
        "busy_ns": 10 * NS_PER_S,
    }


def test_a_connection_that_begins_in_the_window_and_one_that_begins_behind_it() -> None:
    played = play_window(timings([500, 1_500], [(0, 11_000), (1, 4_000)]), 0, phases(), SLOW, RATE)
    assert len(played.tallies) == 1
    assert (row(played)["connection"], row(played)["ok"], row(played)["busy_ns"]) == (1, 7, 7 * NS_PER_S)
    assert played.ops == 7  # due at 4, 5.5, 6, 7.5, 8, 9.5, 10


def test_an_operation_longer_than_the_window_counts_for_the_connection_only() -> None:
    played = play_window(timings([20_000], [(0, 0)]), 0, phases(), SLOW, RATE)
    assert (played.ops, played.bytes) == (0, 0)
    assert (row(played)["ok"], row(played)["bytes"]) == (1, 10_000)


def test_paced_reads_take_the_time_of_the_line_and_may_be_cut() -> None:
    """A reply of three reads is complete when the line has carried two of them: after 8.192 s."""
    size = 3 * PACED_READ_BYTES
    line = Line(8_000, paced_reads=True)
    late = Bound.time(8 * NS_PER_S, 9 * NS_PER_S)
    played = play_window(timings([size], [(0, 2_000)]), 0, phases(ramp_down_s=0), line, late)  # until 10.192 s
    assert (row(played)["ok"], row(played)["good"], row(played)["tolerable"]) == (1, 0, 1)
    played = play_window(timings([size], [(0, 3_000)]), 0, phases(ramp_down_s=0), line, late)  # cut at 11 s
    assert (row(played)["ok"], row(played)["cut"], row(played)["overdue"], row(played)["tolerable"]) == (0, 1, 0, 0)
    assert (played.ops, played.bytes, row(played)["bytes"]) == (0, 8_000, 8_000)
    soon = Bound.time(NS_PER_S, 2 * NS_PER_S)
    assert row(play_window(timings([size], [(0, 3_000)]), 0, phases(ramp_down_s=0), line, soon))["overdue"] == 1


def played_one_by_one(given: Timings, phases: Phases, line: Line) -> NDArray[np.void]:
    """Return the records of a run on ideal servers."""
    ns_per_byte, stop_ns = 8 * NS_PER_S // line.bps, phases.length_ns(0)
    found = []
    for connection, (at, due_ns) in enumerate(given.starts[0].tolist()):
        while due_ns < stop_ns:
            size = int(given.reply_bytes[at])
            before_last = (size - 1) // PACED_READ_BYTES * PACED_READ_BYTES
            done_ns = due_ns + before_last * ns_per_byte * line.paced_reads
            is_cut = done_ns > stop_ns
            received = min(size, (stop_ns - due_ns) // ns_per_byte) if is_cut else size
            outcome = Outcome.CUT if is_cut else Outcome.OK
            found.append((due_ns, due_ns, min(done_ns, stop_ns), received, at, connection, outcome, 0))
            due_ns += size * ns_per_byte
            at = (at + 1) % len(given.reply_bytes)
    return np.array(found, RECORD_DTYPE)


starts_ms = st.tuples(st.integers(0, 2), st.integers(0, 15_000))
bounds = st.sampled_from([RATE, Bound.time(NS_PER_S, 3 * NS_PER_S)])
tapes = st.builds(
    timings,
    st.lists(st.sampled_from([1, 250, 1_000, 4_096, 4_097, 30_000]), min_size=3, max_size=6),
    st.lists(starts_ms, min_size=1, max_size=3),
)


@given(
    tapes,
    st.builds(phases, ramp_up_s=st.sampled_from([0, 2.5]), ramp_down_s=st.sampled_from([0, 1.25])),
    st.builds(Line, st.sampled_from([8_000, 32_000]), st.booleans()),
    bounds,
)
def test_the_sums_are_those_of_the_records_of_such_a_run(
    given_: Timings, phases_: Phases, line: Line, bound: Bound
) -> None:
    played = play_window(given_, 0, phases_, line, bound)
    rows = len(given_.reply_bytes)
    context = FoldContext(
        kind=np.zeros(rows, np.uint8),
        group=np.zeros(rows, np.uint8),
        kinds=1,
        groups=1,
        target_of=np.zeros(given_.starts.shape[1], np.int32),
        line_bps=line.bps,
        bound=bound,
    )
    lead_ns = phases_.lead_ns(0)
    records = played_one_by_one(given_, phases_, line)
    cells, tallies = fold(
        records, context, window=0, window_start_ns=lead_ns, window_end_ns=lead_ns + phases_.measure_ns
    )
    inside = merge_tallies([tallies[tallies["window"] == 0]])
    for name in ("connection", "ok", "cut", "good", "tolerable", "overdue", "busy_ns"):
        assert played.tallies[name].tolist() == inside[name].tolist(), name
    # Each operation that reaches beyond the window has its bytes rounded.
    assert played.tallies["bytes"].tolist() == pytest.approx(inside["bytes"].tolist(), abs=2)
    whole = cells.get((0, 0))
    assert played.ops == (whole.ok if whole else 0)
    assert played.bytes == (whole.bytes if whole else 0)
    assert int(played.tallies["cut"].sum()) >= (int(whole.counts[..., CUT].sum()) if whole else 0)


@given(st.integers(1, 30), st.integers(1, 3_000), st.lists(st.integers(0, 900), min_size=2, max_size=2))
def test_on_a_tape_of_equal_replies_the_start_does_not_matter(rows: int, size: int, delays_ms: list[int]) -> None:
    """All differences between deals come from the sizes of the replies."""
    one, other = (
        play_window(timings([size] * rows, [(delay % rows, delay)]), 0, phases(), SLOW, RATE) for delay in delays_ms
    )
    assert abs(one.ops - other.ops) <= 1
    assert (one.tallies["bytes"] == other.tallies["bytes"]).all()
