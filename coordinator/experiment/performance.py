"""Plays an experiment and writes its record.

The command line and the library (coordinator.library) differ in what they show, and in what stops a run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from coordinator.experiment.api import Done, Experiment, Next, StepPlayed
from coordinator.experiment.executor import Outcome, execute
from coordinator.experiment.notebook import Notebook
from coordinator.faults import as_error
from coordinator.fleet.choice import FleetChoice
from coordinator.kinds.catalog import load_kind
from coordinator.output.judged import Judged
from coordinator.output.terminal import format as fmt
from coordinator.output.web.watch import Watch
from coordinator.record.catalog import KINDS
from coordinator.record.header import Header
from coordinator.record.writer import claim_directory
from coordinator.run.api import Around, Kind
from coordinator.run.frame import Run, begin_header
from coordinator.run.interrupts import NothingMeasuredError
from loadgen.agent.children import EarlyEngines
from loadgen.model.errors import LoadgenError
from loadgen.model.units import NS_PER_S

Say = Callable[[str], None]
Play = Callable[[Next[Any]], Awaitable[Judged[Any, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An experiment with everything that was requested of it.

    `fleet` is None for runs without load machines.  `out` is the directory of the record; None takes the default.
    `form` is an output format (coordinator.output.catalog).  `html` is a file for a report.  `hdr` are files for the
    tools of HdrHistogram.  `notes` are added to the result.  `resumed` is the header of an experiment that is
    continued; then `out` is the directory of its record, and `done` are its runs that are not played again.  `early`
    are engines that were started already.  With `shows_secrets`, records hold the secrets of their plans.
    `watch` says where the runs are to be seen.
    """

    experiment: Experiment[Any]
    fleet: FleetChoice | None
    command_line: tuple[str, ...]
    out: Path | None = None
    form: str = "text"
    html: Path | None = None
    hdr: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    resumed: Header[Any] | None = None
    done: Done = ()
    early: EarlyEngines | None = None
    shows_secrets: bool = False
    watch: Watch = field(default_factory=Watch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an experiment is played in.

    `around` makes the environment of a run of a kind.  `during` plays a run, and ends it early when it is to stop.
    `say` shows the user one line of text.
    """

    around: Callable[[Kind[Any, Any, Any]], Around]
    during: Callable[[Run[Any, Any, Any]], Awaitable[Judged[Any, Any]]]
    say: Say


def cache_directory() -> Path:
    """Return the directory that keeps file sets between runs (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "loadgen"


@contextlib.contextmanager
def record_directory(session: Session) -> Iterator[Path]:
    """Yield the directory of the record.  One that was made for it is removed when no record was begun in it."""
    if session.out is not None:
        yield session.out
        return
    directory = claim_directory(datetime.now(), kind=_command(session.experiment))
    try:
        yield directory
    finally:
        with contextlib.suppress(OSError):
            directory.rmdir()  # possible only when it is empty


def _command(experiment: Experiment[Any]) -> str:
    """The command that plays an experiment: its kind without what a kind of several runs, or of parts, has added."""
    return min(experiment.kind, experiment.runs or experiment.kind, key=len)


async def perform(session: Session, directory: Path, inside: Surroundings) -> tuple[Judged[Any, Any], Outcome]:
    """Play the experiment with its record in `directory`.  Returns what output formats print, and the outcome.

    Raises LoadgenError when the first run cannot start.
    """
    experiment = session.experiment
    play = (_runs if experiment.runs else _steps)(session, directory, inside)
    notebook = Notebook(experiment, directory, session.fleet, session.command_line, session.done, again=session.resumed)
    with notebook:
        outcome = await execute(experiment, play=play, say=inside.say, on_done=notebook.note, done=session.done)
        judged = notebook.close(outcome)
    for problem in notebook.problems:
        inside.say(problem)
    return judged, outcome


def _runs(session: Session, directory: Path, inside: Surroundings) -> Play:
    """The function that plays a run of the experiment."""

    async def play(step: Next[Any]) -> Judged[Any, Any]:
        own = directory / step.record
        if session.resumed:
            _set_aside(own, inside.say)
        kind = load_kind(step.kind or session.experiment.runs)
        fleet = step.fleet or session.fleet
        with _answered(step) as plan:
            run = Run(
                kind=kind,
                plan=plan,
                fleet=fleet,
                directory=own,
                around=inside.around(kind),
                command_line=session.command_line,
                hdr=session.hdr,
                notes=session.notes,
                shows_secrets=session.shows_secrets,
                ends_early=step.ends_early,
            )
            try:
                return await inside.during(run)
            except LoadgenError as error:
                result = step.not_started(error) if step.not_started is not None else None
                if result is None:
                    raise
                header = begin_header(kind.name, plan, fleet, session.command_line)
                return Judged(path=own, document={}, header=header, result=result)

    return play


@contextlib.contextmanager
def _answered(step: Next[Any]) -> Iterator[Any]:
    """Yield the plan of a step, while the null responder runs that the step asks for.  Raises TargetError."""
    if step.replies is None:
        yield step.plan
        return
    from deploy.null_responder import HOST, null_responder

    with null_responder(step.replies.body_bytes, step.replies.processes) as port:
        yield dataclasses.replace(step.plan, connect_to=(f"::{HOST}:{port}",))


def _steps(session: Session, directory: Path, inside: Surroundings) -> Play:
    """The function that plays a step which is an experiment itself.  Its failure is a result."""

    async def play(step: Next[Any]) -> Judged[Any, Any]:
        planner = step.experiment
        assert planner is not None
        began_ns = time.monotonic_ns()
        judged: Judged[Any, Any] | None = None
        failed: LoadgenError | None = None
        try:
            judged, failed = await _step(session, planner, directory / step.record, inside)
        except Exception as error:  # noqa: BLE001 - a bug of loadgen must not cost the results of the other steps
            failed = as_error(error, inside.say)
        if isinstance(failed, NothingMeasuredError):  # the user stopped it: no other step follows
            raise failed
        took_ns = time.monotonic_ns() - began_ns
        ended = judged.result.verdict.value if judged else "not played"
        ended += f": {failed.message}" if failed else ""
        inside.say(f"{step.record}: {ended} (took {fmt.clock(took_ns / NS_PER_S)})")
        result: Any = StepPlayed(result=judged.result if judged else None, took_ns=took_ns, failed=failed)
        header = judged.header if judged else begin_header(planner.kind, step.plan, None, session.command_line)
        return Judged(path=directory / step.record, document={}, header=header, result=result)

    return play


async def _step(
    session: Session, planner: Experiment[Any], own: Path, inside: Surroundings
) -> tuple[Judged[Any, Any], LoadgenError | None]:
    """Play an experiment in the directory `own`, without what a record there has already."""
    from coordinator.experiment.resume import begun_in, finished_in

    if ready := finished_in(own, planner):
        return ready, None
    begun = begun_in(own, planner)
    if begun is None:
        _set_aside(own, inside.say)
    part = dataclasses.replace(
        session,
        experiment=planner,
        fleet=(session.fleet or FleetChoice()) if KINDS[planner.kind].on_fleet else None,
        resumed=begun.record.header if begun else None,
        done=begun.done if begun else (),
    )
    judged, outcome = await perform(part, own, inside)
    return judged, outcome.failed


def _set_aside(own: Path, say: Say) -> None:
    """Keep the record in `own`, if there is one, under another name: nothing of it can be used again."""
    if own.exists():
        from coordinator.experiment.resume import set_aside

        say(f"the record of a run that was cut is kept as {set_aside(own)}")
