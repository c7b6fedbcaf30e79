"""The events of a load machine, which coordinator.fleet.member handles."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.engine.api import Segment
from loadgen.measure.events import AgentEvent
from loadgen.model.machine import Machine, MachineState


@dataclass(frozen=True, slots=True)
class Greeted:
    """The machine answered hello with a description of itself."""

    machine: Machine


@dataclass(frozen=True, slots=True)
class Measured:
    """The machine's clock is known.  From now on a heartbeat is expected each second."""

    now_ns: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The machine refused to serve, or did not answer, before it could be used."""

    why: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The run begins without the machine."""


@dataclass(frozen=True, slots=True)
class Spoke:
    """A heartbeat of the machine arrived.  It is not read yet."""

    now_ns: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat was read.  `behind`: the machine's spool holds more than has been received."""

    state: MachineState
    behind: bool


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed.  Expected several times a second; a longer gap means that the coordinator stood still."""

    now_ns: int


@dataclass(frozen=True, slots=True)
class Left:
    """The connection to the machine ended."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The machine sent an impossible message, or refused a command that it must not refuse."""

    why: str


@dataclass(frozen=True, slots=True)
class Renewed:
    """The machine answered a renewal of its lease.  `known`: it still serves the run."""

    known: bool


@dataclass(frozen=True, slots=True)
class Leapt:
    """The offset of the machine's clock changed at once by at least `by_ns`; 0 or less: it only drifted."""

    by_ns: int


@dataclass(frozen=True, slots=True)
class Assigned:
    """The run commanded Prepare; `workers` are those of the machine's engines that have a part in the run."""

    workers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The machine answered that its engines are prepared."""


@dataclass(frozen=True, slots=True)
class PrepareFailed:
    """The machine refused the plan, or did not answer in time.  The run decides what that means."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """The run commanded Start for this segment."""

    segment: Segment
    now_ns: int


@dataclass(frozen=True, slots=True)
class Armed:
    """The machine confirmed the order to start."""


@dataclass(frozen=True, slots=True)
class Unarmed:
    """The machine did not confirm the order to start in time, or refused it."""

    why: str


@dataclass(frozen=True, slots=True)
class Reported:
    """The machine reported an event, which was checked and has times of the coordinator's clock."""

    event: AgentEvent


@dataclass(frozen=True, slots=True)
class WorkerGivenUp:
    """The run gave up one engine, on this machine or on another one."""

    worker: str


@dataclass(frozen=True, slots=True)
class Pulled:
    """A Pull has ended, whether it fetched everything or not."""


@dataclass(frozen=True, slots=True)
class DismissalEnded:
    """The machine was told to end all its engines.  `heard`: it answered."""

    heard: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """The traffic is over, and everything that the machine measured was received."""


@dataclass(frozen=True, slots=True)
class Closing:
    """The run is over, and the fleet closes."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Fetching the rest of the results has ended; `why` says what went wrong, and is empty on success."""

    why: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The machine was told that the run is over; `why` says why it could not be told, and is empty if it was."""

    why: str = ""


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
    | Leapt
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
    | Settled
    | Closing
    | Finished
    | Gone
)
