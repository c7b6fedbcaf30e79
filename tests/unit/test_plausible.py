"""Impossible reports of a machine are refused; times of other reports are converted to the coordinator's clock."""

from __future__ import annotations

import pytest

from coordinator.fleet.member import Life, Member
from coordinator.fleet.plausible import check_snapshots, checked
from loadgen.measure.events import AgentEvent, CoresShared, EngineLost, SegmentBegan, SegmentEnded
from loadgen.measure.together import Snapshots
from loadgen.model.units import NS_PER_S
from tests.support.canaries import heard, seen
from tests.support.members import NAME, Checked, segment
from tests.support.snapshots import snapshot

ORIGIN_NS = segment().origin_ns
AHEAD_NS = 3 * NS_PER_S


def member(life: Life = Life.ARMED) -> Member:
    return Checked(life).member


def test_the_start_of_a_segment_is_converted_to_the_coordinators_clock() -> None:
    began = SegmentBegan("m/0", 0, ORIGIN_NS + AHEAD_NS)
    assert checked(member(), began, ORIGIN_NS, AHEAD_NS) == SegmentBegan("m/0", 0, ORIGIN_NS)


@pytest.mark.parametrize("at_ns", [0, NS_PER_S, ORIGIN_NS + 5 * NS_PER_S])
def test_a_segment_begins_after_its_order_and_not_far_in_the_future(at_ns: int) -> None:
    with pytest.raises(ValueError, match="impossible time for the start"):
        checked(member(), SegmentBegan("m/0", 0, at_ns), ORIGIN_NS, 0)


def test_a_machine_without_an_order_cannot_begin_a_segment() -> None:
    with pytest.raises(ValueError, match="impossible time for the start"):
        checked(member(Life.PREPARED), SegmentBegan("m/0", 0, ORIGIN_NS), ORIGIN_NS, 0)


@pytest.mark.parametrize(
    "event",
    [
        snapshot("m/2", 0),
        Snapshots.of([snapshot("m/0", 0), snapshot("n/0", 0)]),
        SegmentEnded("n/0", 0, "complete"),
        EngineLost("", "killed"),
        CoresShared("n", 0.5, "cc1"),
        heard(machine="n"),
        heard(seen("n/0"), machine=NAME),
    ],
)
def test_a_machine_can_only_report_for_itself(event: AgentEvent) -> None:
    with pytest.raises(ValueError, match="which is not one of its own"):
        checked(member(), event, ORIGIN_NS, 0)


def test_plausible_reports_are_passed_on_unchanged() -> None:
    for event in (
        snapshot("m/1", 2),
        Snapshots.of([snapshot("m/0", 0), snapshot("m/1", 0)]),
        SegmentEnded("m/0", 0, "complete"),
        CoresShared(NAME, 0.5, "cc1"),
        heard(seen("m/0"), machine=NAME),
    ):
        assert checked(member(), event, ORIGIN_NS, AHEAD_NS) is event


def test_intervals_more_than_five_seconds_ahead_have_not_begun() -> None:
    check_snapshots(member(), ["m/0", "m/1"], [5, 4], ORIGIN_NS)
    with pytest.raises(ValueError, match="interval 6, which has not begun yet"):
        check_snapshots(member(), ["m/0", "m/1"], [6, 4], ORIGIN_NS)
