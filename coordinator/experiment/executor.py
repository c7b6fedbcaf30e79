"""Plays the runs of a planner until it has an answer.  The module starts nothing itself: the caller passes the function
that plays a run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from coordinator.experiment.api import Answer, Done, Experiment, Next
from coordinator.faults import as_error
from coordinator.output.judged import Judged
from coordinator.record.header import Plan
from loadgen.model.errors import LoadgenError
from loadgen.model.units import NS_PER_S, format_duration

P = TypeVar("P", bound=Plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of an experiment: the finished runs, and the answer from these runs.

    `failed` says why the next run could not start; None when the answer is complete.
    """

    done: Done
    answer: Answer
    failed: LoadgenError | None = None


async def execute(
    experiment: Experiment[P],
    *,
    play: Callable[[Next[P]], Awaitable[Judged[Any, Any]]],
    say: Callable[[str], None],
    on_done: Callable[[Done], None],
    done: Done = (),
) -> Outcome:
    """Play runs with `play` until the planner has an answer; `done` are runs that were played before.

    `say` tells the user which run is next; `on_done` is called with each finished run.  What the first run raises is
    raised, because there are no results.  Later errors end the experiment and cost no result, bugs of loadgen included.
    """
    over = list(done)
    while True:
        step = experiment.plan(tuple(over))
        if isinstance(step, Answer):
            return Outcome(done=tuple(over), answer=step)
        if step.label:
            say(_announce(experiment, step, tuple(over)))
        try:
            judged = await play(step)
        except Exception as error:
            if not over:
                raise
            failed = as_error(error, say)
            return Outcome(done=tuple(over), answer=experiment.answer(tuple(over)), failed=failed)
        over.append(judged)
        on_done(tuple(over))


def _announce(experiment: Experiment[P], step: Next[P], done: Done) -> str:
    """Return a line like `— 4 VMs (2 of 3), about 2m30s left —`."""
    progress = experiment.progress(done)
    of = f" of {progress.runs}" if progress.runs else ""
    seconds = round(progress.left_ns / NS_PER_S)
    left = f", about {format_duration(seconds * NS_PER_S)} left" if seconds else ""
    return f"— {step.label} ({len(done) + 1}{of}){left} —"
