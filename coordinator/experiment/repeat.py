"""The experiment that plays the same run several times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from coordinator.experiment.api import Answer, Done, Next, Progress
from coordinator.output.judged import Judged
from coordinator.record.kinds import KIND_HTTP, KIND_HTTP_REPEATS, KIND_SPEC, KIND_SPEC_REPEATS
from loadgen.model.http_plan import HttpPlan
from loadgen.model.plan import SpecPlan
from loadgen.verdict.figures import figures_of
from loadgen.verdict.repeats import OneOfMany, Repeats
from loadgen.verdict.result import Verdict

P = TypeVar("P", SpecPlan, HttpPlan)


@dataclass(frozen=True, slots=True)
class Repeat(Generic[P]):
    """Plays `shown` as often as `asked` says."""

    shown: P
    asked: int

    @property
    def runs(self) -> str:
        """The kind of the runs."""
        return KIND_SPEC if isinstance(self.shown, SpecPlan) else KIND_HTTP

    @property
    def kind(self) -> str:
        """The kind of the record, which lists the runs."""
        return KIND_SPEC_REPEATS if isinstance(self.shown, SpecPlan) else KIND_HTTP_REPEATS

    def plan(self, done: Done) -> Next[P] | Answer:
        """Return the run once more; the answer after the last run, or when the user interrupted one."""
        if len(done) >= self.asked or (done and done[-1].result.verdict is Verdict.INTERRUPTED):
            return self.answer(done)
        number = len(done) + 1
        return Next(plan=self.shown, record=f"run-{number}", label=f"run {number}")

    def answer(self, done: Done) -> Answer:
        """Return what the runs say so far."""
        return Answer(Repeats(asked=self.asked, runs=tuple(kept(one) for one in done)))

    def progress(self, done: Done) -> Progress:
        """Return the progress; every run takes as long as its plan says."""
        return Progress(runs=self.asked, left_ns=(self.asked - len(done)) * length_ns(self.shown))


def kept(one: Judged[Any, Any], side: int = 0) -> OneOfMany:
    """What is kept of a run; a run that is read from the experiment's own record is kept already."""
    if isinstance(one.result, OneOfMany):
        return one.result
    return OneOfMany(
        record=one.path.name,
        started_at=one.header.started_at,
        verdict=one.result.verdict,
        reasons=tuple(one.result.reasons),
        figures=figures_of(one.result),
        side=side,
    )


def length_ns(plan: SpecPlan | HttpPlan) -> int:
    """How long a run with this plan lasts, without its preparation."""
    if isinstance(plan, HttpPlan):
        return plan.warmup_ns + plan.duration_ns
    return sum(plan.phases.length_ns(iteration) for iteration in range(plan.phases.iterations))
