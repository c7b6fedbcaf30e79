"""`loadgen report`: draws records as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coordinator.cli.html_option import HtmlFile
from coordinator.cli.panels import command, option

if TYPE_CHECKING:
    from loadgen.verdict.compare_result import Comparison


@command()
@click.argument("records", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@option(
    "--out",
    "-o",
    "file",
    type=HtmlFile(),
    metavar="FILE",
    default="report.html",
    show_default=True,
    help="File of the report. A file of this name is replaced.",
)
def report(records: tuple[Path, ...], file: Path) -> int:
    """Draw recorded runs as one HTML file: verdict, evidence, plots and tables.

    The file makes no request, so it can be opened offline, sent and archived. Several runs of the same command are also
    compared, as by loadgen compare. The exit code is 0 when the report is written, and 2 when a record cannot be shown.
    """
    from coordinator.kinds.catalog import judges
    from coordinator.output.html.files import write_report
    from coordinator.output.judged import read_judged
    from coordinator.output.streams import print_text

    known = judges()
    runs = [read_judged(record, known) for record in records]
    write_report(file, runs, _compared(records, known) if len(records) > 1 else None)
    print_text(f"{file}\n")
    return 0


def _compared(records: tuple[Path, ...], known: Any) -> Comparison | None:
    """How the runs compare; None, with a sentence on stderr, when they cannot be compared."""
    from coordinator.output.groups import differences, read_groups
    from coordinator.output.streams import stderr_console
    from loadgen.model.errors import LoadgenError
    from loadgen.verdict.compare import compare

    try:
        groups = read_groups(records, known)
        plans, environments = differences(groups, ())
        return compare([one.group for one in groups], plans=plans, environments=environments)
    except LoadgenError as error:
        text = f"· these runs are shown, but not compared: {error.message}"
        stderr_console().print(text, markup=False, highlight=False, soft_wrap=True)
        return None
