"""`loadgen resume`: continue an experiment that was stopped."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coordinator.cli.html_option import html_option
from coordinator.cli.panels import command, option
from coordinator.cli.watch_options import watch_options
from coordinator.output.web.watch import Watch


@command()
@click.argument("record", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
@html_option
@watch_options
def resume(record: Path, as_json: bool, html: Path | None, watch: Watch) -> int:
    """Continue several runs that were stopped: play those that are missing, on the same load machines.

    RUN is the directory of the experiment's record, in which the result is written. Runs that are complete are used
    again; a run that was cut is played again, and its record is kept under another name.
    """
    from coordinator.cli.fleet_options import check_installed
    from coordinator.cli.fleet_plan import choice_from_record
    from coordinator.experiment.performance import Session
    from coordinator.experiment.resume import resumable
    from coordinator.experiment.session import run_session
    from coordinator.output.streams import stderr_console

    found = resumable(record)
    choice = None
    if found.record.header.fleet is not None:
        choice = choice_from_record(found.record.document.get("fleet"))
        check_installed(choice)
    reused = ", ".join(one.path.name for one in found.done)
    stderr_console().print(f"· runs that are used again: {reused or 'none'}", markup=False, highlight=False)
    session = Session(
        experiment=found.experiment,
        fleet=choice,
        command_line=tuple(sys.argv),
        out=found.record.path,
        form="json" if as_json else "text",
        html=html,
        resumed=found.record.header,
        done=found.done,
        watch=watch,
    )
    return run_session(session)
