"""The seam of experiments: a pure planner that says which run comes next.  `executor` plays what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:  # a command makes a planner before it imports what plays
    from coordinator.output.judged import Judged
    from coordinator.record.header import Plan, Result

P = TypeVar("P", bound="Plan", covariant=True)

Done: TypeAlias = "Sequence[Judged[Any, Any]]"
"""The runs of an experiment that are over, in the order in which they were played."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Next(Generic[P]):
    """A run to play.

    `record` is the directory of the run's record, relative to the experiment's; "" when the experiment is this run
    alone and needs no record of its own.  `label` names the run for the user: `4 VMs`.
    """

    plan: P
    record: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the experiment found: a verdict with its reasons, as the record's kind of the experiment has it."""

    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an experiment is.

    `runs` is the number of all its runs, None while that depends on results; `left_ns` the planned time that is left.
    """

    runs: int | None
    left_ns: int


class Experiment(Protocol[P]):
    """A planner.  Its methods are pure: equal results give equal plans, so an experiment can be resumed."""

    @property
    def runs(self) -> str:
        """The kind of its runs (coordinator.kinds.catalog)."""

    @property
    def kind(self) -> str:
        """The kind of its own record; that of its only run when it needs no record of its own."""

    @property
    def shown(self) -> P:
        """The plan that the experiment's record shows, from which the experiment can be resumed."""

    def plan(self, done: Done) -> Next[P] | Answer:
        """The next run, or the answer when no more runs are needed (or the user interrupted the last one)."""

    def answer(self, done: Done) -> Answer:
        """What can be said after at least one run, if no more runs follow."""

    def progress(self, done: Done) -> Progress:
        """How far the experiment is."""
