"""Figures to look at: as files, as rows of numbers, and as the artists that are drawn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from coordinator.output.judged import Judged
from coordinator.output.plot import style
from coordinator.output.plot.catalog import PLOTS
from coordinator.output.plot.picture import Picture, Subject, Table
from coordinator.output.plot.save import save


def picture_of(kind: str, *runs: Judged[Any, Any]) -> Picture:
    """The picture of these runs, which are called `run 1`, `run 2`."""
    return PLOTS[kind].read([Subject(f"run {at}", one) for at, one in enumerate(runs, 1)])


def saved(picture: Picture, file: Path, *, marks: tuple[str, ...] = (), columns: int = 1, text: bool = True) -> bytes:
    save(picture, file, marks=marks, columns=columns, svg_text=text)
    return file.read_bytes()


def texts_of(svg: bytes) -> list[str]:
    return re.findall(r"<text [^>]*>([^<]*)</text>", svg.decode())


def rows_of(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def drawn(picture: Picture) -> tuple[Any, Any]:
    """The figure with what is drawn in it, and its canvas."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcParams.update(style.PARAMETERS)
        figure = Figure(figsize=(style.WIDTHS_IN[1], style.WIDTHS_IN[1] * picture.height))
        canvas = FigureCanvasAgg(figure)
        picture.draw(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
    return figure, canvas


def axes_of(picture: Picture) -> list[Any]:
    """The axes with what is drawn in them."""
    figure, _ = drawn(picture)
    return list(figure.axes)


def legend_of(axes: Any) -> list[str]:
    legend = axes.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]
