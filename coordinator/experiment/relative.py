"""The experiment that runs a command in each of several environments, round after round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coordinator.experiment.api import Answer, Done, Next, Progress
from coordinator.record.kinds import KIND_RELATIVE, KIND_ROUND
from loadgen.model.relative import RelativePlan
from loadgen.verdict.relative import judge_relative
from loadgen.verdict.result import Verdict

if TYPE_CHECKING:
    from loadgen.measure.trials import Round


@dataclass(frozen=True, slots=True)
class Relative:
    """Plays the rounds of `shown`, one after the other."""

    shown: RelativePlan

    @property
    def runs(self) -> str:
        """The kind of the runs: one round."""
        return KIND_ROUND

    @property
    def kind(self) -> str:
        """The kind of the record, which compares the environments."""
        return KIND_RELATIVE

    def plan(self, done: Done) -> Next[RelativePlan] | Answer:
        """Return the next round; the answer after the last one, or when the user interrupted a round."""
        if len(done) == self.shown.trials or (done and done[-1].result.verdict is Verdict.INTERRUPTED):
            return self.answer(done)
        number = len(done) + 1
        return Next(plan=self.shown.only(number), record=record_of(number), label=f"round {number}")

    def answer(self, done: Done) -> Answer:
        """Return what all trials so far say."""
        rounds: list[Round] = [one.result.round for one in done]
        interrupted = bool(done) and done[-1].result.verdict is Verdict.INTERRUPTED
        notes = dict.fromkeys(note for one in done for note in one.result.notes)
        return Answer(judge_relative(self.shown, rounds, interrupted=interrupted, notes=notes))

    def progress(self, done: Done) -> Progress:
        """Return the progress; a round takes as long as the mean of those before."""
        took = [one.result.round.took_ns for one in done]
        mean_ns = sum(took) / len(took) if took else 0
        return Progress(runs=self.shown.trials, left_ns=round(mean_ns * (self.shown.trials - len(done))))


def record_of(number: int) -> str:
    """The directory of the record of a round."""
    return f"round-{number}"
