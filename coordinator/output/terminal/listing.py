"""A list on a live screen that may have more rows than lines: by itself, it shows the newest."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from coordinator.output.terminal.keys import Controls, Order, Window, window


def list_window(total: int, room: int, controls: Controls) -> Window:
    """The rows to show in `room` lines; where they do not all fit, one line says which they are."""
    rows = min(total, max(0, room if total <= room else room - 1))
    return window(total, rows, controls, Window(first=total - rows, rows=rows, total=total))


def list_lines(rows: Sequence[Text], shown: Window, what: str) -> list[Text]:
    """The shown of `rows`, which are in the order of `shown`; `what` is the word for rows, in the plural."""
    lines = list(rows[shown.first : shown.first + shown.rows])
    if shown.rows and (not shown.whole or shown.order is Order.WORST):
        lines.append(Text(f" {shown.words(what)}", "dim"))
    return lines
