"""Plays an experiment for the command line: handles terminal and signals, writes the record, prints the result, and
returns the exit code.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from coordinator.experiment.api import Done, Experiment
from coordinator.experiment.director import Director
from coordinator.experiment.progress import fileset_progress
from coordinator.fleet.choice import FleetChoice
from coordinator.output.catalog import print_result
from coordinator.output.streams import stderr_console
from coordinator.record.header import Header
from coordinator.record.writer import claim_directory
from coordinator.run.interrupts import Interrupts
from coordinator.starting import end_in_order
from loadgen.agent.children import EarlyEngines

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The requests of the command line.

    `fleet` is None for runs without load machines.  `out` is the directory of the record; None takes the default.
    `form` is an output format (coordinator.output.catalog).  `hdr` are files for the tools of HdrHistogram.  `notes`
    are added to the result.  `resumed` is the header of an experiment that is continued; then `out` is the directory
    of its record, and `done` are its runs that are not played again.  `early` are engines that were started already.
    With `shows_secrets`, records hold the secrets of their plans.
    """

    experiment: Experiment[Any]
    fleet: FleetChoice | None
    command_line: tuple[str, ...]
    out: Path | None = None
    form: str = "text"
    hdr: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    resumed: Header[Any] | None = None
    done: Done = ()
    early: EarlyEngines | None = None
    shows_secrets: bool = False


def cache_directory() -> Path:
    """Return the directory that keeps file sets between runs (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "loadgen"


def run_session(session: Session) -> int:
    """Play the experiment, print its result, and return the exit code.

    Raises LoadgenError when the first run cannot start.  When a later run cannot start, prints the result so far first.
    """
    end_in_order()
    return uvloop.run(_session(session))


async def _session(session: Session) -> int:
    if session.out is not None:
        return await _play(session, session.out)
    directory = claim_directory(datetime.now(), kind=_command(session.experiment))
    try:
        return await _play(session, directory)
    finally:
        with contextlib.suppress(OSError):
            directory.rmdir()  # possible only when no record was begun in it


async def _play(session: Session, directory: Path) -> int:
    """Play the experiment with its record in `directory`."""
    err = stderr_console()
    with Interrupts() as interrupts, fileset_progress(err) as progress:
        director = Director(
            fleet=session.fleet,
            command_line=session.command_line,
            interrupts=interrupts,
            err=err,
            cache=cache_directory(),
            say=_say_on(err),
            progress=progress,
            early=session.early,
            hdr=session.hdr,
            notes=session.notes,
            shows_secrets=session.shows_secrets,
        )
        judged, failed = await director.play(session.experiment, directory, again=session.resumed, done=session.done)
        print_result(judged, session.form)
        if failed:
            failed.after_result = True
            raise failed
        return int(judged.result.exit_code)


def _command(experiment: Experiment[Any]) -> str:
    """The command that plays an experiment: its kind without what a kind of several runs, or of parts, has added."""
    return min(experiment.kind, experiment.runs or experiment.kind, key=len)


def _say_on(err: Console) -> Say:
    return lambda text: err.print(f"· {text}", markup=False, highlight=False, soft_wrap=True)
