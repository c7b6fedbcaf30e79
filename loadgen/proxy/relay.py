"""When a forwarded connection closes which half: the whole of the logic, without a socket.

A connection has two directions, each from one side to the other.  A direction is OPEN until its source says that it
has ended; what is still held of it must arrive first (DRAINING); then its destination is told (DONE).  A side is
read only while nothing of its direction is held: that is the back-pressure.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Half(enum.Enum):
    """One direction."""

    OPEN = "open"
    DRAINING = "draining"
    DONE = "done"


class Action(enum.Enum):
    """What the owner of the sockets must do now."""

    NOTHING = "nothing"
    SHUTDOWN = "shutdown"  # tell the destination of this direction that nothing more comes
    CLOSE = "close"  # SHUTDOWN, and then both directions are done: close both sockets


@dataclass(slots=True)
class Direction:
    """From one side to the other.  `held_bytes` were read from its source and not yet written."""

    half: Half = Half.OPEN
    held_bytes: int = 0

    @property
    def wants_read(self) -> bool:
        """Whether its source may be read."""
        return self.half is Half.OPEN and not self.held_bytes

    @property
    def wants_write(self) -> bool:
        """Whether its destination should say when it can take more."""
        return self.held_bytes > 0


class Relay:
    """Both directions of a connection.  A reset of either side is no matter of halves: the owner resets both."""

    __slots__ = ("directions",)

    def __init__(self) -> None:
        self.directions = (Direction(), Direction())

    def held(self, which: int, count: int) -> Action:
        """Of direction `which`, `count` bytes are held now (0: all are written)."""
        direction = self.directions[which]
        direction.held_bytes = count
        if not count and direction.half is Half.DRAINING:
            return self._done(which)
        return Action.NOTHING

    def ended(self, which: int) -> Action:
        """The source of direction `which` has said its last byte."""
        direction = self.directions[which]
        if direction.half is not Half.OPEN:
            return Action.NOTHING
        if direction.held_bytes:
            direction.half = Half.DRAINING
            return Action.NOTHING
        return self._done(which)

    def _done(self, which: int) -> Action:
        self.directions[which].half = Half.DONE
        return Action.CLOSE if self.directions[1 - which].half is Half.DONE else Action.SHUTDOWN
