"""What `loadgen relative` measures: the trials of a command in its environments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loadgen.model.plain import from_plain, to_plain
from loadgen.model.relative import Better

UNKNOWN = -1
"""A number that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number that a metric found in the output of a command; names are unique in an output."""

    name: str
    value: float
    unit: str = ""
    better: Better = Better.HIGHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The command in one VM of a trial: wall time, CPU time (UNKNOWN where it is not known), numbers of its output."""

    vm: str
    wall_ns: int
    cpu_ns: int = UNKNOWN
    numbers: tuple[Number, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial: `copies` of the command at once in fresh VMs of an environment.

    `round` counts from 1; `position` is the place in the order of the round, from 1.  `others_share` is the share
    (0..1) of this machine's CPU time that other processes used meanwhile, UNKNOWN if that is not known; `others_most`
    names the one that used the most.
    """

    environment: str
    round: int
    position: int
    copies: tuple[Copy, ...]
    others_share: float = UNKNOWN
    others_most: str = ""

    def to_wire(self) -> Mapping[str, Any]:
        """The trial as plain data for msgpack."""
        wire: Mapping[str, Any] = to_plain(self)
        return wire

    @classmethod
    def from_wire(cls, plain: object) -> Trial:
        """The inverse of :meth:`to_wire`.  Raises PlanError."""
        return from_plain(cls, plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round: a trial in each environment, fewer when it was stopped.  `record` is the directory of its record."""

    number: int
    record: str = ""
    took_ns: int = 0
    complete: bool = True
    trials: tuple[Trial, ...] = field(default=())
