"""The experiment that consists of experiments: those of the paper, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coordinator.experiment.api import Answer, Done, Next, Progress, StepPlayed
from coordinator.experiment.paper_ours import ours_of
from coordinator.experiment.paper_steps import step_of
from coordinator.output.judged import Judged
from coordinator.record.kinds import KIND_PAPER
from loadgen.model.errors import PlanError
from loadgen.model.paper import Experiment, PaperPlan
from loadgen.verdict.paper import PaperResult, PaperStep, State
from loadgen.verdict.paper_figures import PARTS


@dataclass(frozen=True, slots=True)
class Paper:
    """Plays the experiments of `shown`.  One that cannot be played, or fails, does not end the others."""

    shown: PaperPlan

    @property
    def runs(self) -> str:
        """No kind of run: its steps are experiments."""
        return ""

    @property
    def kind(self) -> str:
        """The kind of the record, which shows the paper's figures beside those of this machine."""
        return KIND_PAPER

    def plan(self, done: Done) -> Next[Any] | Answer:
        """Return the next experiment; the answer after the last one, or when the user interrupted one."""
        steps = self._steps(done)
        tried = {step.experiment for step in steps}
        missing = [one for one in self.shown.in_order if one not in tried]
        if not missing or any(step.interrupted for step in steps):
            return self.answer(done)
        planner = step_of(self.shown, missing[0]).planner
        part = PARTS[missing[0]]
        return Next(
            plan=planner.shown,
            record=missing[0].value,
            label=f"{missing[0].value}: {part.title} ({part.source})",
            experiment=planner,
        )

    def answer(self, done: Done) -> Answer:
        """Return all experiments so far, in the order of play."""
        steps = sorted(self._steps(done), key=lambda step: self.shown.in_order.index(step.experiment))
        return Answer(PaperResult(asked=self.shown.in_order, steps=tuple(steps)))

    def progress(self, done: Done) -> Progress:
        """Return the progress; how long each experiment takes is known from its plan, or from experience."""
        tried = {step.experiment for step in self._steps(done)}
        left = (step_of(self.shown, one).about_ns for one in self.shown.in_order if one not in tried)
        return Progress(runs=len(self.shown.in_order), left_ns=sum(left))

    def _steps(self, done: Done) -> list[PaperStep]:
        return [_step(one) for one in done]


def _step(one: Judged[Any, Any]) -> PaperStep:
    """What the paper's record keeps of an experiment; one that is read from this record is a step already."""
    found = one.result
    if isinstance(found, PaperStep):
        return found
    assert isinstance(found, StepPlayed)
    experiment, result, failed = Experiment(one.path.name), found.result, found.failed
    if failed is not None:
        not_here = isinstance(failed, PlanError) and result is None
        return PaperStep(
            experiment=experiment,
            state=State.NOT_HERE if not_here else State.FAILED,
            record="" if result is None else one.path.name,
            reasons=(failed.message, *((failed.hint,) if failed.hint else ())),
            took_ns=found.took_ns,
            ours=() if result is None else ours_of(experiment, result),
        )
    assert result is not None
    return PaperStep(
        experiment=experiment,
        state=State.PLAYED,
        record=one.path.name,
        verdict=result.verdict,
        reasons=tuple(result.reasons),
        took_ns=found.took_ns,
        ours=ours_of(experiment, result),
    )
