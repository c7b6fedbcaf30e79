"""A table as LaTeX, for the package booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.output.plot.picture import Cell, Table

_ESCAPED = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "≥": r"$\ge$",
    "–": "--",
    "…": r"\ldots{}",
    "<": r"$<$",
    ">": r"$>$",
}


def latex_of(table: Table, marks: Sequence[str]) -> str:
    """The table as a `tabular` of booktabs; `marks` stand in a line above it, and not only in a comment."""
    width = len(table.columns)
    lines = [f"% {table.caption}. Needs \\usepackage{{booktabs}}.", f"\\begin{{tabular}}{{l{'r' * (width - 1)}}}"]
    if marks:
        lines.append(rf"\multicolumn{{{width}}}{{c}}{{\textbf{{{_escape(' · '.join(marks)).replace('·', '--')}}}}} \\")
    lines += [r"\toprule", _row(table.columns), r"\midrule", *map(_row, table.rows), r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[Cell]) -> str:
    return (
        " & ".join(_escape("--" if cell is None else cell if isinstance(cell, str) else f"{cell:g}") for cell in cells)
        + r" \\"
    )


def _escape(text: str) -> str:
    return "".join(_ESCAPED.get(char, char) for char in text)
