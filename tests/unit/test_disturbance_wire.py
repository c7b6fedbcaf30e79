"""Seconds of load machines on the wire: nothing is lost, and anything malformed is a ValueError."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.fleet.plausible import checked
from loadgen.measure.disturbance import MachineSecond, seconds_of
from loadgen.measure.events import event_from_wire, event_to_wire
from loadgen.model.units import NS_PER_S
from tests.support.disturbance import engine_second, second
from tests.support.members import NAME, segment
from tests.unit.test_events import JUNK
from tests.unit.test_plausible import ORIGIN_NS, member

NUMBERS = st.integers(-1, 2**53 - 1)
SECONDS = st.builds(
    second,
    st.integers(0, 9),
    window=st.integers(-1, 3),
    throttled_ns=NUMBERS,
    softnet_dropped=NUMBERS,
    engines=st.lists(
        st.builds(engine_second, st.text("ab/0", min_size=1), others_ns=NUMBERS, cores=st.tuples(st.integers(0, 99)))
    ).map(tuple),
)


@given(SECONDS)
def test_every_second_crosses_the_wire(one: MachineSecond) -> None:
    assert event_from_wire(event_to_wire(one)) == one
    assert seconds_of(one.to_wire()) == (one,)


@given(SECONDS, st.data())
def test_any_malformed_second_is_a_value_error(one: MachineSecond, data: st.DataObject) -> None:
    wire: dict[str, Any] = one.to_wire()
    place = data.draw(st.sampled_from([wire, *wire["engines"]]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JUNK)
    with contextlib.suppress(ValueError):
        event_from_wire({"is": "second", "second": wire})
    with contextlib.suppress(ValueError):
        seconds_of(wire)


@given(JUNK)
def test_garbage_is_a_value_error(junk: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any message, but no other type
        seconds_of(junk)


def test_the_part_in_the_window_lies_in_the_seconds() -> None:
    with pytest.raises(ValueError, match="not within the seconds"):
        MachineSecond.from_wire(second(0, end_ns=NS_PER_S + 1).to_wire())


def test_names_of_processes_cannot_control_a_terminal() -> None:
    said = MachineSecond.from_wire(second(0, engines=(engine_second(most="a\x1b[2Jb"),)).to_wire())
    assert said.engines[0].most == "a [2Jb"


def test_a_machine_speaks_for_itself_and_of_the_past() -> None:
    own = second(2, machine=NAME, engines=(engine_second(f"{NAME}/0"),))
    assert segment().origin_ns == ORIGIN_NS
    assert checked(member(), own, ORIGIN_NS + 3 * NS_PER_S, 0) is own
    for wrong, why in (
        (second(2, machine="n"), "not one of its own"),
        (second(2, machine=NAME, engines=(engine_second("n/0"),)), "not one of its own"),
        (second(99, machine=NAME, engines=(engine_second(f"{NAME}/0"),)), "has not begun yet"),
    ):
        with pytest.raises(ValueError, match=why):
            checked(member(), wrong, ORIGIN_NS + 3 * NS_PER_S, 0)
