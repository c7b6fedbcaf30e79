"""The interface between a run and its load machines.  Each implementation passes the same tests (tests/contract)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from loadgen.engine.api import Assignment, Segment
from loadgen.measure.events import AgentEvent
from loadgen.model.machine import Clock, Machine, MachineState


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineStatus:
    """The state of a machine at one moment, for the live view.

    `engines` counts its engines that take part and are not lost.  `cpu_share` is the used share of all its cores, or
    None while unknown.  `seen_ago_s` is the time since its last report.  `why` says what is wrong; empty if nothing is.
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
    """Give workers their assignments; done when all of them are prepared.  Workers without an assignment are ended."""

    assignments: Sequence[Assignment]


@dataclass(frozen=True, slots=True)
class Start:
    """Play a segment, whose times are of the coordinator's clock; done when all workers are armed.

    A worker that is not armed in time is ended, and reported as lost.
    """

    segment: Segment


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the traffic of all workers now."""


@dataclass(frozen=True, slots=True)
class Dismiss:
    """End a worker that was given up, so that it does not play if it recovers."""

    worker: str


Command = Prepare | Start | Stop | Dismiss


class Fleet(Protocol):
    """Workers on one or more machines.  While the fleet is open, it renews their lease.

    All times in its events are of the coordinator's clock.
    """

    @property
    def machines(self) -> tuple[Machine, ...]:
        """The usable machines, once the fleet is open.  Their workers are named MACHINE/NUMBER."""

    @property
    def missing(self) -> Mapping[str, str]:
        """The requested machines that cannot be used: by name, the reason."""

    @property
    def problems(self) -> Sequence[str]:
        """Sentences about what could not be fetched or ended; complete once the fleet is closed."""

    @property
    def lead_ns(self) -> int:
        """The time before a segment at which Start must be commanded, so that every worker gets it in time; in ns."""

    def status(self) -> tuple[MachineStatus, ...]:
        """Return the present state of each machine, in the order of `machines`."""

    def clocks(self) -> Mapping[str, Clock]:
        """Return the latest measurement of each machine's clock, by the machine's name."""

    async def open(self) -> None:
        """Reach every machine.  Raises FleetError if none can be used, or if one cannot and the policy is to abort."""

    async def command(self, command: Command) -> None:
        """Send a command to every worker.

        Raises FleetError with the reason if a worker refuses, TargetError if it cannot resolve a target.
        """

    async def event(self) -> AgentEvent:
        """Return the next event.  The events of each worker come in their order."""

    async def settle(self) -> None:
        """Wait until everything that was measured so far is among the events.

        A machine that does not deliver it is lost, which is the last of its events.
        """

    async def close(self) -> None:
        """End everything that `open` began.  Idempotent."""


def say_machine_lost(name: str, why: str) -> str:
    """Return the reason that an EngineLost gives if the whole machine is lost."""
    return f"machine {name} is lost: {why}"


def workers_of(machines: Sequence[Machine]) -> tuple[str, ...]:
    """Return all workers, in the order in which assignments are given out."""
    return tuple(worker for machine in machines for worker in machine.workers)
