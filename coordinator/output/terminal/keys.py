"""The keys of the live views: bytes of a terminal become keys, and keys change what is shown.  Pure.

Keys change the view only, never the run.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Key(enum.Enum):
    """A key that the live views know."""

    UP = "up"
    DOWN = "down"
    PAGE_UP = "page up"
    PAGE_DOWN = "page down"
    HOME = "home"
    END = "end"
    SORT = "sort"
    HELP = "help"
    ESCAPE = "escape"
    OTHER = "other"


_ESC = "\x1b"

_BY_BYTES = {
    "k": Key.UP, "\x10": Key.UP, "j": Key.DOWN, "\x0e": Key.DOWN, "\r": Key.DOWN, "\n": Key.DOWN,
    "b": Key.PAGE_UP, "\x02": Key.PAGE_UP, " ": Key.PAGE_DOWN, "\x06": Key.PAGE_DOWN, "f": Key.PAGE_DOWN,
    "g": Key.HOME, "G": Key.END, "s": Key.SORT, "?": Key.HELP, "h": Key.HELP,
}  # fmt: skip

_BY_FINAL = {"A": Key.UP, "B": Key.DOWN, "H": Key.HOME, "F": Key.END}
"""Keys of a sequence by its last byte: `ESC [ A`, and `ESC O A` where the terminal is in its application mode."""

_BY_NUMBER = {
    "1": Key.HOME, "7": Key.HOME, "4": Key.END, "8": Key.END, "5": Key.PAGE_UP, "6": Key.PAGE_DOWN
}  # fmt: skip
"""Keys of a sequence `ESC [ number ~`: those of xterm and VT220, of Linux, and of rxvt."""

_LONGEST = 32
"""Sequences are shorter.  What is longer is not a sequence, and is dropped."""

_MOST = 256
"""Characters of one chunk that are read as keys: more come from a paste, which must not cost the run anything."""


class Decoder:
    """Makes keys from the bytes of a terminal; a sequence may arrive in parts."""

    def __init__(self) -> None:
        self._left = ""

    def feed(self, data: bytes) -> list[Key]:
        """The keys that these bytes complete.  A byte that is no key of a live view is Key.OTHER."""
        whole, self._left = self._left + data.decode("latin-1"), ""
        text = whole[:_MOST]
        keys = []
        while text:
            length, key = _first(text)
            if not length:
                self._left = text if len(whole) <= _MOST else ""
                break
            keys.append(key)
            text = text[length:]
        return keys

    def idle(self) -> list[Key]:
        """The keys of what came some time ago and was not continued: a lone ESC is the key Escape."""
        left, self._left = self._left, ""
        return [Key.ESCAPE if left == _ESC else Key.OTHER] if left else []


def _first(text: str) -> tuple[int, Key]:
    """The first key of a text and the number of its characters; (0, ...) when the sequence is incomplete."""
    if text[0] != _ESC:
        return 1, _BY_BYTES.get(text[0], Key.OTHER)
    if len(text) == 1:
        return 0, Key.OTHER
    if text[1] == _ESC:
        return 1, Key.ESCAPE
    if text[1] == "O":
        return (3, _BY_FINAL.get(text[2], Key.OTHER)) if len(text) > 2 else (0, Key.OTHER)
    if text[1] != "[":
        return 2, Key.OTHER  # Alt and a key
    for at, char in enumerate(text[2:_LONGEST], start=2):
        if "\x40" <= char <= "\x7e":  # the last byte of a control sequence (ECMA-48)
            number = text[2:at].partition(";")[0]
            return at + 1, (_BY_NUMBER if char == "~" else _BY_FINAL).get(number if char == "~" else char, Key.OTHER)
    return (0, Key.OTHER) if len(text) < _LONGEST else (_LONGEST, Key.OTHER)


class Order(enum.Enum):
    """The order of the rows."""

    GIVEN = "in the given order"
    WORST = "worst first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What the user chose by keys.

    `keys` says whether keys are read; the live view sets it when it draws.  `order` and `first`, the number of the
    first row from 0, are None while the view chooses by itself.
    """

    keys: bool = False
    help: bool = False
    order: Order | None = None
    first: int | None = None


UNTOUCHED = Controls()
"""No key was pressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The rows that a list shows: from number `first`, `rows` of `total`."""

    first: int = 0
    rows: int = 0
    total: int = 0
    order: Order = Order.GIVEN

    @property
    def whole(self) -> bool:
        """Whether all rows are shown."""
        return self.rows >= self.total

    def words(self, what: str) -> str:
        """Which rows are shown; `what` is the word for the rows, in the plural."""
        last = min(self.first + self.rows, self.total)
        if self.order is Order.GIVEN:
            return f"{what} {self.first + 1:,}-{last:,} of {self.total:,}"
        if self.whole:
            return f"{self.total:,} {what}, worst first"
        if self.first == 0:
            return f"the worst {last:,} of {self.total:,} {what}"
        return f"{what} {self.first + 1:,}-{last:,} of {self.total:,}, worst first"


def window(total: int, rows: int, controls: Controls, automatic: Window) -> Window:
    """The rows to show where `rows` of `total` fit; `automatic` is the choice of the view."""
    if controls.order is None and controls.first is None:
        return automatic
    rows = max(0, min(rows, total))
    first = controls.first or 0
    order = controls.order or automatic.order
    return Window(first=max(0, min(first, total - rows)), rows=rows, total=total, order=order)


def press(controls: Controls, key: Key, shown: Window) -> Controls:
    """What is to be shown after a key; `shown` are the rows that are shown now."""
    if controls.help:
        return dataclasses.replace(controls, help=False)
    match key:
        case Key.HELP:
            return dataclasses.replace(controls, help=True)
        case Key.SORT:
            order = Order.GIVEN if shown.order is Order.WORST else Order.WORST
            return dataclasses.replace(controls, order=order, first=0)
        case Key.ESCAPE:
            return UNTOUCHED
        case Key.OTHER:
            return controls
    step = {
        Key.UP: -1, Key.DOWN: 1, Key.PAGE_UP: -max(1, shown.rows), Key.PAGE_DOWN: max(1, shown.rows),
        Key.HOME: -shown.total, Key.END: shown.total,
    }[key]  # fmt: skip
    first = max(0, min(shown.first + step, shown.total - shown.rows))
    return dataclasses.replace(controls, order=shown.order, first=first)


def press_all(controls: Controls, keys: Iterable[Key], shown: Window) -> Controls:
    """What is to be shown after some keys; `shown` are the rows that are shown before the first one."""
    for key in keys:
        controls = press(controls, key, shown)
        shown = window(shown.total, shown.rows, controls, shown)
    return controls
