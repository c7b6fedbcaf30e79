"""How figures look: sizes of papers, colours that differ in grey, hatches, markers and line styles."""

from __future__ import annotations

from typing import Any

WIDTHS_IN = {1: 3.5, 2: 7.16}
"""Width in inches by the number of columns that a figure spans, as IEEE and ACM have them."""

FILLS = ("#08306b", "#a6cbe3", "#4a8fc4", "#e4eef8", "#2b5f9e", "#c9ddf0")
"""Fills of neighbours: their lightness differs by at least 15 of 100, so they differ on a printer without colour."""

HATCHES = ("", "///", "...", "", "\\\\\\", "xx")
"""With each fill.  A hatch tells two fills apart even where their lightness is close."""

LINES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P")
INKS = ("#08306b", "#2b7bba", "#5a5a5a", "#0b0b0b", "#6aa5d0", "#8a8a8a")
"""Colours of lines; line style and marker differ, too."""

EDGE = "#111111"
BAND = "#9ecae1"
SHADE = "#bbbbbb"

PARAMETERS: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so a figure is the same on every machine
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
    "patch.linewidth": 0.5,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # TrueType, embedded; publishers refuse Type 3
    "ps.fonttype": 42,
    "svg.hashsalt": "loadgen",  # names in an SVG are random without it
    "axes.unicode_minus": False,
    "text.parse_math": False,  # a name may hold dollar signs
}
"""Parameters of matplotlib; all others are its defaults, whatever the user's matplotlibrc says."""
