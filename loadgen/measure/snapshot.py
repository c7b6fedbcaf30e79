"""What one worker saw in one interval: a value that merges and that is idempotent to resend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.histogram import EMPTY, Histogram
from loadgen.measure.tally import TALLY_DTYPE, tally_keys
from loadgen.measure.wire import MAX_NUMBER, read_bytes, read_field, read_int, read_list, read_text
from loadgen.model.outcome import OUTCOMES, Outcome

OK, BAD, CUT = range(3)
"""The last axis of `Cell.counts`."""

MAX_INTERVAL = 1 << 31  # 68 years of seconds
MAX_TARGETS = 1 << 16
MAX_WINDOWS = 1 << 16

_ERRORS = np.array([outcome.is_error for outcome in Outcome])
_COUNTERS = ("good", "tolerable", "overdue", "bytes", "connects")
_TIMES = ("response", "service", "lateness")


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """The operations of one window against one target that ended in the interval.

    Arrays are int64: `outcomes` by Outcome; `counts` of shape (kinds, groups, 3): ok, bad and cut
    operations by the tape's kind and group.  `bytes` is all that was received, errors included.
    `overdue` are cut operations that had passed a fixed tolerable time already.
    The histograms hold ok operations only, in nanoseconds; `lateness` holds all that were sent.
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

    @classmethod
    def empty(cls, kinds: int, groups: int) -> Cell:
        """The cell of no operation: merging it changes nothing."""
        return cls(
            np.zeros(OUTCOMES, np.int64), np.zeros((kinds, groups, 3), np.int64), 0, 0, 0, 0, 0, EMPTY, EMPTY, EMPTY
        )

    def merge(self, other: Cell) -> Cell:
        """The operations of both; raises ValueError when their kinds or groups differ in number."""
        return Cell.merge_all((self, other))

    @classmethod
    def merge_all(cls, cells: Iterable[Cell]) -> Cell:
        """The operations of all of at least one cell."""
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
            response=Histogram.merge_all(c.response for c in parts),
            service=Histogram.merge_all(c.service for c in parts),
            lateness=Histogram.merge_all(c.lateness for c in parts),
        )

    @property
    def ok(self) -> int:
        """Operations that ended well."""
        return int(self.outcomes[Outcome.OK])

    @property
    def bad(self) -> int:
        """Operations that ended in an error."""
        return int(self.outcomes[_ERRORS].sum())

    @property
    def cut(self) -> int:
        """Operations that were under way when the segment ended."""
        return int(self.outcomes[Outcome.CUT])

    @property
    def issued(self) -> int:
        """All operations."""
        return int(self.outcomes.sum())

    @property
    def errors(self) -> dict[str, int]:
        """Errors by the name of their outcome, those that occurred."""
        return {o.name: int(self.outcomes[o]) for o in Outcome if o.is_error and self.outcomes[o]}

    def to_wire(self) -> dict[str, Any]:
        """Plain data for msgpack."""
        return {
            "outcomes": self.outcomes.astype("<i8").tobytes(),
            "counts": self.counts.astype("<i8").tobytes(),
            "kinds": self.counts.shape[0],
            "groups": self.counts.shape[1],
            **{name: getattr(self, name) for name in _COUNTERS},
            **{name: getattr(self, name).to_wire() for name in _TIMES},
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Cell:
        """The inverse of :meth:`to_wire`; raises ValueError on anything malformed."""
        kinds, groups = (read_int(wire, name, low=1, high=255) for name in ("kinds", "groups"))
        return cls(
            outcomes=_read_counts(wire, "outcomes", OUTCOMES),
            counts=_read_counts(wire, "counts", kinds * groups * 3).reshape(kinds, groups, 3),
            good=read_int(wire, "good"),
            tolerable=read_int(wire, "tolerable"),
            overdue=read_int(wire, "overdue"),
            bytes=read_int(wire, "bytes"),
            connects=read_int(wire, "connects"),
            response=Histogram.from_wire(read_field(wire, "response")),
            service=Histogram.from_wire(read_field(wire, "service")),
            lateness=Histogram.from_wire(read_field(wire, "lateness")),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cell):
            return NotImplemented
        return (
            np.array_equal(self.outcomes, other.outcomes)
            and np.array_equal(self.counts, other.counts)
            and all(getattr(self, name) == getattr(other, name) for name in (*_COUNTERS, *_TIMES))
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are compared by content


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the engine process itself did in the interval: the evidence on whether it may be trusted.

    `runqueue_ns` is the time that the process was runnable but waited for a core (/proc/self/schedstat);
    -1 where the kernel does not say.
    """

    wall_ns: int
    cpu_ns: int
    runqueue_ns: int
    open_fds: int
    fd_limit: int
    sockets_time_wait: int
    active_connections: int

    def to_wire(self) -> dict[str, int]:
        """Plain data for msgpack."""
        return asdict(self)

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Health:
        """The inverse of :meth:`to_wire`; raises ValueError on anything malformed."""
        return cls(**{f.name: read_int(wire, f.name, low=-1 if f.name == "runqueue_ns" else 0) for f in fields(cls)})


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One worker's interval.

    `interval` counts seconds since the start of the run, by when operations *ended*, so a snapshot is
    complete when it is made.  `cells` is keyed by (window, target index); window -1 is unjudged time.
    `tallies` has TALLY_DTYPE, at most one row a (window, connection), in that order.
    """

    worker: str
    interval: int
    cells: Mapping[tuple[int, int], Cell]
    tallies: NDArray[np.void]
    health: Health

    def to_wire(self) -> dict[str, Any]:
        """Plain data for msgpack: bytes, strings, lists and whole numbers."""
        return {
            "worker": self.worker,
            "interval": self.interval,
            "cells": [
                {"window": window, "target": target, **cell.to_wire()} for (window, target), cell in self.cells.items()
            ],
            "tallies": self.tallies.tobytes(),
            "health": self.health.to_wire(),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Snapshot:
        """The inverse of :meth:`to_wire`; raises ValueError, and nothing else, on anything malformed."""
        cells: dict[tuple[int, int], Cell] = {}
        for part in read_list(wire, "cells"):
            window = read_int(part, "window", low=-1, high=MAX_WINDOWS)
            key = window, read_int(part, "target", high=MAX_TARGETS - 1)
            if key in cells:
                raise ValueError(f"two cells are of window {key[0]} and target {key[1]}")
            cells[key] = Cell.from_wire(part)
        return cls(
            worker=read_text(wire, "worker"),
            interval=read_int(wire, "interval", high=MAX_INTERVAL),
            cells=cells,
            tallies=_read_tallies(wire),
            health=Health.from_wire(read_field(wire, "health")),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return (
            (self.worker, self.interval, self.health) == (other.worker, other.interval, other.health)
            and self.cells == other.cells
            and np.array_equal(self.tallies, other.tallies)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are compared by content


def _read_counts(wire: object, name: str, size: int) -> NDArray[np.int64]:
    counts = np.frombuffer(read_bytes(wire, name, length=8 * size), dtype="<i8").astype(np.int64)
    if counts.min(initial=0) < 0 or counts.max(initial=0) > MAX_NUMBER:
        raise ValueError(f"a count in {name!r} is out of range")
    return counts


def _read_tallies(wire: object) -> NDArray[np.void]:
    data = read_bytes(wire, "tallies")
    if len(data) % TALLY_DTYPE.itemsize:
        raise ValueError(f"the tallies are not whole rows of {TALLY_DTYPE.itemsize} bytes")
    tallies = np.frombuffer(data, dtype=TALLY_DTYPE)
    windows = tallies["window"]
    if windows.min(initial=0) < -1 or windows.max(initial=0) > MAX_WINDOWS:
        raise ValueError("a tally's window is out of range")
    for name in ("bytes", "busy_ns"):
        if tallies[name].min(initial=0) < 0 or tallies[name].max(initial=0) > MAX_NUMBER:
            raise ValueError(f"a tally's {name} is out of range")
    if (np.diff(tally_keys(tallies)) <= 0).any():
        raise ValueError("the tallies are not in order, or two are of the same connection")
    return tallies
