from __future__ import annotations

import pytest

from loadgen.engine.vitals import STILL_NS, still_ns


@pytest.mark.parametrize(
    ("late_ns", "cpu_ns", "still"),
    [
        (0, 0, 0),
        (STILL_NS - 1, 0, 0),
        (STILL_NS, 0, STILL_NS),
        (10 * STILL_NS, STILL_NS, 9 * STILL_NS),
        (10 * STILL_NS, 10 * STILL_NS, 0),  # it was at work
        (-5, 0, 0),
    ],
)
def test_what_a_process_did_not_work_while_its_timer_was_due_it_stood_still(
    late_ns: int, cpu_ns: int, still: int
) -> None:
    assert still_ns(late_ns, cpu_ns) == still
