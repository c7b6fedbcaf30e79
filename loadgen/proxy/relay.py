"""Half-close logic of a forwarded connection, without sockets.

A connection has two directions.  A direction is OPEN until its source ends it, DRAINING while bytes are held that must
be written first, and DONE when its destination has been told.  A source is read only while no bytes of its direction
are held, which creates back-pressure.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Half(enum.Enum):
    """The state of one direction; see the module's text."""

    OPEN = "open"
    DRAINING = "draining"
    DONE = "done"


class Action(enum.Enum):
    """The next action of the owner of the sockets."""

    NOTHING = "nothing"
    SHUTDOWN = "shutdown"  # shut down the destination of this direction for writing
    CLOSE = "close"  # both directions are done: close both sockets


@dataclass(slots=True)
class Direction:
    """One direction of a connection.  `held_bytes`: read from its source, but not yet written."""

    half: Half = Half.OPEN
    held_bytes: int = 0

    @property
    def wants_read(self) -> bool:
        """Whether to wait for its source to become readable."""
        return self.half is Half.OPEN and not self.held_bytes

    @property
    def wants_write(self) -> bool:
        """Whether to wait for its destination to become writable."""
        return self.held_bytes > 0


class Relay:
    """Both directions of a connection.  After a reset of either side, the owner resets both and drops the relay."""

    __slots__ = ("directions",)

    def __init__(self) -> None:
        self.directions = (Direction(), Direction())

    def held(self, which: int, count: int) -> Action:
        """Note that `count` bytes of direction `which` are held (0: all are written); returns what to do next."""
        direction = self.directions[which]
        direction.held_bytes = count
        if not count and direction.half is Half.DRAINING:
            return self._done(which)
        return Action.NOTHING

    def ended(self, which: int) -> Action:
        """Note that the source of direction `which` has ended; returns what to do next."""
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
