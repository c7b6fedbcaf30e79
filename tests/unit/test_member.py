"""The life of a load machine: the instructions that follow each event in each state."""

from __future__ import annotations

import pytest

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
    Unarmed,
    WorkerGivenUp,
)
from coordinator.fleet.instructions import (
    Cut,
    DismissAll,
    DismissEngines,
    EndProcess,
    FetchRest,
    Instruction,
    Leave,
    MeasureClock,
    Pull,
    Rest,
    SendPlan,
    SendStart,
    Tell,
)
from coordinator.fleet.member import UNKNOWN_RUN, Life
from loadgen.measure.events import EngineLost, SegmentEnded
from loadgen.model.machine import MachineState
from loadgen.model.units import NS_PER_S
from tests.support.members import ARMED, MACHINE, NAME, PATHS, SERVING, WORKERS, Checked, segment

BEHIND = Beat(MachineState.PLAYING, behind=True)


def lost(*workers: str, why: str) -> list[Instruction]:
    told = [Tell(EngineLost(worker, f"machine {NAME} is lost: {why}")) for worker in workers]
    return [Cut(), *told, DismissAll(), EndProcess()]


def test_a_run_without_trouble() -> None:
    one = Checked()
    steps: list[tuple[Event, list[Instruction], Life]] = [
        (Greeted(MACHINE), [MeasureClock()], Life.MEASURING),
        (Measured(0), [], Life.READY),
        (Assigned(frozenset(WORKERS)), [SendPlan()], Life.PREPARING),
        (Prepared(), [], Life.PREPARED),
        (Ordered(segment(0), 5), [SendStart(segment(0))], Life.ORDERED),
        (Armed(), [], Life.ARMED),
        (Ordered(segment(1), 6), [SendStart(segment(1))], Life.ORDERED),
        (Armed(), [], Life.ARMED),
        (Closing(), [FetchRest()], Life.FINISHING),
        (Finished(""), [Rest(), Leave(delete_spool=True)], Life.LEAVING),
        (Gone(), [Rest()], Life.CLOSED),
    ]
    for event, wanted, life in steps:
        assert one.feed(event) == wanted
        assert one.member.state is life
    assert (one.member.ordered_ns, one.member.origin_ns) == (5, segment(1).origin_ns)
    assert (one.member.why, one.member.unfetched) == ("", "")


@pytest.mark.parametrize("life", SERVING, ids=lambda life: life.value)
@pytest.mark.parametrize(
    ("event", "why"),
    [(Left(), "its connection ended"), (Failed("nonsense"), "nonsense"), (Renewed(known=False), UNKNOWN_RUN)],
    ids=["left", "failed", "unknown"],
)
def test_a_machine_can_be_lost_once_in_each_state(life: Life, event: Event, why: str) -> None:
    one = Checked(life)
    present = [worker for worker in WORKERS if worker in one.member.present]
    assert one.feed(event) == lost(*present, why=why)
    assert one.member.state is Life.DISMISSING
    assert (one.member.why, one.member.shown(0)) == (why, MachineState.LOST)
    assert one.feed(Left(), Failed("again"), Renewed(known=False)) == []
    assert one.member.why == why


@pytest.mark.parametrize("life", [life for life in PATHS if life not in SERVING], ids=lambda life: life.value)
def test_a_machine_that_is_given_up_or_has_left_takes_no_part(life: Life) -> None:
    one = Checked(life)
    why = one.member.why
    events = (
        Greeted(MACHINE),
        Measured(1),
        Refused("no"),
        BEHIND,
        Left(),
        Failed("nonsense"),
        Renewed(known=False),
        Assigned(frozenset(WORKERS)),
        Prepared(),
        Ordered(segment(1), 7),
        Armed(),
        Unarmed("late"),
        Reported(SegmentEnded("m/0", 0, "complete")),
        WorkerGivenUp("m/0"),
        Pulled(),
    )
    assert one.feed(*events) == []
    assert (one.member.state, one.member.why) == (life, why)


def test_only_engines_that_take_part_are_reported_as_lost() -> None:
    one = Checked(Life.READY)
    one.feed(Assigned(frozenset(["m/1"])), Prepared())
    assert one.feed(Left()) == lost("m/1", why="its connection ended")


def test_an_engine_that_was_lost_before_the_plan_came_stays_lost() -> None:
    one = Checked(Life.READY)
    one.feed(Reported(EngineLost("m/0", "killed by signal 9")), Assigned(frozenset(WORKERS)), Prepared())
    assert one.member.present == {"m/1"}


