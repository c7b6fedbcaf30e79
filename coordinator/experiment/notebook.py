"""The record of an experiment with several runs.  Each run has its own record in a directory below the experiment's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from coordinator.experiment.api import Done, Experiment
from coordinator.experiment.executor import Outcome
from coordinator.fleet.choice import FleetChoice
from coordinator.output.judged import Judged
from coordinator.record.document import finished, unfinished
from coordinator.record.header import Header
from coordinator.record.kinds import KIND_SWEEP
from coordinator.record.writer import RecordWriter
from coordinator.run.frame import begin_header, now
from coordinator.run.interrupts import NothingMeasuredError
from loadgen.model.errors import LoadgenError
from loadgen.model.units import counted


class Notebook:
    """Keeps the experiment's run.json complete at all times; a context manager.

    An experiment of one run uses the record of that run, so nothing is written for it.  `again` is the header of a
    record that is continued, None for a new record; `done` are the runs in the record that are used again.
    """

    def __init__(
        self,
        experiment: Experiment[Any],
        directory: Path,
        fleet: FleetChoice | None,
        command_line: tuple[str, ...],
        done: Done,
        *,
        again: Header[Any] | None,
    ) -> None:
        self._experiment = experiment
        self._directory = directory
        self._writer: RecordWriter | None = None
        if experiment.kind != experiment.runs:
            header = again or begin_header(experiment.kind, experiment.shown, fleet, command_line)
            # The experiment itself is not a run on load machines.
            own = dataclasses.replace(header.fleet, run_id="") if header.fleet else None
            self._header = dataclasses.replace(header, fleet=own)
            document = unfinished(self._header, experiment.answer(done).result)
            self._writer = RecordWriter(directory, document, again=again is not None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        # Not even the first run could be begun.  What the user stopped is kept, because it can be resumed.
        if isinstance(error, LoadgenError) and not isinstance(error, NothingMeasuredError):
            self._writer.discard()
        self._writer.close()

    @property
    def problems(self) -> Sequence[str]:
        """Sentences that say what could not be recorded."""
        return self._writer.problems if self._writer is not None else ()

    def note(self, done: Done) -> None:
        """Record one more finished run."""
        if self._writer is not None:
            command_line = self._header.environment.command_line
            newest = done[-1].header.environment
            server = newest.server or self._header.environment.server  # a run that did not start knows no server
            load = self._header.environment.load_average  # that before the first run: the runs themselves are load
            environment = dataclasses.replace(newest, command_line=command_line, server=server, load_average=load)
            self._header = dataclasses.replace(self._header, environment=environment)
            self._writer.rewrite(unfinished(self._header, self._experiment.answer(done).result))

    def close(self, outcome: Outcome) -> Judged[Any, Any]:
        """Write the end of the experiment, unless a run could not start.  Returns what the output formats print."""
        if self._writer is None:
            return outcome.done[-1]
        result, header = outcome.answer.result, self._header
        document = unfinished(header, result) if outcome.failed else finished(header, result, finished_at=now())
        self._writer.rewrite(document)
        cut = self._cut(outcome.done, outcome.failed) if outcome.failed else ""
        return Judged(path=self._directory, document=document, header=header, result=result, cut=cut)

    def _cut(self, done: Done, failed: LoadgenError) -> str:
        """Say how many runs were measured, and why there are no more."""
        runs = self._experiment.progress(done).runs
        noun = "point" if self._header.kind == KIND_SWEEP else "run"
        of = f" of {counted(runs, noun)}" if runs else f" {noun}{'s' * (len(done) != 1)}"
        were = "was" if len(done) == 1 else "were"
        return f"{len(done)}{of} {were} measured; the next one was not: {failed.message}"
