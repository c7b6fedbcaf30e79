"""The life of one load machine during a run, as a pure state machine: events go in, instructions come out.

Rules: every change of a machine's state happens in this module.  Nothing here awaits, logs or reads a clock; times
are in the events (CLOCK_MONOTONIC of the coordinator, ns).  The shell around it (coordinator.fleet.dask.machine)
reports what happened and carries the instructions out, in their order.

    GREETING -> MEASURING -> READY -> PREPARING -> PREPARED -> ORDERED <-> ARMED    a run without trouble
                                 \\--> SPARE                                        it got no connections
    each of these -> DISMISSING -> DISMISSED                                       given up, and it knows that
                     DISMISSING <-> LOST                                           given up, and not reached yet
    each of these -> FINISHING -> LEAVING -> CLOSED                                the run is over

A machine that is given up stays given up: no event of it is passed on any more.  When it is heard again, it is only
told to end its engines.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

from coordinator.fleet.api import say_machine_lost
from coordinator.fleet.events import (
    Armed,
    Assigned,
    Beat,
    Closing,
    DismissalEnded,
    Event,
    Failed,
    Finished,
    Gone,
    Greeted,
    Leapt,
    Left,
    LeftOut,
    Measured,
    Ordered,
    Prepared,
    PrepareFailed,
    Pulled,
    Refused,
    Renewed,
    Reported,
    Settled,
    Spoke,
    Ticked,
    Unarmed,
    WorkerGivenUp,
)
from coordinator.fleet.instructions import (
    Cut,
    DismissAll,
    DismissEngines,
    EndProcess,
    FetchRest,
    Instruction,
    Leave,
    MeasureClock,
    Pull,
    Rest,
    SendPlan,
    SendStart,
    Tell,
)
from loadgen.measure.events import EngineLost
from loadgen.model.machine import Machine, MachineState
from loadgen.model.units import NS_PER_S
from loadgen.verdict.rules import RULES

SILENCE_NS = 2_200_000_000
"""A machine that was not heard for longer than this is given up.  Heartbeats come each second."""

OVERDUE_NS = 1_500_000_000
"""A machine that was not heard for longer than this is shown as silent."""

_STALL_NS = NS_PER_S  # between two ticks; the shell ticks several times a second

UNKNOWN_RUN = "it ended its engines because no renewal of its lease reached it in time"


class Life(enum.Enum):
    """The states; see the diagram above."""

    GREETING = "greeting"  # hello was sent
    MEASURING = "measuring"  # the machine answered hello; its clock is being measured
    READY = "ready"  # the machine can be used; it has no part in the run yet, or has refused its part
    PREPARING = "preparing"  # the plan was sent
    PREPARED = "prepared"  # the machine's engines have their parts of the plan
    SPARE = "spare"  # the machine has no part in the run, and its engines were told to end
    ORDERED = "ordered"  # a segment was ordered, and not confirmed yet
    ARMED = "armed"  # the machine confirmed the last order
    DISMISSING = "dismissing"  # given up; it is being told to end its engines
    LOST = "lost"  # given up; it could not be told to end its engines
    DISMISSED = "dismissed"  # given up; it was told to end its engines
    FINISHING = "finishing"  # the run is over, and the rest of its results is being fetched
    LEAVING = "leaving"  # the machine is being told that the run is over
    CLOSED = "closed"


_OPENING = frozenset((Life.GREETING, Life.MEASURING))
_IDLE = frozenset((Life.READY, Life.PREPARED, Life.SPARE, Life.ORDERED, Life.ARMED))
_GIVEN_UP = frozenset((Life.DISMISSING, Life.LOST, Life.DISMISSED))
_SERVING = _OPENING | _IDLE | {Life.PREPARING, Life.FINISHING}


@dataclass(slots=True)
class Member:
    """The machine called `name`.

    `described` is its answer to hello.  `present` are its workers that take part and are not lost.  `why` says why it
    was given up or refused, and is empty otherwise.  `settled`: everything that it measured was received.  `unfetched`
    says why the end of its results was not fetched, `untold` why it does not know that the run is over.  `ordered_ns`
    is when the first segment was ordered, `origin_ns` the origin of the last one.
    """

    name: str
    silence_ns: int = SILENCE_NS
    overdue_ns: int = OVERDUE_NS
    state: Life = Life.GREETING
    described: Machine | None = None
    present: set[str] = field(default_factory=set)
    why: str = ""
    settled: bool = False
    unfetched: str = ""
    untold: str = ""
    reported: MachineState = MachineState.READY
    ordered_ns: int | None = None
    origin_ns: int = 0
    pulling: bool = False
    _heard_ns: int | None = None  # None while it is not expected to be heard
    _ticked_ns: int | None = None

    @property
    def lost(self) -> bool:
        """Whether the machine was given up, or refused at the beginning."""
        return bool(self.why)

    @property
    def workers(self) -> tuple[str, ...]:
        """All its engines, whether they take part or not; empty before it answered hello."""
        return self.described.workers if self.described is not None else ()

    def silent_ns(self, now_ns: int) -> int:
        """Return how long the machine has been silent, in ns; 0 if no message is expected from it."""
        return 0 if self._heard_ns is None else max(0, now_ns - self._heard_ns)

    def is_overdue(self, now_ns: int) -> bool:
        """Whether a heartbeat should have come by now."""
        return self.silent_ns(now_ns) > self.overdue_ns

    def shown(self, now_ns: int) -> MachineState:
        """Return its state for the live view."""
        if self.lost:
            return MachineState.LOST
        return MachineState.SILENT if self.is_overdue(now_ns) else self.reported

    def unfinished(self, missing_bytes: int) -> str:
        """Return what went wrong at its end, for a note; `missing_bytes` of its results are known to be missing."""
        if self.ordered_ns is None or not (why := self.unfetched or self.untold):
            return ""
        if missing_bytes:
            return f"{missing_bytes} bytes of its results are missing ({why}); run loadgen collect to fetch them"
        if self.unfetched and not self.settled:
            return f"some of its results may be missing ({why}); run loadgen collect to fetch them"
        return f"all of its results have arrived, but it could not be told that the run is over ({why})"

    def handle(self, event: Event) -> list[Instruction]:
        """Return the instructions that follow from `event`, in this order."""
        match event:
            case Ticked(now_ns):
                return self._tick(now_ns)
            case Spoke(now_ns):
                return self._spoke(now_ns)
        if self.state in _SERVING:
            return self._serve(event)
        if self.state in _GIVEN_UP:
            return self._after_loss(event)
        if self.state is Life.LEAVING and isinstance(event, Gone):
            self.untold = event.why
            return self._close()
        return []

    def validate(self) -> None:
        """Raise AssertionError if the fields contradict each other; tests call this after each event."""
        given_up, over = self.state in _GIVEN_UP, self.state in (Life.LEAVING, Life.CLOSED)
        assert not given_up or self.why, "it was given up without a reason"
        assert given_up or over or not self.why, f"it serves although it was given up: {self.why}"
        assert not self.lost or not self.present, "a machine that was given up has engines that take part"
        assert self.present <= set(self.workers), "an engine of another machine takes part"
        assert self.described is not None or self.state not in _IDLE | {Life.PREPARING, Life.MEASURING}
        assert not self.pulling or self.state in _SERVING, "results are fetched from a machine that does not serve"
        assert self._heard_ns is None or self.state in _SERVING, "it is expected to be heard although it does not serve"
        assert self.ordered_ns is not None or self.state not in (Life.ORDERED, Life.ARMED), "nothing was ordered"

    # While it serves

    def _serve(self, event: Event) -> list[Instruction]:
        match event:
            case Beat(reported, behind):
                self.reported = reported
                if not behind or self.pulling or self.state is Life.GREETING:
                    return []
                self.pulling = True
                return [Pull()]
            case Pulled():
                self.pulling = False
            case Reported(told) if self.described is not None:
                if isinstance(told, EngineLost):
                    self.present.discard(told.worker)
                return [Tell(told)]
            case WorkerGivenUp(worker):
                self.present.discard(worker)
                return [DismissEngines((worker,))] if worker in self.workers else []
            case Left():
                return self._lose("its connection ended")
            case Failed(why):
                return self._lose(why)
            case Renewed(False):
                return self._lose(UNKNOWN_RUN)
            case Leapt(by_ns) if by_ns > RULES.max_start_skew_ns and self.ordered_ns is not None:
                apart = f"its clock and the coordinator's moved apart by {by_ns / NS_PER_S:.2f} s at once"
                return self._lose(f"{apart}, as if one of them had been suspended")
            case LeftOut():
                return self._close()
            case Settled():
                self.settled = True
            case Closing() if self.state is not Life.FINISHING:
                self.state = Life.FINISHING
                return [FetchRest()]
            case Finished(why) if self.state is Life.FINISHING:
                return self._leave(why)
            case Greeted() | Measured() | Refused():
                return self._open(event)
            case Assigned() | Prepared() | PrepareFailed() | Ordered() | Armed() | Unarmed():
                return self._command(event)
        return []

    def _open(self, event: Greeted | Measured | Refused) -> list[Instruction]:
        match event:
            case Greeted(machine) if self.state is Life.GREETING:
                self.described = machine
                self.present = set(machine.workers)
                self.state = Life.MEASURING
                return [MeasureClock()]
            case Measured(now_ns) if self.state is Life.MEASURING:
                self._heard_ns = now_ns
                self.state = Life.READY
            case Refused(why) if self.state in _OPENING:
                self.why = why
                self.present.clear()
                return self._close()
        return []

    def _command(self, event: Assigned | Prepared | PrepareFailed | Ordered | Armed | Unarmed) -> list[Instruction]:
        match event:
            case Assigned(workers) if self.state in _IDLE:
                self.present &= workers
                self.state = Life.PREPARING if workers else Life.SPARE
                return [SendPlan() if workers else DismissAll()]
            case Prepared() if self.state is Life.PREPARING:
                self.state = Life.PREPARED
            case PrepareFailed() if self.state is Life.PREPARING:
                self.state = Life.READY
            case Ordered(segment, now_ns) if self.state in _IDLE and self.present:
                if self.ordered_ns is None:
                    self.ordered_ns = now_ns
                self.origin_ns = segment.origin_ns
                self.settled = False
                self.state = Life.ORDERED
                return [SendStart(segment)]
            case Armed() if self.state is Life.ORDERED:
                self.reported = MachineState.ARMED
                self.state = Life.ARMED
            case Unarmed(why) if self.state is Life.ORDERED:
                return self._lose(why)
        return []

    def _spoke(self, now_ns: int) -> list[Instruction]:
        if self._heard_ns is not None:
            self._heard_ns = now_ns
        elif self.state is Life.LOST:
            self.state = Life.DISMISSING
            return [DismissAll()]
        return []

    def _tick(self, now_ns: int) -> list[Instruction]:
        before_ns, self._ticked_ns = self._ticked_ns, now_ns
        if self._heard_ns is None:
            return []
        if before_ns is not None and now_ns - before_ns > _STALL_NS:  # no machine could be heard during that time
            self._heard_ns = min(now_ns, self._heard_ns + now_ns - before_ns)
        if now_ns - self._heard_ns <= self.silence_ns:
            return []
        return self._lose(f"silent for {self.silent_ns(now_ns) / NS_PER_S:.1f} s")

    # When it is given up, and at the end

    def _lose(self, why: str) -> list[Instruction]:
        lost = [worker for worker in self.workers if worker in self.present]
        self.why = why
        self.state = Life.DISMISSING
        self.present.clear()
        self._forget()
        return [Cut(), *_tell_lost(self.name, lost, why), DismissAll(), EndProcess()]

    def _after_loss(self, event: Event) -> list[Instruction]:
        match event:
            case DismissalEnded(heard) if self.state is Life.DISMISSING:
                self.state = Life.DISMISSED if heard else Life.LOST
            case Closing() | Finished():
                why = event.why if isinstance(event, Finished) else ""
                self.unfetched = why or f"it was lost: {self.why}"
                if self.state is Life.DISMISSED:
                    return self._leave(self.unfetched)
                return self._close()
            case LeftOut():
                return self._close()
        return []

    def _leave(self, unfetched: str) -> list[Instruction]:
        self.unfetched = unfetched
        self.state = Life.LEAVING
        self._forget()
        return [Rest(), Leave(delete_spool=not unfetched)]

    def _close(self) -> list[Instruction]:
        self.state = Life.CLOSED
        self._forget()
        return [Rest()]

    def _forget(self) -> None:
        """From now on no message is expected from the machine, and nothing is fetched from it."""
        self.pulling = False
        self._heard_ns = None


def _tell_lost(name: str, workers: Iterable[str], why: str) -> list[Tell]:
    return [Tell(EngineLost(worker, say_machine_lost(name, why))) for worker in workers]
