from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coordinator.fleet.silence import Silence
from loadgen.model.units import NS_PER_MS, NS_PER_S

LIMIT_NS = 2200 * NS_PER_MS
TICK_NS = 100 * NS_PER_MS


def tick_through(silence: Silence, from_ns: int, to_ns: int) -> tuple[int, list[str]]:
    """The first moment at which somebody is silent, and who; (to_ns, []) if nobody is."""
    for now_ns in range(from_ns + TICK_NS, to_ns + 1, TICK_NS):
        if silent := silence.tick(now_ns):
            return now_ns, silent
    return to_ns, []


def test_who_is_silent_for_too_long_is_named_in_time() -> None:
    silence = Silence(LIMIT_NS, 0)
    silence.expect("a", 0)
    silence.expect("b", 0)
    assert tick_through(silence, 0, NS_PER_S) == (NS_PER_S, [])
    silence.heard("b", NS_PER_S)
    at_ns, who = tick_through(silence, NS_PER_S, 10 * NS_PER_S)
    assert who == ["a"]
    assert LIMIT_NS < at_ns <= LIMIT_NS + TICK_NS
    assert silence.ago_ns("a", at_ns) == at_ns


def test_who_is_forgotten_is_not_expected() -> None:
    silence = Silence(LIMIT_NS, 0)
    silence.expect("a", 0)
    silence.forget("a")
    silence.forget("a")
    silence.heard("a", 1)
    assert tick_through(silence, 0, 10 * NS_PER_S)[1] == []
    assert silence.ago_ns("a", NS_PER_S) == 0


@given(stall_ns=st.integers(NS_PER_S + 1, 3600 * NS_PER_S), silent_ms=st.integers(0, 21))
def test_a_stall_of_ours_moves_every_deadline_by_as_much(stall_ns: int, silent_ms: int) -> None:
    silence = Silence(LIMIT_NS, 0)
    silence.expect("a", 0)
    before_ns, who = tick_through(silence, 0, silent_ms * TICK_NS)
    assert who == []
    after_ns = before_ns + stall_ns
    assert silence.tick(after_ns) == []
    at_ns, who = tick_through(silence, after_ns, after_ns + 10 * NS_PER_S)
    assert who == ["a"]
    assert LIMIT_NS < at_ns - stall_ns <= LIMIT_NS + TICK_NS


def test_what_is_heard_after_a_stall_counts_from_then() -> None:
    silence = Silence(LIMIT_NS, 0)
    silence.expect("a", 0)
    silence.heard("a", 60 * NS_PER_S)  # it was in the pipe
    assert silence.tick(60 * NS_PER_S) == []
    assert silence.ago_ns("a", 60 * NS_PER_S) == 0
    at_ns, who = tick_through(silence, 60 * NS_PER_S, 120 * NS_PER_S)
    assert who == ["a"]
    assert at_ns <= 60 * NS_PER_S + LIMIT_NS + TICK_NS
