"""The measurements of a run, read from the intervals of its record, for the output formats."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coordinator.output.judged import Judged
from coordinator.record.catalog import KINDS
from coordinator.record.frames import Frames
from coordinator.record.header import RecordError
from coordinator.record.reader import Record, load
from loadgen.measure.cells import Cell
from loadgen.measure.snapshot import Snapshot
from loadgen.model.errors import LoadgenError

INTERVAL_S = 1.0
"""The length of an interval of a snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One record with measurements: the record of the run, or of one of several runs.

    `name` is the directory of the record, relative to the one that was asked for; it is empty for that one itself.
    `start_s` is when the part began, after the start of the whole.
    """

    name: str
    record: Record
    start_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """One of several runs whose record cannot be read, and why."""

    name: str
    why: str


def parts_of(judged: Judged[Any, Any]) -> Iterator[Part]:
    """The records that hold the measurements of a run.  Raises RecordError when one of them cannot be read."""
    yield from (_part(judged, name) for name in _names(judged))


def readable_parts(judged: Judged[Any, Any]) -> Iterator[Part | Unread]:
    """The same, of which some cannot be read: one damaged record must not hide the others."""
    for name in _names(judged):
        part: Part | Unread
        try:
            part = _part(judged, name)
        except LoadgenError as error:
            part = Unread(name=name, why=error.message)
        yield part


def _names(judged: Judged[Any, Any]) -> Sequence[str]:
    """The directories of the records; "" is that of the run itself."""
    runs = KINDS[judged.header.kind].runs
    return ("",) if runs is None else tuple(runs(judged.result))


def _part(judged: Judged[Any, Any], name: str) -> Part:
    if not name:
        own = Record(path=judged.path, document=judged.document, header=judged.header)
        return Part(name="", record=own, start_s=0.0)
    record = load(judged.path / name)
    start_s = epoch_s(record.header.started_at) - epoch_s(judged.header.started_at)
    return Part(name=name, record=record, start_s=start_s)


def epoch_s(started_at: str) -> float:
    """The time of a header in seconds since the epoch.  Raises RecordError when it is no time."""
    try:
        return datetime.fromisoformat(started_at).timestamp()
    except ValueError as error:
        raise RecordError(f"the record says that the run started at {started_at!r}, which is not a time") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """One interval, the engines added up.

    `cells`: by (window, target index).  `cut`: by window, the cut operations of its tallies, which also count those
    that were due before the window and reach into it.
    """

    interval: int
    cells: Mapping[tuple[int, int], Cell]
    cut: Mapping[int, int]


def seconds_of(snapshots: Frames[Snapshot]) -> Iterator[Second]:
    """The intervals in order."""
    newest: dict[tuple[int, str], Snapshot] = {}
    for snapshot in snapshots:  # a later snapshot of an interval holds all of an earlier one
        newest[snapshot.interval, snapshot.worker] = snapshot
    by_interval: defaultdict[int, defaultdict[tuple[int, int], list[Cell]]] = defaultdict(lambda: defaultdict(list))
    cut: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for (interval, _), snapshot in newest.items():
        for key, cell in snapshot.cells.items():
            by_interval[interval][key].append(cell)
        rows = snapshot.tallies[snapshot.tallies["cut"] > 0]
        for window, number in zip(rows["window"].tolist(), rows["cut"].tolist(), strict=True):
            cut[interval][window] += number
    for interval in sorted(by_interval):
        cells = {key: Cell.merge_all(some) for key, some in sorted(by_interval[interval].items())}
        yield Second(interval=interval, cells=cells, cut=cut[interval])


def window_of(operations: Mapping[int, int]) -> int:
    """The measured window of most operations that ended in a span of time; -1 when most belong to none.

    `operations`: their numbers by window.  Those of a window also end after it: so a few do not decide.
    """
    return max(operations, key=lambda window: (operations[window], window), default=-1)
