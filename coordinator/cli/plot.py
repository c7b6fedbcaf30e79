"""`loadgen plot`: draws a record as a figure for a paper, or writes its numbers as a table."""

from __future__ import annotations

from pathlib import Path

import click

from coordinator.cli.options import FILE
from coordinator.cli.panels import command, option
from coordinator.output.plot.catalog import PLOTS


@command()
@click.argument("records", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@option(
    "-o",
    "--output",
    type=FILE,
    required=True,
    metavar="FILE",
    help="File of the figure; its ending chooses the format. Drawn: .svg, .pdf or .png. The numbers: .csv, or .tex, a "
    "table for booktabs.",
)
@option(
    "--kind",
    type=click.Choice(tuple(PLOTS)),
    metavar="KIND",
    help="What is drawn. "
    + "; ".join(f"{name}: {plot.entry.summary}" for name, plot in PLOTS.items())
    + ".  [default: the first of these that the record has]",
)
@option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME",
    help="Name of a run in the figure, once for each RUN, in their order.  [default: the name of its directory]",
)
@option(
    "--columns",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="Columns of a paper that the figure spans: 1 is 3.5 inches wide, 2 are 7.16 inches.",
)
@option(
    "--svg-text/--svg-paths",
    default=False,
    help="Write the text of an SVG as text, which can be searched and edited but needs the font, or as paths, which "
    "look the same everywhere.  [default: as paths]",
)
def plot(
    records: tuple[Path, ...],
    output: Path,
    kind: str | None,
    labels: tuple[str, ...],
    columns: int,
    svg_text: bool,
) -> int:
    """Draw a record as a figure for a paper, or write its numbers as a table.

    A RUN is the directory of a record. Several runs of one kind stand beside each other in one figure; the record of
    loadgen paper stands for its experiments. A figure of an INVALID, DEGRADED, emulated, interrupted or cut run says so
    across it, and shows no score of an INVALID or DEGRADED run. Equal records give equal files. Drawing needs the extra
    "plot" of loadgen-verdict.
    """
    from coordinator.output.plot.save import check_file

    check_file(output)
    from coordinator.kinds.catalog import judges
    from coordinator.output.plot.marks import marks_of
    from coordinator.output.plot.save import save
    from coordinator.output.plot.subjects import choose

    chosen, subjects = choose(records, judges(), kind, labels)
    picture = PLOTS[chosen].read(subjects)
    save(picture, output, marks=marks_of(subjects), columns=columns, svg_text=svg_text)
    return 0
