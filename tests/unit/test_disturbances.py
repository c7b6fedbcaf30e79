"""Disturbed seconds joined to measured windows: which are named, which are left out, and what is added up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from coordinator.run.disturbances import Disturbances
from loadgen.measure.disturbance import MachineSecond
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.disturbance import Observed
from tests.support.disturbance import engine_second, second
from tests.support.snapshots import snapshot


def decided(seconds: Iterable[MachineSecond]) -> Disturbances:
    found = Disturbances()
    for one in seconds:
        found.add(one)
    found.decide_all()
    return found


def run(busy: Iterable[int] = (), *, measured: range = range(2, 8), last: int = 9) -> list[MachineSecond]:
    """Seconds 0 to `last`, of which `measured` are window 0, and a neighbour uses the core in `busy`."""
    return [second(n, 0.9 * (n in busy), window=0 if n in measured else -1) for n in range(last + 1)]


def test_a_quiet_run_has_no_disturbed_seconds() -> None:
    found = decided(run())
    assert found.causes == ()
    assert found.counted == (6, 0)
    assert found.left_out == frozenset()
    assert found.machines == (Observed(machine="local", seconds=6, disturbed=0),)


def test_disturbed_seconds_are_left_out_and_the_second_after_them() -> None:
    found = decided(run(busy=[3, 4]))
    assert [(machine, at) for machine, at, _ in found.causes] == [("local", 3), ("local", 4)]
    assert found.left_out == {3, 4, 5}
    assert found.left_out_ns(0) == 3 * NS_PER_S
    assert found.counted == (6, 2)


def test_what_happens_in_the_ramp_is_not_the_windows() -> None:
    found = decided(run(busy=[0, 9]))
    assert found.causes == ()
    assert found.left_out == frozenset()
    assert decided(run(busy=[1])).left_out == {2}  # operations that it delayed end there


def test_the_second_in_which_a_window_ends_is_never_left_out() -> None:
    """What is unanswered there has waited for longer than the second."""
    cut = [*run(measured=range(2, 7), last=6), second(7, 0.9, end_ns=700 * NS_PER_MS)]
    found = decided(cut)
    assert [at for _, at, _ in found.causes] == [7]
    assert found.left_out == frozenset()


def test_a_part_of_a_second_counts_when_it_is_at_least_half_of_it() -> None:
    begins = [second(2, 0.9, begin_ns=400 * NS_PER_MS), second(3), second(4, 0.9, end_ns=400 * NS_PER_MS)]
    found = decided(begins)
    assert found.counted == (2, 1)
    assert found.left_out_ns(0) == 600 * NS_PER_MS + NS_PER_S  # seconds 2 and 3


def test_any_machine_disturbs_the_second_of_all() -> None:
    both = [one for n in range(4) for one in (second(n, machine="a"), second(n, 0.9 * (n == 1), machine="b"))]
    found = decided(both)
    assert found.left_out == {1, 2}
    assert found.counted == (4, 1)
    assert found.machines == (
        Observed(machine="a", seconds=4, disturbed=0),
        Observed(machine="b", seconds=4, disturbed=1),
    )


def test_a_sample_of_several_seconds_speaks_for_each_of_them() -> None:
    found = decided([second(0), second(1, 0.9, span=3, end_ns=3 * NS_PER_S), second(4), second(5)])
    assert [at for _, at, _ in found.causes] == [1, 2, 3]
    assert found.left_out == {1, 2, 3, 4}


def test_the_engines_own_health_is_joined_by_interval() -> None:
    found = Disturbances(
        lambda worker, interval: replace(snapshot(worker, interval).health, still_ns=300 * NS_PER_MS * (interval == 2))
    )
    for n in range(5):
        found.add(second(n))
    found.decide_all()
    assert [(at, cause.what) for _, at, cause in found.causes] == [(2, "stood still")]


def test_the_use_of_a_window_is_that_of_its_own_seconds() -> None:
    found = decided([*run(busy=[0, 1, 4]), second(8, 0.9, window=1)])
    (whole,) = found.uses(0, rest=False).values()
    assert whole.share == pytest.approx(0.9 / 6)
    assert whole.by_name.most_common(1)[0][0] == "hog (pid 7)"
    (rest,) = found.uses(0, rest=True).values()
    assert rest.share == 0
    assert found.uses(2, rest=False) == {}


def test_seconds_that_reach_out_of_a_window_are_not_added_up() -> None:
    found = decided([second(1, 0.9, begin_ns=300 * NS_PER_MS), second(2), second(3, 0.9, end_ns=600 * NS_PER_MS)])
    (use,) = found.uses(0, rest=False).values()
    assert (use.share, use.core_ns) == (0, NS_PER_S)


def test_use_that_is_not_known_stays_so() -> None:
    unknown = engine_second(others_ns=-1)
    found = decided([second(n, engines=(unknown,), periods=-1) for n in range(3)])
    (use,) = found.uses(0, rest=False).values()
    assert use.share is None
    assert use.throttled is None


def test_reports_of_decided_seconds_are_ignored() -> None:
    found = Disturbances()
    found.add(second(0))
    assert not found.is_left_out(3)
    found.add(second(2, 0.9))
    assert not found.is_left_out(2)
    assert found.causes == ()
