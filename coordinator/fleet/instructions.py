"""What must be done about a load machine: the instructions that coordinator.fleet.member returns."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.engine.api import Segment
from loadgen.measure.events import AgentEvent


@dataclass(frozen=True, slots=True)
class MeasureClock:
    """Do: measure its clock and begin to renew its lease.  Answered by Measured or Refused."""


@dataclass(frozen=True, slots=True)
class SendPlan:
    """Do: send the plan and the parts of its workers.  Answered by Prepared or PrepareFailed."""


@dataclass(frozen=True, slots=True)
class SendStart:
    """Do: order a segment.  Answered by Armed or Unarmed."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class DismissEngines:
    """Do: tell it to end these engines.  Nobody waits for an answer."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DismissAll:
    """Do: tell it to end all its engines.  Answered by DismissalEnded if it is given up."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Do: pass an event on to the run."""

    event: AgentEvent


@dataclass(frozen=True, slots=True)
class Pull:
    """Do: fetch what its spool holds beyond what has been received.  Answered by Pulled."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Do: stop waiting for its answers, and renew its lease no longer."""


@dataclass(frozen=True, slots=True)
class EndProcess:
    """Do: end its agent process, if this way of reaching machines can do that."""


@dataclass(frozen=True, slots=True)
class FetchRest:
    """Do: fetch its results to the last byte.  Answered by Finished."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Do: tell it that the run is over.  Answered by Gone."""

    delete_spool: bool


@dataclass(frozen=True, slots=True)
class Rest:
    """Do: end everything that still goes on for it here."""


Instruction = (
    MeasureClock
    | SendPlan
    | SendStart
    | DismissEngines
    | DismissAll
    | Tell
    | Pull
    | Cut
    | EndProcess
    | FetchRest
    | Leave
    | Rest
)
