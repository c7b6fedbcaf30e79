"""The experiment that is one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from coordinator.experiment.api import Answer, Done, Next, Progress

if TYPE_CHECKING:  # a command makes a planner before it imports what plays
    from coordinator.record.header import Plan

P = TypeVar("P", bound="Plan", covariant=True)


@dataclass(frozen=True, slots=True)
class Once(Generic[P]):
    """Plays `shown` as a run of the kind `runs`; the answer is the run's result."""

    runs: str
    shown: P

    @property
    def kind(self) -> str:
        """The record is the one of the run."""
        return self.runs

    def plan(self, done: Done) -> Next[P] | Answer:
        """The run, and then its result."""
        return self.answer(done) if done else Next(plan=self.shown)

    def answer(self, done: Done) -> Answer:
        """The result of the run."""
        return Answer(done[-1].result)

    def progress(self, done: Done) -> Progress:
        """The live view of the run shows its time."""
        return Progress(runs=1, left_ns=0)
