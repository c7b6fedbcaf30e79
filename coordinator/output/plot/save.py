"""Writes a picture to a file: .svg, .pdf and .png by matplotlib; .csv and .tex without it.

Equal pictures give equal bytes: no date, no random name, no font and no setting of this machine.
"""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.output.plot import style
from coordinator.output.plot.latex import latex_of
from coordinator.output.plot.picture import Picture, Table
from coordinator.output.streams import OutputError
from loadgen.host.paths import is_directory
from loadgen.model.errors import PlanError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN = (".svg", ".pdf", ".png")
WRITTEN = (".csv", ".tex")

_METADATA: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": "loadgen", "Producer": None},
    ".png": {"Software": None},
}
_MARK_SHARE = 0.82  # of the width of the figure, for the longest mark
_CHARACTER = 0.72  # width of a capital letter as a share of the size of its font
_POINTS_PER_IN = 72


def check_file(file: Path) -> None:
    """Raises PlanError when the name says no format, the directory is missing, or matplotlib is needed and missing."""
    if file.suffix not in (*DRAWN, *WRITTEN):
        raise PlanError(
            f"{file} is the name of no figure", hint=f"let it end in one of {', '.join((*DRAWN, *WRITTEN))}"
        )
    if not is_directory(file.parent):
        raise PlanError(f"{file} cannot be written: there is no directory {file.parent}")
    if file.suffix in DRAWN:
        try:
            importlib.import_module("matplotlib")
        except ImportError:
            raise PlanError("figures need matplotlib, which is not installed: pip install matplotlib") from None


def save(picture: Picture, file: Path, *, marks: Sequence[str], columns: int, svg_text: bool) -> None:
    """Write the picture with `marks` across it (in .csv, in a column), as wide as `columns` columns of a paper.

    Raises OutputError when the picture is no table and .tex is asked for, or when the file cannot be written.
    """
    if file.suffix == ".csv":
        data = _csv(picture.table, marks).encode()
    elif file.suffix == ".tex":
        if picture.latex is None:
            raise OutputError(f"{file}: this figure is no table", hint="write it as .svg, .pdf or .png, or as .csv")
        data = latex_of(picture.latex, marks).encode()
    else:
        data = _drawn(picture, file.suffix, marks, columns, svg_text=svg_text)
    try:
        file.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror}") from error


def _csv(table: Table, marks: Sequence[str]) -> str:
    """The table with the marks of the figure in each row, and in a row of their own when there is no other."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*table.columns, "marks"])
    rows = table.rows or (((None,) * len(table.columns),) if marks else ())
    writer.writerows([*("" if cell is None else _plain(cell) for cell in row), " ".join(marks)] for row in rows)
    return stream.getvalue()


def _plain(cell: str | float) -> object:
    return (
        f"{cell:.6g}"
        if isinstance(cell, float) and not cell.is_integer()
        else f"{cell:.0f}"
        if isinstance(cell, float)
        else cell
    )


def _drawn(picture: Picture, suffix: str, marks: Sequence[str], columns: int, *, svg_text: bool) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    data = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style.PARAMETERS)
        matplotlib.rcParams["svg.fonttype"] = "none" if svg_text else "path"
        width_in = style.WIDTHS_IN[columns]
        height_in = picture.height * style.WIDTHS_IN[1] * (1.0 if columns == 1 else 1.15)
        figure = Figure(figsize=(width_in, height_in))
        picture.draw(figure)
        if marks:
            _mark(figure, " · ".join(marks), width_in)
        figure.savefig(data, format=suffix[1:], metadata=_METADATA[suffix])
    return data.getvalue()


def _mark(figure: Figure, words: str, width_in: float) -> None:
    size = min(0.2 * width_in, _MARK_SHARE * width_in / (_CHARACTER * len(words))) * _POINTS_PER_IN
    figure.text(
        0.5,
        0.5,
        words,
        fontsize=size,
        color="#000000",
        alpha=0.3,
        ha="center",
        va="center",
        rotation=18,
        weight="bold",
        zorder=100,
    )
