"""The health of the engine process: stops of the process, waits for a core."""

from __future__ import annotations

import pytest

from loadgen.engine.vitals import STILL_NS, Mark, Vitals, still_ns


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