def test_engines_that_were_lost_before_are_not_reported_again() -> None:
    one = Checked(Life.ARMED)
    killed = EngineLost("m/0", "killed by signal 9")
    assert one.feed(Reported(killed)) == [Tell(killed)]
    assert one.feed(WorkerGivenUp("m/1")) == [DismissEngines(("m/1",))]
    assert one.feed(WorkerGivenUp("other/1")) == []
    assert one.feed(Left()) == lost(why="its connection ended")


@pytest.mark.parametrize("life", [Life.GREETING, Life.MEASURING], ids=lambda life: life.value)
def test_a_machine_that_refuses_at_hello_is_closed_and_not_lost(life: Life) -> None:
    one = Checked(life)
    assert one.feed(Refused("it has loadgen 9")) == [Rest()]
    assert (one.member.state, one.member.why) == (Life.CLOSED, "it has loadgen 9")


def test_a_machine_that_is_lost_at_hello_is_left_out() -> None:
    one = Checked(Life.GREETING)
    one.feed(Left())
    assert one.feed(Refused("its connection ended")) == []  # the answer to hello is no longer waited for
    assert one.feed(LeftOut()) == [Rest()]
    assert one.member.state is Life.CLOSED


def test_a_machine_that_refuses_the_plan_can_be_prepared_again() -> None:
    one = Checked(Life.PREPARING)
    assert one.feed(PrepareFailed()) == []
    assert (one.member.state, one.member.why) == (Life.READY, "")
    assert one.feed(Assigned(frozenset(WORKERS))) == [SendPlan()]
    assert one.feed(Prepared()) == []


def test_a_machine_without_connections_ends_its_engines_and_gets_no_order() -> None:
    one = Checked(Life.READY)
    assert one.feed(Assigned(frozenset())) == [DismissAll()]
    assert one.member.present == set()
    assert one.feed(DismissalEnded(heard=False), Ordered(segment(), 5)) == []
    assert one.member.state is Life.SPARE
    assert one.feed(Closing()) == [FetchRest()]


@pytest.mark.parametrize(
    "life", [Life.GREETING, Life.MEASURING, Life.PREPARING, Life.FINISHING], ids=lambda life: life.value
)
def test_nothing_is_ordered_before_prepare_and_after_the_end(life: Life) -> None:
    one = Checked(life)
    assert one.feed(Ordered(segment(7), 9)) == []
    assert one.member.state is life


def test_a_machine_that_confirms_too_late_is_lost_and_its_confirmation_is_ignored() -> None:
    one = Checked(Life.ORDERED)
    why = "it was not armed in time: it did not answer within 0.7 s"
    assert one.feed(Unarmed(why)) == lost(*WORKERS, why=why)
    assert one.feed(Armed()) == []
    assert one.member.state is Life.DISMISSING


def test_the_displayed_state_is_the_last_reported_or_confirmed_one() -> None:
    one = Checked(Life.ORDERED)
    assert one.member.shown(0) is MachineState.READY
    one.feed(Armed())
    assert one.member.shown(0) is MachineState.ARMED
    one.feed(Beat(MachineState.PLAYING, behind=False))
    assert one.member.shown(0) is MachineState.PLAYING


def test_a_given_up_machine_that_is_heard_again_is_dismissed_once() -> None:
    one = Checked(Life.DISMISSING)
    assert one.feed(Spoke(20), Spoke(21)) == []  # it is being dismissed already
    assert one.feed(DismissalEnded(heard=False)) == []
    assert one.feed(Spoke(30)) == [DismissAll()]
    assert one.feed(DismissalEnded(heard=True), Spoke(40), Spoke(41)) == []
    assert one.member.state is Life.DISMISSED


def test_results_are_fetched_once_at_a_time() -> None:
    one = Checked(Life.ARMED)
    assert one.feed(BEHIND) == [Pull()]
    assert one.feed(BEHIND) == []
    assert one.feed(Pulled()) == []
    assert one.feed(Beat(MachineState.PLAYING, behind=False)) == []
    assert one.feed(BEHIND) == [Pull()]


def test_nothing_is_fetched_before_the_answer_to_hello() -> None:
    assert Checked(Life.GREETING).feed(BEHIND) == []
    assert Checked(Life.MEASURING).feed(BEHIND) == [Pull()]


