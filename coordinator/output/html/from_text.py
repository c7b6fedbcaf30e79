"""The parts of the text report as blocks, so that page and terminal state the same numbers in the same words."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table as RichTable
from rich.text import Text

from coordinator.output.html.blocks import Banner, Block, Items, Table, Words
from coordinator.output.judged import Judged
from coordinator.output.text import REPORTS
from loadgen.model.errors import LoadgenError

_TONES = {"bold": "lead", "bold red": "bad", "bold green": "good", "bold yellow": "warn"}


def report_blocks(judged: Judged[Any, Any]) -> list[Block]:
    """The blocks of the report of this run, in its order, without what stands at the top of every page."""
    console = _Recorder()
    REPORTS[judged.header.kind](console, judged)
    above = _said_above(judged)
    blocks = (_without(block, above) for one in console.shown for block in blocks_of(one))
    return list(_merged(block for block in blocks if block is not None))


def _said_above(judged: Judged[Any, Any]) -> frozenset[str]:
    """The sentences that the top of the page has: reasons, notes, disturbances."""
    try:
        reasons = tuple(judged.result.reasons)
    except LoadgenError:  # a sweep that was cut before its first point
        reasons = ()
    disturbance = getattr(judged.result, "disturbance", None)
    more = (disturbance.sentence,) if disturbance is not None else ()
    return frozenset((*reasons, *getattr(judged.result, "notes", ()), *more))


def _without(block: Block, above: frozenset[str]) -> Block | None:
    """The block without sentences that stand above; None when nothing is left."""
    if not isinstance(block, Items):
        return block
    left = tuple(item for item in block.items if item not in above)
    return Items(block.mark, left) if left else None


def verdict_words(judged: Judged[Any, Any]) -> str:
    """The verdict as the text report says it, such as `VALID (exit code 0)`; empty when it says none."""
    console = _Recorder()
    REPORTS[judged.header.kind](console, judged)
    lines = (line for one in console.shown for line in _lines(one))
    return next((line.removeprefix(_VERDICT) for line in lines if line.startswith(_VERDICT)), "")


def _lines(shown: object) -> Iterator[str]:
    if isinstance(shown, Group):
        for one in shown.renderables:
            yield from _lines(one)
    elif isinstance(shown, Text):
        yield shown.plain


class _Recorder(Console):
    """A console that keeps what it is asked to print."""

    def __init__(self) -> None:
        super().__init__(file=io.StringIO(), width=1000)
        self.shown: list[object] = []

    def print(self, *objects: Any, **_: Any) -> None:
        """Keep the objects."""
        self.shown += objects


def blocks_of(shown: object) -> Iterator[Block]:
    """The blocks of something that rich prints; nothing for what it draws, which pages plot."""
    if isinstance(shown, Group):
        for one in shown.renderables:
            yield from blocks_of(one)
    elif isinstance(shown, RichTable):
        yield from _table(shown)
    elif isinstance(shown, Panel):
        yield Banner(_plain(shown.renderable))
    elif isinstance(shown, Text | str) and (text := _plain(shown).strip()) and not text.startswith(_AT_THE_TOP):
        yield Words(text, _TONES.get(str(shown.style), "") if isinstance(shown, Text) else "")


_VERDICT = "Verdict: "
_AT_THE_TOP = (_VERDICT, "Record: ")
_BULLET = "-"


def _table(table: RichTable) -> Iterator[Block]:
    columns = [[_plain(cell) for cell in column.cells] for column in table.columns]
    rows = tuple(zip(*columns, strict=True))
    if not rows:
        return
    if len(columns) == 2 and not table.show_header:
        marks = dict.fromkeys(first.strip() for first, _ in rows)
        if len(marks) == 1 or _BULLET in marks:  # sentences behind a mark
            for mark in marks:
                name = "" if mark == _BULLET else mark.rstrip(":")
                yield Items(name, tuple(second for first, second in rows if first.strip() == mark))
            return
    head = tuple(_plain(column.header) for column in table.columns) if table.show_header else ()
    yield Table(_plain(table.title or "").strip(), head if any(head) else (), rows)


def _plain(shown: object) -> str:
    return shown.plain if isinstance(shown, Text) else str(shown)


def _merged(blocks: Iterator[Block]) -> Iterator[Block]:
    """The same blocks, with the lists that follow one another under the same mark as one."""
    last: Block | None = None
    for block in blocks:
        if isinstance(block, Items) and isinstance(last, Items) and block.mark == last.mark:
            last = Items(block.mark, (*last.items, *block.items))
            continue
        if last is not None:
            yield last
        last = block
    if last is not None:
        yield last
