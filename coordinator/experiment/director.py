"""Plays an experiment in its directory: its runs, or the experiments of which it consists, each in one below."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from coordinator.experiment.api import Done, Experiment, Next, StepPlayed
from coordinator.experiment.executor import execute
from coordinator.experiment.notebook import Notebook
from coordinator.experiment.resume import Resumable, resumable, set_aside
from coordinator.fleet.choice import FleetChoice
from coordinator.kinds.catalog import judges, load_kind
from coordinator.output.judged import Judged, read_judged
from coordinator.output.terminal import format as fmt
from coordinator.record.catalog import KINDS
from coordinator.record.header import Header, RecordError
from coordinator.run.api import Around
from coordinator.run.frame import Run, begin_header
from coordinator.run.interrupts import Interrupts, NothingMeasuredError
from loadgen.agent.children import EarlyEngines
from loadgen.model.errors import LoadgenError, PlanError
from loadgen.model.units import NS_PER_S
from loadgen.verdict.result import Verdict

Outcome = tuple[Judged[Any, Any], LoadgenError | None]
"""The result of an experiment, and why it did not go on to its end; None when it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Director:
    """The parts of a session that all its runs share; `fleet` of None is this machine."""

    fleet: FleetChoice | None
    command_line: tuple[str, ...]
    interrupts: Interrupts
    err: Console
    cache: Path
    say: Callable[[str], None]
    progress: Callable[[int, int], None]
    early: EarlyEngines | None = None
    hdr: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    shows_secrets: bool = False

    async def play(
        self, experiment: Experiment[Any], directory: Path, *, again: Header[Any] | None = None, done: Done = ()
    ) -> Outcome:
        """Play an experiment with its record in `directory`.

        `again` is the header of a record that is continued, and `done` are its runs that are not played again.  Raises
        LoadgenError when the first run cannot start.
        """
        fleet = (self.fleet or FleetChoice()) if KINDS[experiment.kind].on_fleet else None
        play = self._steps_in(directory)
        if experiment.runs:
            play = self._runs_in(directory, experiment.runs, fleet, again=again is not None)
        notebook = Notebook(experiment, directory, fleet, self.command_line, done, again=again)
        with notebook:
            outcome = await execute(experiment, play=play, say=self.say, on_done=notebook.note, done=done)
            judged = notebook.close(outcome)
        for problem in notebook.problems:
            self.say(problem)
        return judged, outcome.failed

    def _runs_in(self, directory: Path, runs: str, fleet: FleetChoice | None, *, again: bool) -> Any:
        """The function that plays one run of the kind `runs`."""
        kind = load_kind(runs)
        around = Around(
            cache=self.cache,
            say=self.say,
            progress=self.progress,
            view=kind.open_view(self.err),
            early=self.early,
        )

        async def play(step: Next[Any]) -> Judged[Any, Any]:
            own = directory / step.record
            if again:
                self._set_aside(own)
            run = Run(
                kind=kind,
                plan=step.plan,
                fleet=fleet,
                directory=own,
                around=around,
                command_line=self.command_line,
                hdr=self.hdr,
                notes=self.notes,
                shows_secrets=self.shows_secrets,
            )
            return await self.interrupts.during(run)

        return play

    def _steps_in(self, directory: Path) -> Any:
        """The function that plays a step which is an experiment itself; its failure is a result."""

        async def play(step: Next[Any]) -> Judged[Any, Any]:
            own, planner = directory / step.record, step.experiment
            assert planner is not None
            began_ns = time.monotonic_ns()
            judged: Judged[Any, Any] | None = None
            try:
                judged, failed = await self._begin_or_continue(planner, own)
            except NothingMeasuredError:
                raise
            except LoadgenError as error:
                failed = error
            if isinstance(failed, NothingMeasuredError):  # between two runs of the step
                raise failed
            took_ns = time.monotonic_ns() - began_ns
            ended = judged.result.verdict.value if judged else "not played"
            ended += f": {failed.message}" if failed else ""
            self.say(f"{step.record}: {ended} (took {fmt.clock(took_ns / NS_PER_S)})")
            return Judged(
                path=own,
                document={},
                header=judged.header if judged else begin_header(planner.kind, step.plan, None, self.command_line),
                result=StepPlayed(result=judged.result if judged else None, took_ns=took_ns, failed=failed),
            )

        return play

    async def _begin_or_continue(self, planner: Experiment[Any], own: Path) -> Outcome:
        """Play a step, without what a record of it in `own` has already."""
        if ready := _finished(planner, own):
            return ready, None
        if begun := _begun(planner, own):
            return await self.play(planner, own, again=begun.record.header, done=begun.done)
        self._set_aside(own)
        return await self.play(planner, own)

    def _set_aside(self, own: Path) -> None:
        """Keep the record in `own`, if there is one, under another name: nothing of it can be used again."""
        if own.exists():
            self.say(f"the record of a run that was cut is kept as {set_aside(own)}")


def _finished(planner: Experiment[Any], own: Path) -> Judged[Any, Any] | None:
    """The result of a step whose record is whole, though that of the experiment above does not say so."""
    try:
        judged = read_judged(own, judges())
    except RecordError:
        return None
    same = judged.header.kind == planner.kind and judged.header.plan == planner.shown
    return judged if same and not judged.cut and judged.result.verdict is not Verdict.INTERRUPTED else None


def _begun(planner: Experiment[Any], own: Path) -> Resumable | None:
    """The part of a step that its record has already; None for nothing that can be used again."""
    try:
        found = resumable(own)
    except (PlanError, RecordError):
        return None
    return found if found.experiment == planner else None