def test_closing_while_a_chunk_is_fetched() -> None:
    one = Checked(Life.ARMED)
    ended = SegmentEnded("m/0", 0, "complete")
    assert one.feed(BEHIND, Closing()) == [Pull(), FetchRest()]
    assert one.feed(Reported(ended)) == [Tell(ended)]  # the event is in the chunk that is in transit
    assert one.feed(Pulled(), Closing()) == []
    assert one.feed(Finished("")) == [Rest(), Leave(delete_spool=True)]
    assert one.feed(Pulled(), Gone()) == [Rest()]


def test_results_that_were_not_fetched_stay_on_the_machine() -> None:
    one = Checked(Life.FINISHING)
    assert one.feed(Finished("they did not arrive")) == [Rest(), Leave(delete_spool=False)]
    assert one.member.unfetched == "they did not arrive"


@pytest.mark.parametrize("life", [Life.DISMISSING, Life.LOST], ids=lambda life: life.value)
def test_a_lost_machine_that_cannot_be_reached_is_not_told_that_the_run_is_over(life: Life) -> None:
    one = Checked(life)
    assert one.feed(Closing()) == [Rest()]
    assert (one.member.state, one.member.unfetched) == (Life.CLOSED, "it was lost: its connection ended")


def test_a_lost_machine_that_was_reached_is_told_that_the_run_is_over_and_keeps_its_results() -> None:
    one = Checked(Life.DISMISSED)
    assert one.feed(Closing()) == [Rest(), Leave(delete_spool=False)]
    assert one.feed(Gone()) == [Rest()]
    assert one.member.unfetched == "it was lost: its connection ended"


def test_a_machine_that_is_lost_during_the_final_fetch_keeps_its_results() -> None:
    one = Checked(Life.FINISHING)
    assert one.feed(Failed("silent")) == lost(*WORKERS, why="silent")
    assert one.feed(DismissalEnded(heard=True)) == []
    assert one.feed(Finished("")) == [Rest(), Leave(delete_spool=False)]
    assert one.member.unfetched == "it was lost: silent"


def test_a_clock_that_leaps_during_the_run_loses_its_machine() -> None:
    by_ns = 100_000_001
    one = Checked(Life.PREPARED)
    assert one.feed(Leapt(by_ns)) == []  # nothing was ordered: the offset is measured anew
    one.feed(Ordered(segment(0), 5))
    assert one.feed(Leapt(by_ns - 1), Leapt(0), Leapt(-5)) == []
    assert EndProcess() in one.feed(Leapt(by_ns))
    assert one.member.why.startswith("its clock and the coordinator's moved apart by 0.10 s at once")
    assert one.feed(Leapt(by_ns)) == []


@pytest.mark.parametrize(
    ("events", "missing_bytes", "said"),
    [
        ((Settled(), Closing(), Finished(""), Gone()), 0, ""),
        # It is lost before its results arrived: at once, while the rest is fetched, or by the way of a late dismissal.
        ((Left(), Closing()), 0, "some of its results may be missing (it was lost: its connection ended)"),
        ((Closing(), Left(), Finished("cut")), 0, "some of its results may be missing (cut)"),
        ((Closing(), Left(), DismissalEnded(True), Finished("cut"), Gone()), 0, "some of its results may be missing"),
        ((Closing(), Finished("late"), Gone()), 0, "some of its results may be missing (late)"),
        ((Settled(), Closing(), Finished("late"), Gone()), 7, "7 bytes of its results are missing (late)"),
        # It is lost after they arrived.
        ((Settled(), Closing(), Left(), Finished("cut")), 0, "all of its results have arrived, but it could not be"),
        ((Settled(), Left(), Closing()), 0, "all of its results have arrived, but it could not be told"),
        (
            (Settled(), Closing(), Finished(""), Left(), Gone("it is mute")),
            0,
            "could not be told that the run is over (it is mute)",
        ),
        # A segment after that has results of its own.
        ((Settled(), Ordered(segment(1), 5), Left(), Closing()), 0, "some of its results may be missing"),
    ],
)
def test_what_is_missing_at_the_end_depends_on_what_had_arrived(
    events: tuple[Event, ...], missing_bytes: int, said: str
) -> None:
    one = Checked(Life.ARMED)
    one.feed(*events)
    found = one.member.unfinished(missing_bytes)
    assert said in found
    assert bool(found) is bool(said)


def test_the_first_order_is_remembered_and_the_last_origin() -> None:
    one = Checked()
    one.feed(*ARMED, Ordered(segment(4), 9 * NS_PER_S))
    assert one.member.ordered_ns == NS_PER_S
    assert one.member.origin_ns == segment(4).origin_ns
