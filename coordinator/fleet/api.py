"""The seam between a run and its load machines.  Every fleet passes one suite (tests/contract)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from loadgen.engine.api import Assignment, Segment
from loadgen.measure.events import AgentEvent
from loadgen.model.machine import Clock, Machine, MachineState


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineStatus:
    """A machine at one moment, for the live view.

    `engines` are those that are not lost.  `cpu_share` is of all its cores, None while that is not known;
    `seen_ago_s` is how long ago it last reported.  `why` says what is wrong; empty when nothing is.
    """

    name: str
    state: MachineState
    engines: int
    clock: Clock
    cpu_share: float | None
    seen_ago_s: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Give workers their assignments; done when all of these are ready.  Workers without one are ended."""

    assignments: Sequence[Assignment]


@dataclass(frozen=True, slots=True)
class Start:
    """Play a segment, whose times are of the coordinator's clock; done when all are armed.

    A worker that is not armed in good time is ended, and reported as lost.
    """

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
    """Workers, by name, on one or more machines.  While it is open it keeps their lease alive.

    All times in its events are of the coordinator's clock.
    """

    @property
    def machines(self) -> tuple[Machine, ...]:
        """Those that are usable, once it is open.  Their workers are named MACHINE/NUMBER."""

    @property
    def missing(self) -> Mapping[str, str]:
        """Machines that were asked for and can't be used: why not, by name."""

    @property
    def problems(self) -> Sequence[str]:
        """What could not be fetched or ended, in sentences; complete once it is closed."""

    @property
    def lead_ns(self) -> int:
        """How long before a segment its Start must be given, so that every worker has it in time."""

    def status(self) -> tuple[MachineStatus, ...]:
        """How the machines are now, in the order of `machines`."""

    def clocks(self) -> Mapping[str, Clock]:
        """The newest measurement of each machine's clock, by the machine's name."""

    async def open(self) -> None:
        """Reach every machine.  Raises FleetError when none can be used, or as the fleet's policy wants it."""

    async def command(self, command: Command) -> None:
        """Carry a command to every worker.

        Raises FleetError with the reason when one refuses, TargetError when it can't find a target.
        """

    async def event(self) -> AgentEvent:
        """The next thing that happened, in order for each worker."""

    async def settle(self) -> None:
        """Wait, not for long, until all that was reported so far is among the events."""

    async def close(self) -> None:
        """End all that `open` began.  Idempotent."""


def say_machine_lost(name: str, why: str) -> str:
    """Why the engines of a machine are lost when that is lost as a whole: what an EngineLost says then."""
    return f"machine {name} is lost: {why}"


def workers_of(machines: Sequence[Machine]) -> tuple[str, ...]:
    """All workers, in the order in which assignments are given out."""
    return tuple(worker for machine in machines for worker in machine.workers)
