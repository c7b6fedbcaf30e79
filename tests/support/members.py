"""A load machine's state machine in a test: its invariants are checked after each event."""

from __future__ import annotations

from coordinator.fleet.events import (
    Armed,
    Assigned,
    Closing,
    DismissalEnded,
    Event,
    Finished,
    Greeted,
    Left,
    Measured,
    Ordered,
    Prepared,
)
from coordinator.fleet.instructions import Instruction
from coordinator.fleet.member import Life, Member
from loadgen.engine.api import Segment
from loadgen.model.machine import Machine
from loadgen.model.units import NS_PER_S

NAME = "m"
WORKERS = ("m/0", "m/1")
MACHINE = Machine(name=NAME, workers=WORKERS, cores=2, open_files=1024, spool="/spool")


def segment(index: int = 0) -> Segment:
    start_ns = (10 + index) * NS_PER_S
    return Segment(
        index=index,
        origin_ns=start_ns,
        start_ns=start_ns,
        window_start_ns=start_ns,
        window_end_ns=start_ns + NS_PER_S,
        end_ns=start_ns + NS_PER_S,
    )


READY = (Greeted(MACHINE), Measured(0))
PREPARING = (*READY, Assigned(frozenset(WORKERS)))
PREPARED = (*PREPARING, Prepared())
ORDERED = (*PREPARED, Ordered(segment(), NS_PER_S))
ARMED = (*ORDERED, Armed())
DISMISSING = (*ARMED, Left())

PATHS: dict[Life, tuple[Event, ...]] = {
    Life.GREETING: (),
    Life.MEASURING: READY[:1],
    Life.READY: READY,
    Life.PREPARING: PREPARING,
    Life.PREPARED: PREPARED,
    Life.SPARE: (*READY, Assigned(frozenset())),
    Life.ORDERED: ORDERED,
    Life.ARMED: ARMED,
    Life.DISMISSING: DISMISSING,
    Life.LOST: (*DISMISSING, DismissalEnded(False)),
    Life.DISMISSED: (*DISMISSING, DismissalEnded(True)),
    Life.FINISHING: (*ARMED, Closing()),
    Life.LEAVING: (*ARMED, Closing(), Finished("")),
    Life.CLOSED: (*DISMISSING, Closing()),
}
"""Events that lead to each state."""

SERVING = tuple(
    life for life in PATHS if life not in (Life.DISMISSING, Life.LOST, Life.DISMISSED, *(Life.LEAVING, Life.CLOSED))
)
"""The states of a machine that is not given up and does not know that the run is over."""


class Checked:
    """A member in the state `life` whose invariants are checked after each event."""

    def __init__(self, life: Life = Life.GREETING) -> None:
        self.member = Member(NAME)
        self.feed(*PATHS[life])
        assert self.member.state is life

    def feed(self, *events: Event) -> list[Instruction]:
        """Feed these events to the member; returns all instructions."""
        done: list[Instruction] = []
        for event in events:
            done += self.member.handle(event)
            self.member.validate()
        return done
