"""What canaries measured, from the records of engines and the truth of the responder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.measure.canary import TRUTH_DTYPE, CanariesHeard, CanarySeen, compare
from loadgen.measure.histogram import Histogram
from loadgen.measure.record import RECORD_DTYPE
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS
from tests.support.canaries import heard, seen

MS = NS_PER_MS


def records(*rows: tuple[float, float, float], outcome: Outcome = Outcome.OK) -> NDArray[np.void]:
    """Return records from (due, sent, done) in ms."""
    found = np.zeros(len(rows), dtype=RECORD_DTYPE)
    for name, column in zip(("due_ns", "sent_ns", "done_ns"), np.array(rows).T, strict=True):
        found[name] = (column * MS).astype(np.int64)
    found["outcome"] = outcome
    return found


def truths(*rows: tuple[float, float]) -> NDArray[np.void]:
    """Return rows of the responder from (received, replied) in ms."""
    return np.array([(int(a * MS), int(b * MS)) for a, b in rows], dtype=TRUTH_DTYPE)


def compared(
    given: NDArray[np.void], truth: NDArray[np.void], window_ms: tuple[float, float] = (0, 10_000)
) -> CanarySeen:
    low, high = (int(one * MS) for one in window_ms)
    return compare("w", [given], [truth], window_ns=(low, high))


def test_added_is_what_the_responder_did_not_hold() -> None:
    found = compared(records((10, 12, 20)), truths((13, 18)))
    assert (found.response.max_ns, found.truth.max_ns, found.added.max_ns) == (10 * MS, 5 * MS, 5 * MS)


def test_a_slow_responder_is_truth() -> None:
    found = compared(records((10, 10, 300.5)), truths((10.25, 300.25)))
    assert found.truth.max_ns == 290 * MS
    assert found.added.max_ns == MS // 2


def test_a_wait_for_the_reply_before_is_not_the_engines() -> None:
    """The second request is due while the responder holds the first one: the engine must wait, and is not to blame."""
    rows = records((0, 0, 100), (40, 100, 105))
    found = compared(rows, truths((0, 100), (100, 105)))
    assert found.added.max_ns == 0
    assert found.added.total == 2


def test_a_stall_of_the_engine_shows_in_each_request_that_was_due_in_it() -> None:
    rows = records((0, 100, 105), (40, 105, 110), (80, 110, 115))
    found = compared(rows, truths((100, 105), (105, 110), (110, 115)))
    assert found.added.max_ns == 100 * MS
    assert found.added.min_ns == 20 * MS


def test_requests_outside_of_the_window_and_cut_ones_are_left_out() -> None:
    rows = np.concatenate([records((1, 1, 2), (11, 11, 12), (21, 21, 22)), records((15, 15, 19), outcome=Outcome.CUT)])
    found = compared(rows, truths((1, 2), (11, 12), (21, 22)), window_ms=(10, 20))
    assert (found.added.total, found.failed) == (1, 0)


def test_a_request_without_its_truth_is_left_out_and_one_that_failed_is_counted() -> None:
    rows = np.concatenate([records((1, 1, 6), (41, 41, 46)), records((80, 80, 81), outcome=Outcome.REFUSED)])
    found = compared(rows, truths((41, 46)))
    assert (found.response.total, found.failed) == (1, 1)
    assert compared(rows, truths()).added == Histogram.EMPTY


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.TIMED_OUT])
def test_a_wait_for_a_request_of_unknown_truth_is_not_the_engines(outcome: Outcome) -> None:
    """A responder that stood still reads its requests so late that it knows nothing about them."""
    lost = records((0, 0, 1600), outcome=outcome)
    sent = 1601 + 250 * (outcome is not Outcome.OK)  # the connection rests after a failure
    rows = records((41, sent, sent + 6), (sent - 5, sent + 6, sent + 12), (sent + 99, sent + 99, sent + 105))
    truth = truths((sent, sent + 5), (sent + 6, sent + 11), (sent + 99, sent + 104))
    found = compared(np.concatenate([lost, rows]), truth)
    assert found.added.total == 1
    assert found.added.max_ns == MS
    assert compare("w", [], [], window_ns=(0, 1)).added == Histogram.EMPTY


@given(st.lists(st.tuples(*[st.integers(0, 50)] * 4), min_size=1, max_size=20))
def test_what_is_added_and_what_the_responder_held_are_the_response(steps: Sequence[tuple[int, ...]]) -> None:
    """For requests that are due when the one before has ended."""
    at, rows, truth = 10, [], []
    for late, there, held, back in steps:
        due, sent = at, at + late
        received, replied = sent + there, sent + there + held
        at = replied + back + 1
        rows.append((due, sent, at))
        truth.append((received, replied))
    found = compared(records(*rows), truths(*truth), window_ms=(0, 1e9))
    assert found.added.total == len(steps)
    for part, expected in (
        (found.added, [late + there + back + 1 for late, there, _, back in steps]),
        (found.truth, [held for _, _, held, _ in steps]),
    ):
        assert part == Histogram.of(np.array(expected, np.int64) * MS)


def test_the_report_crosses_the_wire() -> None:
    report = heard(seen("m/0", added_ms=0.25), seen("m/1", failed=3, count=0), machine="m", segment=2)
    assert CanariesHeard.from_wire(report.to_wire()) == report
    unknown = heard(machine="m", why="the responder did not answer")
    assert CanariesHeard.from_wire(unknown.to_wire()) == unknown


@pytest.mark.parametrize(
    "change",
    [
        {"workers": ["m/0", "m/0"], "failed": [0, 0]},
        {"workers": [""]},
        {"workers": ["m/0", "m/1"]},
        {"failed": [-1]},
        {"failed": []},
        {"segment": -1},
        {"machine": 7},
        {"why": 7},
        {"times": {}},
        {"times": heard(seen(), seen()).to_wire()["times"]},
    ],
)
def test_a_malformed_report_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        CanariesHeard.from_wire({**heard(seen("m/0")).to_wire(), **change})


def test_a_report_whose_columns_contradict_each_other_is_refused() -> None:
    one = seen("m/0")
    other = CanarySeen(worker="m/0", failed=0, response=one.response, truth=Histogram.EMPTY, added=one.added)
    with pytest.raises(ValueError, match="differ in number"):
        CanariesHeard.from_wire(heard(other).to_wire())
