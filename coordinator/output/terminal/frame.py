"""What all live screens have in common: lines that fit the terminal, a hint at the keys, and the help for them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.keys import UNTOUCHED, Controls, Order, Window

HINT = "?: help"
_LEAST_WIDTH = 24
"""On a narrower terminal the title is worth more than the hint."""

_KEYS = (
    ("?  h", "this help; any key closes it"),
    ("s", "sort: worst first, or as given"),
    ("PgUp PgDn", "a page up or down (b, Space)"),
    ("Up Down", "a row up or down (k, j)"),
    ("Home End", "the first or last rows (g, G)"),
    ("Esc", "let the view choose again"),
    ("Ctrl-C", "end the run, and judge it"),
    ("Ctrl-Z", "suspend; fg brings it back"),
)
_KEY_WIDTH = 11

_EXPLAINED = (
    "Keys change what is shown here, and nothing in the run.",
    "A row marked by ! has errors, or connections that do not conform. Rates and times are those of the last second.",
    "A chart shows the last 60 s of its row, relative to the greatest value of that row. A dot is a time without any.",
    "While loadgen is suspended the load goes on, and nobody watches it: the run may become INVALID or DEGRADED.",
)


class LiveScreen(Protocol):
    """A live screen at one moment, for any size of the terminal."""

    def lines(self, width: int, height: int, *, ascii_only: bool) -> list[Text]:
        """The screen: at most `height - 1` lines of at most `width` cells; the first is its title."""

    def window(self, width: int, height: int) -> Window:
        """The rows that it shows of its list."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A live screen as a rich renderable, which measures the terminal each time it is drawn."""

    screen: LiveScreen
    controls: Controls = UNTOUCHED

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("\n", no_wrap=True).join(
            self.lines(options.max_width, options.size.height, ascii_only=options.ascii_only)
        )

    def lines(self, width: int, height: int, *, ascii_only: bool) -> list[Text]:
        """The screen, or the help in place of all but its first two lines."""
        lines = self.screen.lines(width, height, ascii_only=ascii_only)
        if not self.controls.keys:
            return lines
        if self.controls.help:
            lines = [*lines[:2], *_help(width, height - 3, ascii_only)]
        if width >= _LEAST_WIDTH:
            worst = self.screen.window(width, height).order is Order.WORST
            lines[0] = _hinted(lines[0], f"{Order.WORST.value}  {HINT}" if worst else HINT, width, ascii_only)
        return lines


def _hinted(title: Text, hint: str, width: int, ascii_only: bool) -> Text:
    room = width - cell_len(hint) - 2
    if title.cell_len > room:
        title = Text(fmt.pad(title.plain, room, ascii_only=ascii_only), title.style)
    space = " " * (width - title.cell_len - cell_len(hint))
    return Text.assemble(title, space, (hint, "dim"), no_wrap=True)


def _help(width: int, height: int, ascii_only: bool) -> list[Text]:
    """The keys, and below them what the marks mean, in at most `height` lines."""
    lines = list(_help_lines(width))
    if len(lines) > height:
        lines = [line for line in lines if line.plain]
    return [cut_line(line, width, ascii_only) for line in lines[: max(0, height)]]


def _help_lines(width: int) -> Iterator[Text]:
    yield Text()
    for keys, meaning in _KEYS:
        yield Text.assemble((f" {keys:<{_KEY_WIDTH}}", "bold"), meaning)
    yield Text()
    for sentence in _EXPLAINED:
        for line in textwrap.wrap(sentence, max(1, min(width, 80) - 2)):
            yield Text(f" {line}", "dim")


def cut_line(line: Text, width: int, ascii_only: bool) -> Text:
    """The line in at most `width` cells, never wrapped; a line that is too long is cut and ends with a mark."""
    line.no_wrap = True
    if line.cell_len > width:
        line.truncate(max(0, width - 1))
        line.append("~" if ascii_only else "…")
    return line


def fitted(lines: Sequence[Text], width: int, height: int, ascii_only: bool) -> list[Text]:
    """The lines that fit the terminal, whose last line is left free for the cursor."""
    return [cut_line(line, width, ascii_only) for line in lines[: max(1, height - 1)]]


def notice_rows(notices: Sequence[str], most: int) -> list[Text]:
    """The last notices, at most `most`, marked by `!`."""
    return [Text(f"! {notice}", "yellow") for notice in notices[max(0, len(notices) - most) :]]


def progress_line(where: str, share: float, remaining_s: float, width: int, ascii_only: bool) -> Text:
    """The progress of a run: words, a bar where there is room for one, and the remaining time."""
    left = f"{int(min(1.0, share) * 100):3d}%  {fmt.clock(remaining_s)} left"
    room = width - len(left) - 3
    # The words are padded, so that the bar does not move when they change.
    words = fmt.pad(where, min(36, room) if width >= 72 else min(cell_len(where), room), ascii_only=ascii_only)
    length = min(60, room - cell_len(words))
    drawn = fmt.bar(share, length, ascii_only=ascii_only) if length >= 4 else ""
    return Text.assemble((words, "cyan"), " ", (drawn, "green"), " ", left)
