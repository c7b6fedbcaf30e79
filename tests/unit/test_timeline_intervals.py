"""The last interval of each window, by which a lost worker is known to have played it or not."""

from __future__ import annotations

from coordinator.run.timeline import Timeline
from loadgen.model.plan import Phases
from loadgen.model.units import NS_PER_S

PHASES = Phases(ramp_up_ns=NS_PER_S, warmup_ns=NS_PER_S, measure_ns=3 * NS_PER_S, ramp_down_ns=NS_PER_S, iterations=2)


def test_the_last_interval_of_a_window_is_that_before_its_end() -> None:
    timeline = Timeline(PHASES)
    assert timeline.last_intervals() == {}
    timeline.plan_segment(0, 7 * NS_PER_S)  # the window is from 2 to 5 s after the origin
    assert timeline.last_intervals() == {0: 4}
    timeline.plan_segment(1, 7 * NS_PER_S + 8 * NS_PER_S + 1)  # from 9 to 12 s, and a nanosecond
    assert timeline.last_intervals() == {0: 4, 1: 12}


def test_the_window_of_a_run_that_was_stopped_ends_with_the_stop() -> None:
    timeline = Timeline(PHASES)
    timeline.plan_segment(0, 7 * NS_PER_S)
    timeline.stopped_ns = 7 * NS_PER_S + 3 * NS_PER_S + 1
    assert timeline.last_intervals() == {0: 3}
