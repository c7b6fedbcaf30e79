"""Plays an experiment for the command line: with terminal and signals; prints the result, and returns the exit code."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from coordinator.experiment.performance import Say, Session, Surroundings, cache_directory, perform, record_directory
from coordinator.experiment.progress import fileset_progress
from coordinator.kinds.catalog import judges
from coordinator.output.catalog import write
from coordinator.output.harmless import Harmless
from coordinator.output.judged import Judged, read_judged
from coordinator.output.otlp.exporting import Exported, exporting
from coordinator.output.passed_on import PassedOn
from coordinator.output.stderr import patient_console, settle
from coordinator.output.stdout import UnreadError, print_beside
from coordinator.output.web.running import Open, opened
from coordinator.run.api import Around, Kind
from coordinator.run.frame import Run
from coordinator.run.interrupts import Interrupts, NothingMeasuredError
from coordinator.starting import end_in_order
from loadgen.model.errors import LoadgenError
from loadgen.verdict.result import Verdict

_TOLD_S = 0.1
"""The pages are told of the result before it is printed: stdout may have a reader that does not read."""


def run_session(session: Session) -> int:
    """Play the experiment, print its result, and return the exit code.

    Raises LoadgenError when the first run cannot start.  When a later run cannot start, prints the result so far first.
    """
    end_in_order()
    return uvloop.run(_session(session))


async def _session(session: Session) -> int:
    with patient_console() as err:
        async with (
            opened(session.watch, _say_on(err)) as pages,
            exporting(session.watch.otlp, _say_on(err, pages)) as exported,
        ):
            with record_directory(session) as directory:
                return await _play(session, directory, err, pages, exported)


async def _play(session: Session, directory: Path, err: Console, pages: Open | None, exported: Exported) -> int:
    """Play the experiment with its record in `directory`, show it on `pages`, and let its views be `exported`."""
    say = _say_on(err, pages)
    with Interrupts(say) as interrupts, fileset_progress(err) as progress:

        def around(kind: Kind[Any, Any, Any]) -> Around:
            view = exported(Harmless(kind.open_view, err, say))
            if pages is not None:
                pages.board.begin(kind.name)
                view = PassedOn(view, pages.board)
            return Around(cache=cache_directory(), say=say, progress=progress, view=view, early=session.early)

        async def during(run: Run[Any, Any, Any]) -> Judged[Any, Any]:
            judged = await interrupts.during(run)
            if pages is not None:
                pages.board.ended(run.directory.name, judged)
            return judged

        try:
            judged, outcome = await perform(session, directory, Surroundings(around=around, during=during, say=say))
        except NothingMeasuredError as error:  # its record is kept
            if to_continue := _to_continue(session.experiment.kind, directory):
                error.hint = f"play the runs: {to_continue}"
            raise
        if pages is not None:
            pages.board.over(judged)
            await asyncio.sleep(_TOLD_S)
        settle(err)  # the result may go to the same terminal
        try:
            if not await interrupts.unless_again(print_beside(partial(write, judged, session.form))):
                said = "interrupted before stdout took the whole result; the record is whole"
                raise UnreadError(said, hint=f"to see the result: loadgen show {judged.path}")
        finally:  # a reader of stdout that has ended costs neither the report nor the page
            if session.html is not None:
                _report(session.html, judged.path, say)
            if pages is not None and pages.url and not interrupts.came:
                _say_on(err)(f"the run is over; its page stays at {pages.url} until Ctrl-C")
                await interrupts.wait()
        stopped = outcome.failed or judged.result.verdict is Verdict.INTERRUPTED
        if stopped and (to_continue := _to_continue(judged.header.kind, judged.path)):
            _say_on(err)(f"to play the runs that are missing: {to_continue}")
        if outcome.failed:
            outcome.failed.after_result = True
            raise outcome.failed
        return int(judged.result.exit_code)


def _to_continue(kind: str, path: Path) -> str:
    from coordinator.experiment.resume import how_to_continue  # it imports all kinds of experiments

    return how_to_continue(kind, path)


def _report(file: Path, record: Path, say: Say) -> None:
    """Draw the record in `file`.  Whatever goes wrong is told, and costs nothing: the result is there already."""
    from coordinator.output.html.files import write_report  # Jinja2 and the plots take time to import

    try:
        # As it was written: the record has the plan without its secrets.
        write_report(file, [read_judged(record, judges())])
    except LoadgenError as error:
        say(error.message)
    except Exception as error:  # noqa: BLE001  # a fault of ours; `loadgen report` shows where
        say(f"the report {file} could not be drawn ({error!r}); try: loadgen report {record} -o {file}")
    else:
        say(f"report: {file}")


def _say_on(err: Console, pages: Open | None = None) -> Say:
    def say(text: str) -> None:
        err.print(f"· {text}", markup=False, highlight=False, soft_wrap=True)
        if pages is not None:
            pages.board.say(text)

    return say
