"""The run's state machine: the effects of each event."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from coordinator.run.state import (
    Audit,
    Audited,
    EndEarly,
    Ended,
    Event,
    Finish,
    Interrupted,
    Lost,
    Play,
    Ready,
    ResetDone,
    ResetServers,
    RunState,
    State,
    StopTraffic,
)
from loadgen.model.plan import OnLoss

TWO = frozenset({"a", "b"})


def test_an_undisturbed_run_plays_every_iteration_and_finishes() -> None:
    run = RunState(TWO, iterations=2)
    assert run.handle(Ready()) == [ResetServers(0)]
    for iteration, following in ((0, ResetServers(1)), (1, Finish())):
        assert run.handle(ResetDone()) == [Play(iteration)]
        assert run.handle(Ended("a", "complete")) == []
        assert run.handle(Ended("b", "complete")) == [Audit(iteration)]
        assert run.handle(Audited()) == [following]
    assert run.state is State.FINISHED
    assert run.complete == {0, 1}


def test_an_interrupt_stops_the_traffic_and_waits_for_the_last_reports() -> None:
    run = RunState(TWO, iterations=3)
    run.handle(Ready())
    run.handle(ResetDone())
    assert run.handle(Interrupted()) == [StopTraffic()]
    assert run.handle(Ended("a", "stopped")) == []
    assert run.handle(Ended("b", "stopped")) == [Finish()]
    assert run.interrupted
    assert run.complete == set()


def test_a_second_interrupt_does_not_wait() -> None:
    run = RunState(TWO, iterations=1)
    run.handle(Ready())
    run.handle(ResetDone())
    run.handle(Interrupted())
    assert run.handle(Interrupted()) == [Finish()]


def test_a_run_whose_verdict_is_certain_is_stopped_without_an_interrupt() -> None:
    run = RunState(TWO, iterations=3)
    run.handle(Ready())
    assert run.handle(EndEarly("too slow")) == []  # nothing is played yet
    run.handle(ResetDone())
    assert run.handle(EndEarly("too slow")) == [StopTraffic()]
    assert run.handle(EndEarly("still too slow")) == []
    assert run.handle(Ended("a", "stopped")) == []
    assert run.handle(Ended("b", "stopped")) == [Finish()]
    assert (run.early, run.interrupted, run.complete) == ("too slow", False, set())


def test_an_interrupt_of_a_run_that_is_being_stopped_counts() -> None:
    run = RunState(TWO, iterations=1)
    run.handle(Ready())
    run.handle(ResetDone())
    run.handle(EndEarly("too slow"))
    assert run.handle(Interrupted()) == [Finish()]
    assert run.interrupted


def test_an_interrupt_between_segments_finishes_at_once() -> None:
    run = RunState(TWO, iterations=1)
    run.handle(Ready())
    assert run.handle(Interrupted()) == [Finish()]


def test_a_lost_worker_does_not_delay_the_others() -> None:
    run = RunState(TWO, iterations=2)
    run.handle(Ready())
    run.handle(ResetDone())
    assert run.handle(Lost("a", "killed by signal 9")) == []
    assert run.handle(Ended("b", "complete")) == [Audit(0)]
    assert run.handle(Audited()) == [ResetServers(1)]
    run.handle(ResetDone())
    assert run.handle(Ended("b", "complete")) == [Audit(1)]
    assert run.lost == {"a": "killed by signal 9"}


def test_the_loss_of_the_last_worker_ends_the_run() -> None:
    run = RunState(TWO, iterations=2)
    run.handle(Ready())
    run.handle(ResetDone())
    run.handle(Lost("a", "x"))
    assert run.handle(Lost("b", "y")) == [Finish()]


def test_an_expired_lease_ends_the_run_after_the_audit() -> None:
    run = RunState(frozenset({"a"}), iterations=3)
    run.handle(Ready())
    run.handle(ResetDone())
    assert run.handle(Ended("a", "lease expired")) == [Audit(0)]
    assert run.handle(Audited()) == [Finish()]
    assert run.stalled == "a: lease expired"
    assert run.complete == set()


def test_an_unknown_worker_is_ignored() -> None:
    run = RunState(TWO, iterations=1)
    run.handle(Ready())
    run.handle(ResetDone())
    assert run.handle(Lost("mallory", "?")) == []
    assert run.handle(Ended("mallory", "complete")) == []
    assert run.lost == {}


events: st.SearchStrategy[Event] = st.one_of(
    st.sampled_from([Ready(), ResetDone(), Audited(), Interrupted()]),
    st.builds(Ended, st.sampled_from(["a", "b", "c"]), st.sampled_from(["complete", "stopped", "lease expired"])),
    st.builds(Lost, st.sampled_from(["a", "b", "c"]), st.just("gone")),
)


@given(st.lists(events, max_size=40))
def test_any_events_finish_a_run_at_most_once_and_in_order(story: list[Event]) -> None:
    run = RunState(TWO, iterations=3)
    effects = [effect for event in story for effect in run.handle(event)]
    assert effects.count(Finish()) == (1 if run.state is State.FINISHED else 0)
    played = [effect.iteration for effect in effects if isinstance(effect, Play)]
    assert played == list(range(len(played)))
    assert run.complete <= set(played)
    if Finish() in effects:
        assert effects[-1] == Finish()


def test_with_abort_the_run_stops_when_a_worker_is_lost() -> None:
    run = RunState(TWO, iterations=2, on_loss=OnLoss.ABORT)
    run.handle(Ready())
    run.handle(ResetDone())
    assert run.handle(Lost("a", "gone")) == [StopTraffic()]
    assert run.handle(Ended("b", "stopped")) == [Finish()]
    assert run.lost == {"a": "gone"}
    assert run.complete == set()
    assert not run.interrupted


def test_with_abort_a_loss_between_segments_ends_the_run_at_once() -> None:
    run = RunState(TWO, iterations=2, on_loss=OnLoss.ABORT)
    run.handle(Ready())
    assert run.handle(Lost("a", "gone")) == [Finish()]
