"""The instructions about a load machine that coordinator.fleet.member returns."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.engine.api import Segment
from loadgen.measure.events import AgentEvent


@dataclass(frozen=True, slots=True)
class MeasureClock:
    """Do: measure the machine's clock and begin to renew its lease.  Answered by Measured or Refused."""


@dataclass(frozen=True, slots=True)
class SendPlan:
    """Do: send the plan and the shards of the machine's workers.  Answered by Prepared or PrepareFailed."""


@dataclass(frozen=True, slots=True)
class SendStart:
    """Do: order a segment.  Answered by Armed or Unarmed."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class DismissEngines:
    """Do: tell the machine to end these engines.  No answer is awaited."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DismissAll:
    """Do: tell the machine to end all its engines.  Answered by DismissalEnded if it is given up."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Do: pass an event on to the run."""

    event: AgentEvent


@dataclass(frozen=True, slots=True)
class Pull:
    """Do: fetch the part of the machine's spool that has not been received.  Answered by Pulled."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Do: stop waiting for answers of the machine, and renew its lease no longer."""


@dataclass(frozen=True, slots=True)
class EndProcess:
    """Do: end the agent process on the machine, if this way of reaching machines can do that."""


@dataclass(frozen=True, slots=True)
class FetchRest:
    """Do: fetch the machine's results to the last byte.  Answered by Finished."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Do: tell the machine that the run is over.  Answered by Gone."""

    delete_spool: bool


@dataclass(frozen=True, slots=True)
class Rest:
    """Do: end every task of the coordinator that still works for the machine."""


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
