"""Numbers, times and bars as people read them.  One place, so that every view rounds alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

NOTHING = "-"
"""What stands where there is no value."""

_EIGHTHS = " ▏▎▍▌▋▊▉"


def count(number: int) -> str:
    """A whole number with thousands separated."""
    return f"{number:,}"


def rate(value: float) -> str:
    """A rate: one decimal up to 10,000, none above."""
    return f"{value:,.1f}" if abs(value) < 10_000 else f"{value:,.0f}"


def millis(value_ms: float | None) -> str:
    """Milliseconds with about three digits that mean something."""
    if value_ms is None:
        return NOTHING
    decimals = 2 if value_ms < 10 else 1 if value_ms < 100 else 0
    return f"{value_ms:,.{decimals}f}"


def percent(share: float | None) -> str:
    """A share of one as a percentage, rounded down to one decimal: 100 is only ever all of it."""
    if share is None:
        return NOTHING
    tenths = math.floor(share * 1000 + 1e-9)
    return f"{tenths // 10}" if tenths in (0, 1000) else f"{tenths / 10:.1f}"


def share_of(part: int | None, whole: int) -> float | None:
    """`part / whole`, or None when there is nothing to divide."""
    return None if part is None or whole == 0 else part / whole


def clock(duration_s: float) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on."""
    minutes, seconds = divmod(int(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def pad(text: str, width: int, *, right: bool = False, ascii_only: bool = False) -> str:
    """`text` in exactly `width` terminal cells; what is too long is cut, and the cut shows."""
    over = cell_len(text) > width
    if over:
        mark = "~" if ascii_only else "…"
        return set_cell_size(text, max(0, width - 1)) + mark[:width]
    space = " " * (width - cell_len(text))
    return space + text if right else text + space


def bar(share: float, width: int, *, ascii_only: bool) -> str:
    """A bar of `width` cells of which `share` is filled; readable without colour."""
    share = min(1.0, max(0.0, share))
    filled = round(share * width)
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    return full * filled + empty * (width - filled)


def sparkline(values: Sequence[float], *, ascii_only: bool) -> str:
    """A cell for each value, as high as it is beside the greatest; what is more than nothing is never empty."""
    marks = ".:-=+*#%" if ascii_only else "▁▂▃▄▅▆▇█"
    top = max(values, default=0.0)
    return "".join(" " if value <= 0 else marks[min(len(marks) - 1, int(value / top * len(marks)))] for value in values)


def column(share: float, width: int, *, ascii_only: bool) -> str:
    """A chart's bar, at most `width` cells, to an eighth of a cell; empty space is empty."""
    share = min(1.0, max(0.0, share))
    if ascii_only:
        return "#" * max(1 if share > 0 else 0, round(share * width))
    eighths = max(1 if share > 0 else 0, round(share * width * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
