"""The seam between a run and its load machines.  Every fleet passes one suite (tests/contract)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from loadgen.agent import AgentEvent
from loadgen.engine.api import Assignment, Segment


@dataclass(frozen=True, slots=True)
class Prepare:
    """Give every worker its assignment; done when all are ready."""

    assignments: Sequence[Assignment]


@dataclass(frozen=True, slots=True)
class Start:
    """Play a segment."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop all traffic now."""


@dataclass(frozen=True, slots=True)
class Dismiss:
    """End a worker that was given up: should it come to itself again, it must not play."""

    worker: str


Command = Prepare | Start | Stop | Dismiss


class Fleet(Protocol):
    """Workers, by name, on one or more machines.  While it is open it keeps their lease alive."""

    @property
    def workers(self) -> tuple[str, ...]:
        """Their names, in the order in which assignments are given out."""

    async def open(self) -> None:
        """Reach every worker.  Raises FleetError naming the one that isn't there."""

    async def command(self, command: Command) -> None:
        """Carry a command to every worker.

        Raises FleetError with the reason when one refuses, TargetError when it can't find a target.
        """

    async def event(self) -> AgentEvent:
        """The next thing that happened, in order for each worker."""

    async def close(self) -> None:
        """End all that `open` began.  Idempotent."""
