"""The option --html of every command that leaves a record: a report as HTML when the result is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coordinator.cli.panels import option
from loadgen.model.errors import PlanError


class HtmlFile(click.Path):
    """A file whose directory exists, so that a slip of the pen does not cost a report after an hour."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path.  Raises PlanError without its directory."""
        file = super().convert(value, param, ctx)
        if isinstance(file, Path) and not file.parent.is_dir():
            raise PlanError(
                f"the report {file} cannot be written: there is no directory {file.parent}",
                hint="make this directory first, or choose a file in another one",
            )
        return file


html_option = option(
    "--html",
    type=HtmlFile(),
    metavar="FILE",
    panel="Result",
    help="Write a report with plots as one HTML file, too, as loadgen report does.",
)
