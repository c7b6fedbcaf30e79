"""What can happen to a load machine: the events that coordinator.fleet.member handles."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.engine.api import Segment
from loadgen.measure.events import AgentEvent
from loadgen.model.machine import Machine, MachineState


@dataclass(frozen=True, slots=True)
class Greeted:
    """It answered hello with a description of itself."""

    machine: Machine


@dataclass(frozen=True, slots=True)
class Measured:
    """Its clock is known.  From now on it is expected to be heard each second."""

    now_ns: int


@dataclass(frozen=True, slots=True)
class Refused:
    """It refused to serve, or did not answer, before it could be used."""

    why: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The run begins without it."""


@dataclass(frozen=True, slots=True)
class Spoke:
    """A heartbeat of it arrived, which is not read yet."""

    now_ns: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat was read.  `behind`: its spool holds more than has been received."""

    state: MachineState
    behind: bool


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed.  Expected several times a second; a longer gap means that the coordinator stood still."""

    now_ns: int


@dataclass(frozen=True, slots=True)
class Left:
    """Its connection ended."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It sent something that cannot be right, or refused what it must not refuse."""

    why: str


@dataclass(frozen=True, slots=True)
class Renewed:
    """It answered a renewal of its lease.  `known`: it still serves the run."""

    known: bool


@dataclass(frozen=True, slots=True)
class Assigned:
    """Prepare was commanded; `workers` are those of its engines that have a part in the run."""

    workers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Prepared:
    """It answered that its engines are prepared."""


@dataclass(frozen=True, slots=True)
class PrepareFailed:
    """It refused the plan, or did not answer in time.  The run decides what that means."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """Start was commanded."""

    segment: Segment
    now_ns: int


@dataclass(frozen=True, slots=True)
class Armed:
    """It confirmed the order to start."""


@dataclass(frozen=True, slots=True)
class Unarmed:
    """It did not confirm the order to start in time, or refused it."""

    why: str


@dataclass(frozen=True, slots=True)
class Reported:
    """It reported an event, which was checked and has the coordinator's times."""

    event: AgentEvent


@dataclass(frozen=True, slots=True)
class WorkerGivenUp:
    """The run gave up one engine."""

    worker: str


@dataclass(frozen=True, slots=True)
class Pulled:
    """A Pull has ended, whether it fetched everything or not."""


@dataclass(frozen=True, slots=True)
class DismissalEnded:
    """It was told to end its engines.  `heard`: it answered."""

    heard: bool


@dataclass(frozen=True, slots=True)
class Closing:
    """The run is over."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The rest of its results was fetched; `why` says why not, and is empty on success."""

    why: str


@dataclass(frozen=True, slots=True)
class Gone:
    """It was told that the run is over, or could not be told."""


Event = (
    Greeted
    | Measured
    | Refused
    | LeftOut
    | Spoke
    | Beat
    | Ticked
    | Left
    | Failed
    | Renewed
    | Assigned
    | Prepared
    | PrepareFailed
    | Ordered
    | Armed
    | Unarmed
    | Reported
    | WorkerGivenUp
    | Pulled
    | DismissalEnded
    | Closing
    | Finished
    | Gone
)
