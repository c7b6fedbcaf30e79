"""A toy experiment: repeat a run until it conforms, at most `most` times.  CONTRIBUTING.md refers to this file."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.experiment.api import Answer, Done, Next, Progress
from loadgen.model.plan import SpecPlan
from loadgen.verdict.result import Verdict


@dataclass(frozen=True, slots=True)
class UntilConforming:
    """Plays `shown` until a run conforms; the answer is the last run's result."""

    shown: SpecPlan
    most: int
    runs: str = "spec"
    kind: str = "spec"

    def plan(self, done: Done) -> Next[SpecPlan] | Answer:
        """Return the next try, or the answer."""
        last = done[-1].result.verdict if done else None
        if last in (Verdict.CONFORMING, Verdict.INTERRUPTED) or len(done) == self.most:
            return self.answer(done)
        return Next(plan=self.shown, record=f"try-{len(done) + 1}", label=f"try {len(done) + 1}")

    def answer(self, done: Done) -> Answer:
        """Return the result of the last try."""
        return Answer(done[-1].result)

    def progress(self, done: Done) -> Progress:
        """The number of tries is not known in advance."""
        return Progress(runs=None, left_ns=0)
