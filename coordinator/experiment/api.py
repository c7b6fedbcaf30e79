"""The interface of experiments: a pure planner returns the next run.  The module `executor` plays the runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:  # a command makes a planner before it imports the modules that play runs
    from coordinator.fleet.choice import FleetChoice
    from coordinator.output.judged import Judged
    from coordinator.record.header import Plan, Result
    from loadgen.model.errors import LoadgenError

P = TypeVar("P", bound="Plan", covariant=True)

Done: TypeAlias = "Sequence[Judged[Any, Any]]"
"""The runs of an experiment that are over, in the order in which they were played."""


@dataclass(frozen=True, slots=True)
class NullReplies:
    """The replies of a null responder (deploy.null_responder), and the number of its processes."""

    body_bytes: int
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Next(Generic[P]):
    """A run to play.

    `record` is the directory of the run's record, relative to the directory of the experiment; it is "" when the
    experiment consists of this run and needs no record of its own.  `label` names the run for the user, like `4 VMs`.
    `kind` is the kind of the run when it is not that of the experiment's other runs, and `fleet` are its load machines
    when they are not those of the others.  With `replies`, a null responder runs during the run, and all connections of
    the plan, an HttpPlan, go to it.
    `ends_early`: the run is stopped as soon as it is certain that it will not conform.  `not_started` returns the
    result of a run that could not start, if that is an answer, too; None if the experiment ends with the error.
    Of an experiment that consists of experiments, `experiment` is the next one, and `plan` is what that one shows.
    """

    plan: P
    record: str = ""
    label: str = ""
    kind: str = ""
    fleet: FleetChoice | None = None
    replies: NullReplies | None = None
    ends_early: bool = False
    not_started: Callable[[LoadgenError], Result | None] | None = field(default=None, compare=False)
    experiment: Experiment[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlayed:
    """The result of a step that is an experiment itself.

    `result` is None when nothing was measured; `failed` says why it could not begin, or not go on to its end.
    """

    result: Result | None
    took_ns: int
    failed: LoadgenError | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of the experiment: a verdict with its reasons, in the form that the record of the experiment holds."""

    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of an experiment.

    `runs` is the number of all runs; None while that number depends on results.  `left_ns` is the planned time that is
    left.
    """

    runs: int | None
    left_ns: int


class Experiment(Protocol[P]):
    """A planner.  Its methods are pure: equal results give equal plans.  So an experiment can be resumed."""

    @property
    def runs(self) -> str:
        """The kind of the experiment's runs (coordinator.kinds.catalog); "" when these are experiments."""

    @property
    def kind(self) -> str:
        """The kind of the experiment's record; the kind of its only run when it has no record of its own."""

    @property
    def shown(self) -> P:
        """The plan in the experiment's record; the experiment can be resumed from it."""

    def plan(self, done: Done) -> Next[P] | Answer:
        """Return the next run, or the answer when no more runs are needed or the user interrupted the last run."""

    def answer(self, done: Done) -> Answer:
        """Return what can be said so far.  An experiment with a record of its own also answers for no run at all."""

    def progress(self, done: Done) -> Progress:
        """Return the progress of the experiment."""
