"""What one worker saw in one interval: a value that merges and that is idempotent to resend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import MAX_WINDOWS, Cell, CellTable
from loadgen.measure.tally import pack_tallies, tally_keys, unpack_tallies
from loadgen.measure.wire import (
    MAX_NUMBER,
    ascend,
    pack,
    read_bytes,
    read_field,
    read_int,
    read_text,
    starts_of,
    sums_of,
    unpack_all,
)

MAX_INTERVAL = 1 << 31  # 68 years of seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the engine process itself did in the interval: the evidence on whether it may be trusted.

    `runqueue_ns` is the time that the process was runnable but waited for a core (/proc/self/schedstat);
    -1 where the kernel does not say.  `still_ns` is the time that it did nothing though a timer of its own was due
    (in stretches of at least loadgen.engine.vitals.STILL_NS) and it had a core: it was stopped, or its machine was.
    """

    wall_ns: int
    cpu_ns: int
    runqueue_ns: int
    still_ns: int
    open_fds: int
    fd_limit: int
    sockets_time_wait: int
    active_connections: int

    def to_wire(self) -> dict[str, int]:
        """Plain data for msgpack."""
        return {name: getattr(self, name) for name in _HEALTH}

    @staticmethod
    def pack_all(rows: Sequence[Health]) -> bytes:
        """Several in eight numbers each, in the order of the fields, each one more than it is: one may be -1."""
        return pack(np.array([[getattr(one, name) + 1 for name in _HEALTH] for one in rows], np.int64))

    @classmethod
    def unpack_all(cls, wires: Sequence[object], sizes: Sequence[int]) -> tuple[Health, ...]:
        """The fields `health` that :meth:`pack_all` made of so many, one's after another's; raises ValueError."""
        numbers = unpack_all(wires, "health", [len(_HEALTH) * size for size in sizes]).astype(np.int64) - 1
        table = numbers.reshape(-1, len(_HEALTH))
        if (table.min(axis=0, initial=0) < _LOWEST).any():
            raise ValueError("a number in field 'health' is negative")
        return tuple(cls(**dict(zip(_HEALTH, row, strict=True))) for row in table.tolist())

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Health:
        """The inverse of :meth:`to_wire`; raises ValueError on anything malformed."""
        # One less than the largest: `pack_all` makes each one more.
        return cls(
            **{n: read_int(wire, n, low=low, high=MAX_NUMBER - 1) for n, low in zip(_HEALTH, _LOWEST, strict=True)}
        )


_HEALTH = tuple(field.name for field in fields(Health))
_LOWEST = [-1 if name == "runqueue_ns" else 0 for name in _HEALTH]


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
            "cells": CellTable.of(self.cells).to_wire(),
            "rows": len(self.tallies),
            "tallies": pack_tallies(self.tallies),
            "health": self.health.to_wire(),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Snapshot:
        """The inverse of :meth:`to_wire`; raises ValueError, and nothing else, on anything malformed."""
        return cls(
            worker=read_text(wire, "worker"),
            interval=read_int(wire, "interval", high=MAX_INTERVAL),
            cells=_cells(read_field(wire, "cells")),
            tallies=read_tallies([wire], np.array([read_int(wire, "rows")]), [1]),
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


def _cells(wire: object) -> CellTable:
    return CellTable.from_wires([wire], np.array([read_int(wire, "size")]), [1])


def read_tallies(wires: Sequence[object], parts: NDArray[Any], members: Sequence[int]) -> NDArray[np.void]:
    """The fields `tallies`, one's rows after another's; ValueError on anything that no engine wrote.

    Each may itself hold the rows of several, its `members`; `parts` says how many each member has.
    """
    data = [read_bytes(wire, "tallies") for wire in wires]
    if parts.max(initial=0) > sum(map(len, data)):  # a sum of numbers that large comes round to anything
        raise ValueError("the tallies are not as many as their parts")
    tallies = unpack_tallies(data, sums_of(parts, members).tolist())
    # As unsigned numbers, negative ones are large.
    if (tallies["window"] + np.int32(1)).view(np.uint32).max(initial=0) > MAX_WINDOWS + 1:
        raise ValueError("a tally's window is out of range")
    for name in ("bytes", "busy_ns"):
        if tallies[name].view(np.uint64).max(initial=0) > MAX_NUMBER:
            raise ValueError(f"a tally's {name} is out of range")
    if not ascend(tally_keys(tallies), starts_of(parts)):
        raise ValueError("the tallies are not in order, or two are of the same connection")
    return tallies
