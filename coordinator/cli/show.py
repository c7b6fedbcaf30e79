"""`loadgen show`: prints a record in any of the output formats."""

from __future__ import annotations

from pathlib import Path

import click

from coordinator.cli.panels import command, option
from coordinator.output.catalog import FORMATS, print_result
from loadgen.model.entry import choices_help


@command()
@click.argument("record", type=click.Path(path_type=Path))
@option(
    "--format",
    "form",
    type=click.Choice(tuple(FORMATS)),
    default="text",
    show_default=True,
    help=f"Format of the output. {choices_help(FORMATS)}.",
)
@option("--json", "as_json", is_flag=True, help="Short form of --format json.")
def show(record: Path, form: str, as_json: bool) -> int:
    """Print the result of a recorded run again.

    The result of a run that was cut covers what was measured until then. The exit code is 0 when the record can be
    shown, and 2 when it cannot.
    """
    from coordinator.kinds.catalog import judges
    from coordinator.output.judged import read_judged

    print_result(read_judged(record, judges()), "json" if as_json else form)
    return 0
