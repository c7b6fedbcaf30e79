"""The result of `loadgen paper`: its experiments, and the numbers of each beside which the paper's are shown."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from loadgen.model.errors import ExitCode
from loadgen.model.paper import Experiment
from loadgen.model.units import counted
from loadgen.verdict.result import Verdict


class State(enum.Enum):
    """How far an experiment came."""

    PLAYED = "played"
    NOT_HERE = "not here"  # this machine cannot play it
    FAILED = "failed"  # it could not begin, or not end


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """A number that an experiment measured on this machine.

    `key` finds the paper's figure (loadgen.verdict.paper_figures).  `what` says in words what the number is, with its
    unit.  `value` is None when the run that gave it is INVALID.  `low` and `high` are the lowest and highest run, or
    the ends of the interval in the experiment's own report; None where there are none.  `of` is what was asked for,
    None for nothing.  With `at_least` the number is a lower bound.
    """

    key: str
    what: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    of: float | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperStep:
    """One experiment.

    `record` is the directory of its record, relative to the paper's.  `verdict` is that of its own result, None when
    it has none.  `reasons` are the sentences behind the verdict, or why there is none.  `ours` has also
    what an experiment that failed had measured before; nothing of a run without trust.
    """

    experiment: Experiment
    state: State
    record: str
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    took_ns: int = 0
    ours: tuple[Ours, ...] = ()

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped it."""
        return self.verdict is Verdict.INTERRUPTED

    @property
    def is_over(self) -> bool:
        """Whether it need not be played again: it was played to its end."""
        return self.state is State.PLAYED and not self.interrupted


_WORST_FIRST = (Verdict.INTERRUPTED, Verdict.INVALID, Verdict.DEGRADED, Verdict.NOT_CONFORMING, Verdict.CONFORMING)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperResult:
    """The experiments that were `asked` for, and those that are over or were tried, in the order of play."""

    asked: tuple[Experiment, ...]
    steps: tuple[PaperStep, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the experiments.

        One that failed counts as INVALID, because nothing can be said; one that this machine cannot play does not
        count, unless no other was played.
        """
        found = {step.verdict or Verdict.INVALID for step in self.steps if step.state is not State.NOT_HERE}
        found |= {Verdict.INVALID for step in self.steps if step.state is State.FAILED}
        return next((verdict for verdict in _WORST_FIRST if verdict in found), Verdict.INVALID)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code

    @property
    def reasons(self) -> tuple[str, ...]:
        """A sentence for each experiment that has no good result, and how many were played."""
        return tuple(self._reasons())

    def _reasons(self) -> Iterator[str]:
        for step in self.steps:
            why = f": {step.reasons[0]}" if step.reasons else ""
            name = step.experiment.value
            if step.state is State.NOT_HERE:
                yield f"{name} cannot be played here{why}"
            elif step.state is State.FAILED:
                yield f"{name} failed{why}"
            elif step.verdict is not Verdict.CONFORMING and step.verdict is not None:
                yield f"{name} is {step.verdict.value}{why}"
        over = sum(step.is_over for step in self.steps)
        yield f"{over} of {counted(len(self.asked), 'experiment')} played to the end"
