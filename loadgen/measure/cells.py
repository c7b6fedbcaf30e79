"""Counts and times of operations, by window and target: single cells, and a table of many cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cell_wire import read_shape, read_some, read_sums
from loadgen.measure.histogram import EMPTY, Histogram
from loadgen.measure.histograms import Histograms
from loadgen.measure.wire import pack, read_field, read_int, sums_of, unpack_all
from loadgen.model.outcome import OUTCOMES, Outcome

OK, BAD, CUT = range(3)
"""Indexes into the last axis of `Cell.counts`."""

MAX_TARGETS = 1 << 16
MAX_WINDOWS = 1 << 16

_MAX_CELLS = 1 << 20
_KEY_BITS = 34  # bits of a window and a target packed into one number

_ERRORS = np.array([outcome.is_error for outcome in Outcome])
_COUNTERS = ("good", "tolerable", "overdue", "bytes", "connects", "retries", "rest_ns", "surplus")
_TIMES = ("response", "service", "lateness")
_BOUNDS = ("response_failed", "response_cut", "service_failed", "service_cut")
_CODES = ("statuses",)


def _empty() -> Histogram:
    return EMPTY


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """The operations of one window against one target that ended in the interval.

    Arrays are int64.  `outcomes`: by Outcome.  `counts`: shape (kinds, groups, 3), the ok, bad and cut operations by
    kind and group of the tape.  `bytes`: all bytes received, also by failed operations; in a closed loop without
    pacing, of an operation that was due before the window, the part inside.  `overdue`: cut operations
    that had exceeded a fixed tolerable time, or whose rate so far was not tolerable.  `connects`: TCP connections
    opened.  `retries`: operations with a request that was sent once more because the server had closed the kept TCP
    connection.  `rest_ns`: time that connections rested after errors.  `surplus`: operations with bytes that no request
    asked for.  `statuses`: the status codes of whole replies (loadgen.measure.codes).  The other histograms are in
    nanoseconds:
    `response` (done - due) and `service` (done - sent) of ok operations, `lateness` (sent - due) of all sent ones.
    Of a failed or cut operation, these differences are only lower bounds of its times, and are kept apart:
    `response_failed` and `response_cut` have all such operations, `service_failed` and `service_cut` the sent ones.
    """

    outcomes: NDArray[np.int64]
    counts: NDArray[np.int64]
    good: int
    tolerable: int
    overdue: int
    bytes: int
    connects: int
    response: Histogram
    service: Histogram
    lateness: Histogram
    response_failed: Histogram = field(default_factory=_empty)
    response_cut: Histogram = field(default_factory=_empty)
    service_failed: Histogram = field(default_factory=_empty)
    service_cut: Histogram = field(default_factory=_empty)
    retries: int = 0
    rest_ns: int = 0
    surplus: int = 0
    statuses: Histogram = field(default_factory=_empty)

    @classmethod
    def empty(cls, kinds: int, groups: int) -> Cell:
        """A cell without operations; merging it with another changes nothing."""
        return cls(
            np.zeros(OUTCOMES, np.int64),
            np.zeros((kinds, groups, 3), np.int64),
            *(0, 0, 0, 0, 0),
            *(EMPTY, EMPTY, EMPTY),
        )

    @classmethod
    def merge_all(cls, cells: Iterable[Cell]) -> Cell:
        """The sum of at least one cell.  Raises ValueError if their numbers of kinds or groups differ."""
        parts = list(cells)
        if len(parts) == 1:
            return parts[0]
        return cls(
            outcomes=np.sum([c.outcomes for c in parts], axis=0),
            counts=np.sum([c.counts for c in parts], axis=0),
            good=sum(c.good for c in parts),
            tolerable=sum(c.tolerable for c in parts),
            overdue=sum(c.overdue for c in parts),
            bytes=sum(c.bytes for c in parts),
            connects=sum(c.connects for c in parts),
            retries=sum(c.retries for c in parts),
            rest_ns=sum(c.rest_ns for c in parts),
            surplus=sum(c.surplus for c in parts),
            **{name: Histogram.merge_all(getattr(c, name) for c in parts) for name in (*_TIMES, *_BOUNDS, *_CODES)},
        )

    @property
    def ok(self) -> int:
        """The number of operations that succeeded."""
        return int(self.outcomes[Outcome.OK])

    @property
    def bad(self) -> int:
        """The number of operations that failed."""
        return int(self.outcomes[_ERRORS].sum())

    @property
    def cut(self) -> int:
        """The number of operations that were under way when the segment ended."""
        return int(self.outcomes[Outcome.CUT])

    @property
    def issued(self) -> int:
        """The number of all operations: ok, bad and cut."""
        return int(self.outcomes.sum())

    @property
    def errors(self) -> dict[str, int]:
        """The number of failed operations by Outcome name; only outcomes that occurred."""
        return {o.name: int(self.outcomes[o]) for o in Outcome if o.is_error and self.outcomes[o]}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cell):
            return NotImplemented
        return (
            np.array_equal(self.outcomes, other.outcomes)
            and np.array_equal(self.counts, other.counts)
            and all(getattr(self, name) == getattr(other, name) for name in (*_COUNTERS, *_TIMES, *_BOUNDS, *_CODES))
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are compared by content


Key = tuple[int, int]
"""(window, target index)."""


class CellTable(Mapping[Key, Cell]):
    """Cells by (window, target index), stored as integer columns; a Cell is built when it is looked up.

    With n cells: `slots` (n) holds window + 1, `targets` (n) the target indexes.  `outcomes` has the shape
    (n, OUTCOMES), `counts` (n, kinds, groups, 3), `sums` (n, 8) for good, tolerable, overdue, bytes, connects, retries,
    rest_ns and surplus.
    `times` has 3 n rows: response, service and lateness of the first cell, then of the second, and so on.
    `bounds` has 4 n rows in the same way: response_failed, response_cut, service_failed, service_cut; `statuses` has n.
    """

    __slots__ = ("_at", "bounds", "counts", "outcomes", "slots", "statuses", "sums", "targets", "times")

    def __init__(
        self,
        slots: NDArray[Any],
        targets: NDArray[Any],
        outcomes: NDArray[Any],
        counts: NDArray[Any],
        sums: NDArray[Any],
        times: Histograms,
        bounds: Histograms,
        statuses: Histograms,
    ) -> None:
        self.slots = slots
        self.targets = targets
        self.outcomes = outcomes
        self.counts = counts
        self.sums = sums
        self.times = times
        self.bounds = bounds
        self.statuses = statuses
        self._at: dict[Key, int] = {}

    @property
    def windows(self) -> NDArray[np.int64]:
        """The window of each cell, shape (n)."""
        return self.slots.astype(np.int64) - 1

    @classmethod
    def of(cls, cells: Mapping[Key, Cell]) -> CellTable:
        """A table of these cells.  Raises ValueError if their numbers of kinds or groups differ."""
        if isinstance(cells, CellTable):
            return cells
        if not cells:
            return _NONE
        keys = np.array(list(cells), np.int64)
        values = list(cells.values())
        return cls(
            keys[:, 0] + 1,
            keys[:, 1],
            np.array([cell.outcomes for cell in values]),
            np.array([cell.counts for cell in values]),
            np.array([[getattr(cell, name) for name in _COUNTERS] for cell in values], np.int64),
            Histograms.of(getattr(cell, name) for cell in values for name in _TIMES),
            Histograms.of(getattr(cell, name) for cell in values for name in _BOUNDS),
            Histograms.of(cell.statuses for cell in values),
        )

    @classmethod
    def join(cls, tables: Iterable[CellTable]) -> CellTable:
        """The rows of all tables, not yet added up.  Raises ValueError if their shapes differ."""
        parts = [table for table in tables if len(table)]
        if len(parts) < 2:
            return parts[0] if parts else _NONE
        return cls(
            np.concatenate([table.slots for table in parts]),
            np.concatenate([table.targets for table in parts]),
            np.concatenate([table.outcomes for table in parts]),
            np.concatenate([table.counts for table in parts]),
            np.concatenate([table.sums for table in parts]),
            Histograms.join([table.times for table in parts]),
            Histograms.join([table.bounds for table in parts]),
            Histograms.join([table.statuses for table in parts]),
        )

    def add_up(self) -> CellTable:
        """One cell per (window, target), the sum of its rows, ordered by window and target."""
        if not len(self):
            return self
        keys = self._keys()
        order = np.argsort(keys, kind="stable")
        first = np.flatnonzero(np.diff(keys[order], prepend=-1))
        found = keys[order][first]
        group = np.searchsorted(found, keys)

        def total(column: NDArray[Any]) -> NDArray[np.int64]:
            return np.add.reduceat(column[order], first, axis=0, dtype=np.int64)

        return CellTable(
            found // MAX_TARGETS,
            found % MAX_TARGETS,
            total(self.outcomes),
            total(self.counts),
            total(self.sums),
            self.times.add_up(_each(group, len(_TIMES)), len(_TIMES) * len(found)),
            self.bounds.add_up(_each(group, len(_BOUNDS)), len(_BOUNDS) * len(found)),
            self.statuses.add_up(group, len(found)),
        )

    @classmethod
    def merge_all(cls, tables: Iterable[CellTable]) -> CellTable:
        """The sum of any number of tables, ordered by window and target.  Raises ValueError if their shapes differ."""
        return cls.join(tables).add_up()

    def widened(self) -> CellTable:
        """The same cells in int64 columns: the wire form then depends on the cells only."""
        if not len(self):
            return _NONE
        return CellTable(
            self.slots.astype(np.int64),
            self.targets.astype(np.int64),
            self.outcomes.astype(np.int64),
            self.counts.astype(np.int64),
            self.sums.astype(np.int64),
            self.times.widened(),
            self.bounds.widened(),
            self.statuses.widened(),
        )

    def part(self, first: int, end: int) -> CellTable:
        """A table of the cells at rows first..end-1, sharing their memory."""
        return CellTable(
            self.slots[first:end],
            self.targets[first:end],
            self.outcomes[first:end],
            self.counts[first:end],
            self.sums[first:end],
            self.times.part(len(_TIMES) * first, len(_TIMES) * end),
            self.bounds.part(len(_BOUNDS) * first, len(_BOUNDS) * end),
            self.statuses.part(first, end),
        )

    def add_up_times(self, name: str, group: NDArray[np.int64], groups: int) -> Histograms:
        """Histograms with `groups` rows: row g is the histogram `name` of all cells whose `group` is g.

        `name` is that of a histogram of a Cell in nanoseconds.
        """
        names, rows = (_TIMES, self.times) if name in _TIMES else (_BOUNDS, self.bounds)
        of_rows = np.full(len(rows), -1)
        of_rows[names.index(name) :: len(names)] = group
        return rows.add_up(of_rows, groups)

    def bad(self) -> NDArray[np.int64]:
        """The failed operations of each cell, shape (n)."""
        found: NDArray[np.int64] = self.outcomes[:, _ERRORS].sum(axis=1, dtype=np.int64)
        return found

    def bytes(self) -> NDArray[Any]:
        """The bytes received in each cell, shape (n)."""
        return self.sums[:, _COUNTERS.index("bytes")]

    def connects(self) -> NDArray[Any]:
        """The TCP connections opened in each cell, shape (n)."""
        return self.sums[:, _COUNTERS.index("connects")]

    def __len__(self) -> int:
        return len(self.slots)

    def __iter__(self) -> Iterator[Key]:
        return iter(zip((slot - 1 for slot in self.slots.tolist()), self.targets.tolist(), strict=True))

    def __getitem__(self, key: Key) -> Cell:
        if not self._at:
            self._at = {one: row for row, one in enumerate(self)}
        row = self._at[key]
        times: dict[str, Any] = {name: self.times[len(_TIMES) * row + at] for at, name in enumerate(_TIMES)}
        bounds: dict[str, Any] = {name: self.bounds[len(_BOUNDS) * row + at] for at, name in enumerate(_BOUNDS)}
        return Cell(
            outcomes=self.outcomes[row].astype(np.int64),
            counts=self.counts[row].astype(np.int64),
            **dict(zip(_COUNTERS, self.sums[row].tolist(), strict=True)),
            **times,
            **bounds,
            statuses=self.statuses[row],
        )

    def to_wire(self) -> dict[str, Any]:
        """The table as plain data for msgpack.  Without failed and cut operations, the field `bounds` is left out,
        and without whole replies the field `statuses`.
        """
        some = {name: rows for name in ("bounds", *_CODES) if len((rows := getattr(self, name)).indexes)}
        return {
            "size": len(self),
            "kinds": self.counts.shape[1],
            "groups": self.counts.shape[2],
            "slots": pack(self.slots),
            "targets": pack(self.targets),
            "outcomes": pack(self.outcomes),
            "counts": pack(self.counts),
            "counters": len(_COUNTERS),
            "sums": pack(self.sums),
            "times": self.times.to_wire(),
            **{name: rows.to_wire() for name, rows in some.items()},
        }

    @classmethod
    def from_wires(cls, wires: Sequence[object], parts: NDArray[Any], members: Sequence[int]) -> CellTable:
        """The inverse of :meth:`to_wire` for several wire forms; their cells follow one another.

        Wire form i holds the cells of `members[i]` snapshots.  `parts` has the number of cells of each of these
        snapshots, over all wire forms.  Raises ValueError if a wire form is malformed, or if their numbers of kinds or
        groups differ.
        """
        sizes = [read_int(wire, "size", high=_MAX_CELLS) for wire in wires]
        if parts.max(initial=0) > _MAX_CELLS or sums_of(parts, members).tolist() != sizes:
            raise ValueError("the number of cells differs from the sum of their parts")
        shapes = {
            shape
            for shape, size in zip([read_shape(wire) for wire in wires], sizes, strict=True)
            if size or len(wires) == 1
        }
        if len(shapes) > 1:
            raise ValueError("the cells differ in their numbers of kinds or groups")
        kinds, groups = shapes.pop() if shapes else (1, 1)

        def column(name: str, *shape: int) -> NDArray[Any]:
            width = math.prod(shape)
            return unpack_all(wires, name, [size * width for size in sizes]).reshape(-1, *shape)

        table = cls(
            column("slots"),
            column("targets"),
            column("outcomes", OUTCOMES),
            column("counts", kinds, groups, 3),
            read_sums(wires, sizes, len(_COUNTERS)),
            Histograms.from_wires([read_field(wire, "times") for wire in wires], [len(_TIMES) * n for n in sizes]),
            read_some(wires, "bounds", [len(_BOUNDS) * n for n in sizes]),
            read_some(wires, "statuses", sizes),
        )
        if table.slots.max(initial=0) > MAX_WINDOWS + 1 or table.targets.max(initial=0) >= MAX_TARGETS:
            raise ValueError("the cells' windows or targets are out of range")
        keys = table._keys() + np.repeat(np.arange(len(parts)) << _KEY_BITS, parts)
        keys.sort()
        if (keys[1:] == keys[:-1]).any():
            raise ValueError("two cells have the same window and target")
        return table

    def _keys(self) -> NDArray[np.int64]:
        keys: NDArray[np.int64] = self.slots.astype(np.int64) * MAX_TARGETS + self.targets
        return keys


_NONE = CellTable(
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros((0, OUTCOMES), np.int64),
    np.zeros((0, 1, 1, 3), np.int64),
    np.zeros((0, len(_COUNTERS)), np.int64),
    *(Histograms.of(()), Histograms.of(()), Histograms.of(())),
)


def _each(group: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """The group of each histogram, from the group of each cell, which has `rows` histograms."""
    return (rows * group[:, np.newaxis] + np.arange(rows)).ravel()
