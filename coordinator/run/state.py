"""The progress of a run as a pure state machine: takes events and returns effects.

Rules: every change of state is in this class; nothing here awaits, logs or reads a clock.

Each iteration goes RESETTING -> PLAYING -> AUDITING.  A first interrupt stops the traffic and waits for the last
reports of the engines; a second interrupt does not wait.  A run whose verdict is certain is stopped in the same way.
After the loss of a worker the other workers continue, unless
the policy is to abort.  The loss of the last worker ends the run.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from loadgen.model.plan import OnLoss


@dataclass(frozen=True, slots=True)
class Ready:
    """Event: servers answer and engines are prepared."""


@dataclass(frozen=True, slots=True)
class ResetDone:
    """Event: every server has emptied its log and recreated its advertisements, or has failed to."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Event: a worker has finished the current segment."""

    worker: str
    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Event: a worker is lost, for the reason `why`."""

    worker: str
    why: str


@dataclass(frozen=True, slots=True)
class Audited:
    """Event: the servers' logs have been compared with what was sent."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Event: the user wants to stop."""


@dataclass(frozen=True, slots=True)
class EndEarly:
    """Event: the verdict is certain before the planned end, because of `why`."""

    why: str


Event = Ready | ResetDone | Ended | Lost | Audited | Interrupted | EndEarly


@dataclass(frozen=True, slots=True)
class ResetServers:
    """Effect: send Reset to every server."""

    iteration: int


@dataclass(frozen=True, slots=True)
class Play:
    """Effect: start the segment on every worker."""

    iteration: int


@dataclass(frozen=True, slots=True)
class Audit:
    """Effect: fetch every server's log."""

    iteration: int


@dataclass(frozen=True, slots=True)
class StopTraffic:
    """Effect: stop every worker now."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Effect: judge what was measured."""


Effect = ResetServers | Play | Audit | StopTraffic | Finish


class State(enum.Enum):
    """The state of a run; see the module for the transitions."""

    PREPARING = "preparing"
    RESETTING = "resetting"
    PLAYING = "playing"
    STOPPING = "stopping"
    AUDITING = "auditing"
    FINISHED = "finished"


@dataclass(slots=True)
class RunState:
    """The state machine of a run; see the module.

    `lost` says why each lost worker is lost; `complete` holds the iterations that every remaining worker finished.
    """

    workers: frozenset[str]
    iterations: int
    on_loss: OnLoss = OnLoss.DEGRADE
    state: State = State.PREPARING
    iteration: int = 0
    interrupted: bool = False
    lost: dict[str, str] = field(default_factory=dict)
    complete: set[int] = field(default_factory=set)
    playing: set[str] = field(default_factory=set)  # workers that have not finished the segment yet
    stalled: str = ""  # why a worker stopped by itself (its lease ran out); "" when none did
    early: str = ""  # why the traffic was stopped before its planned end; "" when it was not, or for another reason

    @property
    def present(self) -> frozenset[str]:
        """The workers that are not lost."""
        return self.workers - self.lost.keys()

    def handle(self, event: Event) -> list[Effect]:
        """Return the effects that `event` causes, in order, and change the state."""
        if self.state is State.FINISHED:
            if isinstance(event, Lost):
                self.lost.setdefault(event.worker, event.why)
            return []
        match event:
            case Interrupted():
                return self._interrupt()
            case EndEarly(why) if self.state is State.PLAYING:
                self.early = why
                self.state = State.STOPPING
                return [StopTraffic()]
            case Lost(worker, why) if worker in self.workers:
                self.lost.setdefault(worker, why)
                return self._after(worker) if self.on_loss is OnLoss.DEGRADE else self._abort(worker)
            case Ended(worker, why) if worker in self.playing:
                if why not in ("complete", "stopped"):
                    self.stalled = f"{worker}: {why}"
                return self._after(worker)
            case Ready() if self.state is State.PREPARING:
                return self._reset(0)
            case ResetDone() if self.state is State.RESETTING:
                self.state = State.PLAYING
                self.playing = set(self.present)
                return [Play(self.iteration)]
            case Audited() if self.state is State.AUDITING:
                if self.iteration + 1 < self.iterations and not self.stalled:
                    return self._reset(self.iteration + 1)
                return self._finish()
        return []

    def _reset(self, iteration: int) -> list[Effect]:
        self.iteration = iteration
        self.state = State.RESETTING
        return [ResetServers(iteration)]

    def _interrupt(self) -> list[Effect]:
        again, self.interrupted = self.interrupted, True
        if self.state is State.PLAYING and not again:
            self.state = State.STOPPING
            return [StopTraffic()]
        return self._finish()

    def _abort(self, worker: str) -> list[Effect]:
        """A worker is lost, and the policy is to abort."""
        self.playing.discard(worker)
        if self.state is State.PLAYING and self.playing:
            self.state = State.STOPPING
            return [StopTraffic()]
        return [] if self.state is State.STOPPING and self.playing else self._finish()

    def _after(self, worker: str) -> list[Effect]:
        """A worker has finished the segment or is lost."""
        self.playing.discard(worker)
        if not self.present:
            return self._finish()
        if self.playing or self.state not in (State.PLAYING, State.STOPPING):
            return []
        if self.state is State.STOPPING:
            return self._finish()
        if not self.stalled:
            self.complete.add(self.iteration)
        self.state = State.AUDITING
        return [Audit(self.iteration)]

    def _finish(self) -> list[Effect]:
        self.state = State.FINISHED
        return [Finish()]
