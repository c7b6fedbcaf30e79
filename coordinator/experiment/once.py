"""The experiment that consists of one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from coordinator.experiment.api import Answer, Done, Next, Progress

if TYPE_CHECKING:  # a command makes a planner before it imports the modules that play runs
    from coordinator.record.header import Plan

P = TypeVar("P", bound="Plan", covariant=True)


@dataclass(frozen=True, slots=True)
class Once(Generic[P]):
    """Plays `shown` as a run of the kind `runs`; the answer is the result of that run."""

    runs: str
    shown: P

    @property
    def kind(self) -> str:
        """The kind of the record: the kind of the run."""
        return self.runs

    def plan(self, done: Done) -> Next[P] | Answer:
        """Return the run; once the run is over, its result."""
        return self.answer(done) if done else Next(plan=self.shown)

    def answer(self, done: Done) -> Answer:
        """Return the result of the run."""
        return Answer(done[-1].result)

    def progress(self, done: Done) -> Progress:
        """The number of runs is 1; the remaining time is 0, because the live view of the run shows it."""
        return Progress(runs=1, left_ns=0)
