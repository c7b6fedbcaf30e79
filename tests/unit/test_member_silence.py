"""When a load machine is overdue, when it is given up because of silence, and the effect of a suspended coordinator."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coordinator.fleet.events import Closing, Finished, Left, Spoke, Ticked
from coordinator.fleet.member import OVERDUE_NS, SILENCE_NS, Life
from loadgen.model.machine import MachineState
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.members import Checked

TICK_NS = 100 * NS_PER_MS


def tick_through(one: Checked, from_ns: int, to_ns: int) -> int | None:
    """Return the first tick at which the machine is lost; None when it never is."""
    for now_ns in range(from_ns + TICK_NS, to_ns + 1, TICK_NS):
        if one.feed(Ticked(now_ns)):
            assert one.member.lost
            return now_ns
    return None


def test_a_silent_machine_is_lost_in_time_with_the_length_of_its_silence() -> None:
    one = Checked(Life.ARMED)
    one.feed(Spoke(NS_PER_S))
    at_ns = tick_through(one, 0, 10 * NS_PER_S)
    assert at_ns is not None
    assert SILENCE_NS < at_ns - NS_PER_S <= SILENCE_NS + TICK_NS
    assert one.member.why == "silent for 2.3 s"


def test_a_silent_machine_that_is_heard_again_in_time_is_not_lost() -> None:
    one = Checked(Life.ARMED)
    assert one.member.shown(OVERDUE_NS) is MachineState.ARMED
    assert one.member.shown(OVERDUE_NS + 1) is MachineState.SILENT
    assert tick_through(one, 0, 2 * NS_PER_S) is None
    one.feed(Spoke(2 * NS_PER_S))
    assert one.member.shown(2 * NS_PER_S + 1) is MachineState.ARMED
    assert one.member.silent_ns(2 * NS_PER_S + 7) == 7
    assert tick_through(one, 2 * NS_PER_S, 4 * NS_PER_S) is None


def test_heartbeats_are_expected_only_while_a_machine_serves() -> None:
    for life in (Life.GREETING, Life.MEASURING, Life.LEAVING, Life.CLOSED, Life.LOST, Life.DISMISSED):
        one = Checked(life)
        one.feed(Ticked(NS_PER_S))
        assert one.feed(Ticked(100 * NS_PER_S)) == []
        assert one.member.silent_ns(100 * NS_PER_S) == 0
        assert not one.member.is_overdue(100 * NS_PER_S)


def test_heartbeats_are_expected_during_the_final_fetch() -> None:
    one = Checked(Life.FINISHING)
    assert tick_through(one, 0, 10 * NS_PER_S) is not None
    one.feed(Finished("silent"))
    assert one.member.state is Life.CLOSED


@given(stall_ns=st.integers(NS_PER_S + 1, 3600 * NS_PER_S), ticks=st.integers(1, 21))
def test_a_suspended_coordinator_gives_every_machine_that_much_more_time(stall_ns: int, ticks: int) -> None:
    one = Checked(Life.ARMED)
    before_ns = ticks * TICK_NS
    assert tick_through(one, 0, before_ns) is None
    after_ns = before_ns + stall_ns
    assert one.feed(Ticked(after_ns)) == []
    at_ns = tick_through(one, after_ns, after_ns + 10 * NS_PER_S)
    assert at_ns is not None
    assert SILENCE_NS < at_ns - stall_ns <= SILENCE_NS + TICK_NS


def test_a_heartbeat_right_after_a_suspension_counts_from_its_receipt() -> None:
    one = Checked(Life.ARMED)
    one.feed(Ticked(TICK_NS), Spoke(60 * NS_PER_S))  # the heartbeat was waiting in the socket
    assert one.feed(Ticked(60 * NS_PER_S)) == []
    assert one.member.silent_ns(60 * NS_PER_S) == 0
    at_ns = tick_through(one, 60 * NS_PER_S, 120 * NS_PER_S)
    assert at_ns is not None
    assert at_ns <= 60 * NS_PER_S + SILENCE_NS + TICK_NS


def test_a_lost_machine_is_not_lost_again_because_of_silence() -> None:
    one = Checked(Life.ARMED)
    one.feed(Left())
    assert tick_through(one, 0, 10 * NS_PER_S) is None
    one.feed(Closing())
    assert one.member.why == "its connection ended"
