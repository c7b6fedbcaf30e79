"""Numbers, times and bars for people to read.  All views use these functions, so that they round alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

NOTHING = "-"
"""The text in place of a value that is not known."""

_EIGHTHS = " ▏▎▍▌▋▊▉"


def count(number: int) -> str:
    """A whole number with its thousands separated by commas."""
    return f"{number:,}"


def rate(value: float) -> str:
    """A rate with one decimal, without decimals from 10,000 on, and with two below 1."""
    if 0 < abs(value) < 0.995:
        return f"{value:.2f}" if abs(value) >= 0.005 else "<0.01"
    return f"{value:,.1f}" if abs(value) < 10_000 else f"{value:,.0f}"


def millis(value_ms: float | None) -> str:
    """Milliseconds with about three significant digits; NOTHING for None."""
    if value_ms is None:
        return NOTHING
    decimals = 2 if value_ms < 10 else 1 if value_ms < 100 else 0
    return f"{value_ms:,.{decimals}f}"


def percent(share: float | None) -> str:
    """A share of 1 as a percentage, rounded down to one decimal, so that 100 means all; NOTHING for None."""
    if share is None:
        return NOTHING
    tenths = math.floor(share * 1000 + 1e-9)
    return f"{tenths // 10}" if tenths in (0, 1000) else f"{tenths / 10:.1f}"


def share_of(part: int | None, whole: int) -> float | None:
    """`part / whole`; None when `part` is None or `whole` is 0."""
    return None if part is None or whole == 0 else part / whole


def clock(duration_s: float) -> str:
    """A duration as `m:ss`, or as `h:mm:ss` from one hour on."""
    minutes, seconds = divmod(int(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def pad(text: str, width: int, *, right: bool = False, ascii_only: bool = False) -> str:
    """`text` in exactly `width` terminal cells; a text that is too long is cut and ends with a mark."""
    over = cell_len(text) > width
    if over:
        mark = "~" if ascii_only else "…"
        return set_cell_size(text, max(0, width - 1)) + mark[:width]
    space = " " * (width - cell_len(text))
    return space + text if right else text + space


def pad_name(name: str, width: int, *, ascii_only: bool = False) -> str:
    """`name` in exactly `width` terminal cells; one that is too long is cut in the middle: names differ at the end."""
    over = cell_len(name) - width
    if over <= 0 or width < 6 or not name.isascii():
        return pad(name, width, ascii_only=ascii_only)
    head = (width - 1) // 3
    return name[:head] + ("~" if ascii_only else "…") + name[len(name) - (width - 1 - head) :]


def bar(share: float, width: int, *, ascii_only: bool) -> str:
    """A progress bar of `width` cells, of which `share` (of 1) is filled; it is readable without colour."""
    share = min(1.0, max(0.0, share))
    filled = round(share * width)
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    return full * filled + empty * (width - filled)


def sparkline(values: Sequence[float], *, ascii_only: bool) -> str:
    """One cell per value, with a height relative to the greatest value; only values of 0 or less are empty."""
    marks = ".:-=+*#%" if ascii_only else "▁▂▃▄▅▆▇█"
    top = max(values, default=0.0)
    return "".join(" " if value <= 0 else marks[min(len(marks) - 1, int(value / top * len(marks)))] for value in values)


def column(share: float, width: int, *, ascii_only: bool) -> str:
    """A bar of a chart: `share` (of 1) of `width` cells, to an eighth of a cell, without the empty rest."""
    share = min(1.0, max(0.0, share))
    if ascii_only:
        return "#" * max(1 if share > 0 else 0, round(share * width))
    eighths = max(1 if share > 0 else 0, round(share * width * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def ratio(value: float | None) -> str:
    """A ratio with three decimals; a dash for None."""
    return NOTHING if value is None else f"{value:.3f}"
