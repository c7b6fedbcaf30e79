"""Plays an experiment for the command line: with terminal and signals; prints the result, and returns the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from coordinator.experiment.performance import Say, Session, Surroundings, cache_directory, perform, record_directory
from coordinator.experiment.progress import fileset_progress
from coordinator.output.catalog import print_result
from coordinator.output.otlp.exporting import Exported, exporting
from coordinator.output.streams import stderr_console
from coordinator.run.api import Around, Kind
from coordinator.run.interrupts import Interrupts
from coordinator.starting import end_in_order


def run_session(session: Session) -> int:
    """Play the experiment, print its result, and return the exit code.

    Raises LoadgenError when the first run cannot start.  When a later run cannot start, prints the result so far first.
    """
    end_in_order()
    return uvloop.run(_session(session))


async def _session(session: Session) -> int:
    async with exporting(session.otlp, _say_on(stderr_console())) as exported:
        with record_directory(session) as directory:
            return await _play(session, directory, exported)


async def _play(session: Session, directory: Path, exported: Exported) -> int:
    """Play the experiment with its record in `directory`; its live views are `exported`, too."""
    err = stderr_console()
    with Interrupts() as interrupts, fileset_progress(err) as progress:
        say = _say_on(err)

        def around(kind: Kind[Any, Any, Any]) -> Around:
            view = exported(kind.open_view(err))
            return Around(cache=cache_directory(), say=say, progress=progress, view=view, early=session.early)

        inside = Surroundings(around=around, during=interrupts.during, say=say)
        judged, outcome = await perform(session, directory, inside)
        print_result(judged, session.form)
        if outcome.failed:
            outcome.failed.after_result = True
            raise outcome.failed
        return int(judged.result.exit_code)


def _say_on(err: Console) -> Say:
    return lambda text: err.print(f"· {text}", markup=False, highlight=False, soft_wrap=True)
