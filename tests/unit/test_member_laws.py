"""Invariants of a load machine for any events in any order."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from coordinator.fleet.events import (
    Armed,
    Assigned,
    Beat,
    Closing,
    DismissalEnded,
    Event,
    Failed,
    Finished,
    Gone,
    Greeted,
    Leapt,
    Left,
    LeftOut,
    Measured,
    Ordered,
    Prepared,
    PrepareFailed,
    Pulled,
    Refused,
    Renewed,
    Reported,
    Settled,
    Spoke,
    Ticked,
    Unarmed,
    WorkerGivenUp,
)
from coordinator.fleet.instructions import FetchRest, Instruction, Leave, Pull, SendPlan, SendStart, Tell
from coordinator.fleet.member import Life
from loadgen.measure.events import EngineLost, SegmentEnded
from loadgen.model.machine import MachineState
from loadgen.model.units import NS_PER_S
from tests.support.members import ARMED, MACHINE, WORKERS, Checked, segment

times = st.integers(0, 60 * NS_PER_S)
workers = st.sampled_from(WORKERS)
events: st.SearchStrategy[Event] = st.one_of(
    st.just(Greeted(MACHINE)),
    st.builds(Measured, times),
    st.just(Refused("no")),
    st.just(LeftOut()),
    st.builds(Spoke, times),
    st.builds(Beat, st.sampled_from([MachineState.READY, MachineState.ARMED, MachineState.PLAYING]), st.booleans()),
    st.builds(Ticked, times),
    st.just(Left()),
    st.just(Failed("nonsense")),
    st.builds(Renewed, st.booleans()),
    st.builds(Assigned, st.frozensets(workers)),
    st.just(Prepared()),
    st.just(PrepareFailed()),
    st.builds(Ordered, st.builds(segment, st.integers(0, 3)), times),
    st.just(Armed()),
    st.just(Unarmed("late")),
    st.builds(Reported, st.builds(EngineLost, workers, st.just("gone"))),
    st.builds(Reported, st.builds(SegmentEnded, workers, st.just(0), st.just("complete"))),
    st.builds(WorkerGivenUp, workers),
    st.just(Pulled()),
    st.builds(DismissalEnded, st.booleans()),
    st.just(Closing()),
    st.builds(Finished, st.sampled_from(["", "it did not come"])),
    st.just(Gone()),
    st.just(Settled()),
    st.builds(Leapt, st.sampled_from([0, NS_PER_S])),
)
usual = st.integers(0, len(ARMED)).map(lambda count: list(ARMED[:count]))  # random events seldom reach the later states
histories = st.builds(lambda begin, rest: begin + rest, usual, st.lists(events, max_size=30))


@given(histories)
@example([*ARMED, Left(), Closing()])
def test_invariants_hold_after_each_event_and_a_lost_machine_gets_no_part_of_the_run(history: list[Event]) -> None:
    one = Checked()
    for event in history:
        was_lost = one.member.lost
        done = one.feed(event)  # feeding also checks the invariants
        if was_lost:
            assert one.member.lost, "a machine that was given up stays given up"
            assert not any(isinstance(each, SendPlan | SendStart | Tell | Pull | FetchRest) for each in done)
        if one.member.lost:
            assert Leave(delete_spool=True) not in done, "results of a lost machine must stay where they are"


@given(histories)
def test_each_engine_is_reported_as_lost_once_by_us_and_only_if_it_took_part(history: list[Event]) -> None:
    one = Checked()
    reported: list[str] = []
    for event in history:
        present = set(one.member.present)
        for each in one.feed(event):
            if isinstance(each, Tell) and isinstance(each.event, EngineLost) and "machine m is lost" in each.event.why:
                assert each.event.worker in present
                reported.append(each.event.worker)
    assert len(reported) == len(set(reported))


@given(histories)
def test_results_are_fetched_by_one_pull_at_a_time(history: list[Event]) -> None:
    one, pulling = Checked(), False
    for event in history:
        if isinstance(event, Pulled):
            pulling = False
        if Pull() in one.feed(event):
            assert not pulling
            pulling = True


@given(histories, st.booleans())
def test_every_machine_ends_closed(history: list[Event], fetched: bool) -> None:
    one = Checked()
    one.feed(*history)
    pending: list[Instruction] = one.feed(Closing())
    if one.member.state is Life.FINISHING:  # the machine may have been told before
        pending = one.feed(Finished("" if fetched else "it did not come"))
    if one.member.state is Life.LEAVING:
        assert not pending or any(isinstance(each, Leave) for each in pending)
        one.feed(Gone())
    assert one.member.state is Life.CLOSED
    assert one.feed(*ARMED, Left(), Closing()) == []
