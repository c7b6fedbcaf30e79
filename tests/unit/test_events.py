from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.events import (
    UNKNOWN,
    AddressUse,
    AgentEvent,
    CoresShared,
    EngineLost,
    EngineReady,
    SegmentBegan,
    SegmentEnded,
    event_from_wire,
    event_to_wire,
)
from loadgen.measure.wire import printable
from tests.support.canaries import heard, seen
from tests.support.evidence import snapshots

WORDS = st.text(min_size=1, max_size=20)
SAID = WORDS.map(printable)
USES = st.builds(AddressUse, SAID, SAID, st.integers(0, 2**32 - 1))
EVENTS = st.one_of(
    snapshots(),
    st.builds(EngineReady, WORDS, SAID, SAID, st.just("") | SAID, st.lists(USES, max_size=3).map(tuple)),
    st.builds(SegmentBegan, WORDS, st.integers(0, 99), st.integers(0, 2**63 - 1)),
    st.builds(
        SegmentEnded,
        WORDS,
        st.integers(0, 99),
        SAID,
        st.integers(0, 2**63 - 1),
        st.tuples(st.integers(0, 99), st.integers(0, 99)),
        st.lists(st.tuples(SAID, st.integers(1, 2**40)), max_size=3).map(tuple),
    ),
    st.builds(EngineLost, WORDS, SAID),
    st.builds(CoresShared, WORDS, st.floats(0, 9) | st.just(UNKNOWN), SAID, st.floats(0, 1) | st.just(UNKNOWN)),
    st.just(heard(seen("m/0", failed=2), machine="m")),
)


@given(EVENTS)
def test_every_event_crosses_the_wire(event: AgentEvent) -> None:
    assert event_from_wire(event_to_wire(event)) == event


def test_text_of_an_event_cannot_control_a_terminal() -> None:
    lost = EngineLost("m/0", "its last words: \x1b[2J\nall well")
    assert event_from_wire(event_to_wire(lost)) == EngineLost("m/0", "its last words:  [2J all well")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(EVENTS.map(event_to_wire), st.data())
def test_any_invalid_event_is_a_value_error(wire: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(wire)))
    with contextlib.suppress(ValueError):
        event_from_wire({**wire, name: data.draw(JUNK)})
    inner = wire.get("canaries", {})
    with contextlib.suppress(ValueError):
        event_from_wire(
            {**wire, "canaries": {**inner, data.draw(st.sampled_from(sorted(inner) or [""])): data.draw(JUNK)}}
        )


@given(JUNK)
def test_garbage_is_a_value_error(junk: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any message, but no other type
        event_from_wire(junk)


@pytest.mark.parametrize("share", [math.nan, math.inf, -0.1, "1", None])
def test_a_share_is_a_number(share: object) -> None:
    with pytest.raises(ValueError, match="share"):
        event_from_wire({"is": "shared", "machine": "a", "share": share, "most": "x"})
