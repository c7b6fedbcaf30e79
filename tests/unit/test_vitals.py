"""The health of the engine process: stops of the process, waits for a core."""

from __future__ import annotations

import pytest

from loadgen.engine.vitals import STILL_NS, Mark, PlayedTime, Vitals, still_ns


@pytest.mark.parametrize(
    ("late_ns", "cpu_ns", "still"),
    [
        (0, 0, 0),
        (STILL_NS - 1, 0, 0),
        (STILL_NS, 0, STILL_NS),
        (10 * STILL_NS, 50_000_000, 10 * STILL_NS),  # the process worked until the timer was due, then it was stopped
        (10 * STILL_NS, 50_000_000 + STILL_NS, 9 * STILL_NS),
        (10 * STILL_NS, 50_000_000 + 10 * STILL_NS, 0),  # the process worked all the time
        (-5, 0, 0),
    ],
)
def test_a_process_was_stopped_if_it_did_not_work_while_its_timer_was_late(
    late_ns: int, cpu_ns: int, still: int
) -> None:
    assert still_ns(late_ns, cpu_ns) == still


@pytest.mark.parametrize(("waited_ns", "still"), [(0, 300), (100, 200), (900, 0)])
def test_waiting_for_a_core_is_not_a_stop(waited_ns: int, still: int) -> None:
    before, after = Mark(0, 0, 50, 10), Mark(1000, 100, 50 + waited_ns, 310)
    assert Vitals().health(before, after, 0, 0).still_ns == still
    assert Vitals().health(before, Mark(1000, 100, -1, 310), 0, 0).still_ns == 300  # the run queue's time is unknown


def test_only_time_within_segments_is_played() -> None:
    played = PlayedTime()
    assert played.until(Mark(50, 50, 50, 50)) == Mark(0, 0, 0, 0)
    played.begin(Mark(100, 10, 1, 0))
    assert played.until(Mark(90, 11, 1, 0)) == Mark(0, 1, 0, 0)  # the engine waits for its start
    assert played.until(Mark(130, 30, 6, 2)) == Mark(30, 20, 5, 2)
    played.end(Mark(140, 40, 9, 3))
    assert played.until(Mark(500, 45, 9, 99)) == Mark(40, 30, 8, 3)
    played.begin(Mark(600, 50, 9, 99))
    played.end(Mark(610, 55, 2, 99))  # the kernel's total of waiting decreases when a thread ends
    played.end(Mark(900, 99, 99, 99))
    assert played.until(Mark(900, 99, 99, 99)) == Mark(50, 35, 8, 3)


def test_waiting_that_the_kernel_does_not_report_stays_unknown() -> None:
    played = PlayedTime()
    played.begin(Mark(0, 0, -1, 0))
    played.end(Mark(10, 1, -1, 0))
    assert played.until(Mark(20, 2, -1, 0)) == Mark(10, 1, -1, 0)


def test_a_total_is_never_below_an_earlier_one() -> None:
    """The end of a segment is noted by its thread; until it is told, marks go on."""
    played = PlayedTime()
    played.begin(Mark(0, 0, 0, 0))
    assert played.until(Mark(100, 50, 20, 1)) == Mark(100, 50, 20, 1)
    played.end(Mark(90, 45, 25, 0))
    assert played.until(Mark(200, 99, 0, 9)) == Mark(100, 50, 25, 1)
    played.begin(Mark(300, 100, 5, 9))
    assert played.until(Mark(310, 105, 7, 9)) == Mark(110, 55, 27, 1)
