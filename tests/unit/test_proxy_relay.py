"""The half-close logic, without a socket: in any order of events, no byte is lost and no message is repeated."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from loadgen.proxy.relay import Action, Half, Relay

WAYS = (0, 1)


def test_when_one_direction_ends_the_other_continues() -> None:
    relay = Relay()
    assert relay.ended(0) is Action.SHUTDOWN
    assert not relay.directions[0].wants_read
    assert relay.directions[1].wants_read
    assert relay.held(1, 100) is Action.NOTHING
    assert relay.directions[1].wants_write
    assert relay.held(1, 0) is Action.NOTHING
    assert relay.directions[1].wants_read


def test_after_both_ends_the_connection_is_closed() -> None:
    relay = Relay()
    assert relay.ended(1) is Action.SHUTDOWN
    assert relay.ended(0) is Action.CLOSE


def test_held_bytes_are_written_before_the_end_is_signalled() -> None:
    relay = Relay()
    relay.held(0, 5)
    assert relay.ended(0) is Action.NOTHING
    assert relay.directions[0].half is Half.DRAINING
    assert relay.held(0, 2) is Action.NOTHING
    assert relay.directions[0].wants_write
    assert relay.held(0, 0) is Action.SHUTDOWN


def test_an_end_is_signalled_once() -> None:
    relay = Relay()
    assert relay.ended(0) is Action.SHUTDOWN
    assert relay.ended(0) is Action.NOTHING
    relay.held(1, 1)
    assert relay.ended(1) is Action.NOTHING
    assert relay.ended(1) is Action.NOTHING
    assert relay.held(1, 0) is Action.CLOSE
    assert relay.held(1, 0) is Action.NOTHING


class Owner(RuleBasedStateMachine):
    """Owns the sockets, obeys the relay, and keeps its own accounts for comparison."""

    def __init__(self) -> None:
        super().__init__()
        self.relay = Relay()
        self.read = [0, 0]
        self.written = [0, 0]
        self.has_ended = [False, False]
        self.is_shut = [False, False]
        self.is_closed = False

    def obey(self, which: int, action: Action) -> None:
        if action is Action.NOTHING:
            return
        assert not self.is_closed
        assert self.has_ended[which], "an end was told that had not come"
        assert not self.is_shut[which], "an end was told twice"
        assert self.written[which] == self.read[which], "the end came before the last bytes"
        self.is_shut[which] = True
        if action is Action.CLOSE:
            self.is_closed = True

    @rule(which=st.sampled_from(WAYS), count=st.integers(1, 1000), taken=st.floats(0, 1))
    def bytes_come(self, which: int, count: int, taken: float) -> None:
        if not self.relay.directions[which].wants_read:
            return
        assert self.read[which] == self.written[which], "read while something is held"
        assert not self.has_ended[which], "read after the end"
        self.read[which] += count
        self.written[which] += int(count * taken)
        if self.read[which] != self.written[which]:
            self.obey(which, self.relay.held(which, self.read[which] - self.written[which]))

    @rule(which=st.sampled_from(WAYS), taken=st.floats(0, 1))
    def there_is_room(self, which: int, taken: float) -> None:
        if self.relay.directions[which].wants_write:
            held = self.read[which] - self.written[which]
            assert held > 0, "asked for room without need"
            self.written[which] += max(1, int(held * taken))
            self.obey(which, self.relay.held(which, self.read[which] - self.written[which]))

    @rule(which=st.sampled_from(WAYS))
    def the_source_ends(self, which: int) -> None:
        self.has_ended[which] = True
        self.obey(which, self.relay.ended(which))

    @invariant()
    def it_is_closed_when_both_ends_are_told_and_not_before(self) -> None:
        assert self.is_closed == all(self.is_shut)

    @invariant()
    def an_end_without_anything_held_is_told_at_once(self) -> None:
        for which in WAYS:
            if self.has_ended[which] and self.read[which] == self.written[which]:
                assert self.is_shut[which]

    @invariant()
    def nothing_that_is_held_is_forgotten(self) -> None:
        for which in WAYS:
            assert self.relay.directions[which].wants_write == (self.read[which] != self.written[which])


TestOwner = Owner.TestCase
TestOwner.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
