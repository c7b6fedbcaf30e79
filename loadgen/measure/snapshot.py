"""The measurements of one worker in one interval.  Snapshots can be merged, and sent again without effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import MAX_WINDOWS, Cell, CellTable
from loadgen.measure.shown import Shown, read_shown
from loadgen.measure.slot_time import pack_parts, unpack_parts
from loadgen.measure.tally import pack_tallies, tally_keys, unpack_tallies
from loadgen.measure.tcp_view import TcpView, read_tcp
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
    """The state of the engine process during the interval: evidence for the trust checks.

    Its times are of the part of the interval in which a segment was played, and `wall_ns` is the length of that part.
    `runqueue_ns`: time that the process was runnable but waited for a core (/proc/self/schedstat); -1 if the kernel
    does not report it.  `still_ns`: time that the process did nothing although one of its timers was due (in stretches
    of at least loadgen.engine.vitals.STILL_NS) and it was not waiting for a core: the process or its machine had been
    stopped.
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
        """The health as plain data for msgpack."""
        return {name: getattr(self, name) for name in _HEALTH}

    @staticmethod
    def pack_all(rows: Sequence[Health]) -> bytes:
        """Several in one byte string: each has its fields in order, each field plus 1 because a field may be -1."""
        return pack(np.array([[getattr(one, name) + 1 for name in _HEALTH] for one in rows], np.int64))

    @classmethod
    def unpack_all(cls, wires: Sequence[object], sizes: Sequence[int]) -> tuple[Health, ...]:
        """The inverse of :meth:`pack_all` for the field `health` of several wire forms; form i holds `sizes[i]`.

        Raises ValueError if a field is malformed.
        """
        numbers = unpack_all(wires, "health", [len(_HEALTH) * size for size in sizes]).astype(np.int64) - 1
        table = numbers.reshape(-1, len(_HEALTH))
        if (table.min(axis=0, initial=0) < _LOWEST).any():
            raise ValueError("a number in field 'health' is negative")
        return tuple(cls(**dict(zip(_HEALTH, row, strict=True))) for row in table.tolist())

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Health:
        """The inverse of :meth:`to_wire`.  Raises ValueError if `wire` is malformed."""
        # Less than MAX_NUMBER, because `pack_all` adds 1 to each number.
        return cls(
            **{n: read_int(wire, n, low=low, high=MAX_NUMBER - 1) for n, low in zip(_HEALTH, _LOWEST, strict=True)}
        )


_HEALTH = tuple(one.name for one in fields(Health))
_LOWEST = [-1 if name == "runqueue_ns" else 0 for name in _HEALTH]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The operations of one worker that ended in one interval, and its health.

    `interval`: seconds since the start of the run.  Operations belong to the interval in which they *ended*, so a
    snapshot is complete when it is made.  `cells`: by (window, target index); window -1 is time that is not judged.
    `tallies` (TALLY_DTYPE): at most one row per (window, connection), in that order.  `shown`: what was seen of failed
    operations, and was in no earlier snapshot.  `stages`: the same operations once more by (stage, target index), in a
    segment with stages (loadgen.measure.stages).  `tcp`: what the kernel said of the TCP connections.
    """

    worker: str
    interval: int
    cells: Mapping[tuple[int, int], Cell]
    tallies: NDArray[np.void]
    health: Health
    shown: tuple[Shown, ...] = ()
    stages: Mapping[tuple[int, int], Cell] = field(default_factory=lambda: CellTable.of({}))
    tcp: TcpView = field(default_factory=lambda: TcpView.NOTHING)

    def to_wire(self) -> dict[str, Any]:
        """The snapshot as plain data for msgpack: bytes, strings, lists and whole numbers."""
        return {
            "worker": self.worker,
            "interval": self.interval,
            "cells": CellTable.of(self.cells).to_wire(),
            "rows": len(self.tallies),
            "tallies": pack_tallies(self.tallies),
            "times": pack_parts(self.tallies),
            "health": self.health.to_wire(),
            **({"shown": [one.to_wire() for one in self.shown]} if self.shown else {}),
            **({"stages": CellTable.of(self.stages).to_wire()} if self.stages else {}),
            **({"tcp": self.tcp.to_wire()} if self.tcp else {}),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Snapshot:
        """The inverse of :meth:`to_wire`.  Raises ValueError, and nothing else, if `wire` is malformed."""
        return cls(
            worker=read_text(wire, "worker"),
            interval=read_int(wire, "interval", high=MAX_INTERVAL),
            cells=_cells(read_field(wire, "cells")),
            tallies=read_tallies([wire], np.array([read_int(wire, "rows")]), [1]),
            health=Health.from_wire(read_field(wire, "health")),
            shown=read_shown(wire),
            stages=read_stages(wire),
            tcp=read_tcp(wire),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return (
            (self.worker, self.interval, self.health, self.shown)
            == (other.worker, other.interval, other.health, other.shown)
            and self.cells == other.cells
            and self.stages == other.stages
            and self.tcp == other.tcp
            and np.array_equal(self.tallies, other.tallies)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are compared by content


def _cells(wire: object) -> CellTable:
    return CellTable.from_wires([wire], np.array([read_int(wire, "size")]), [1])


def read_stages(wire: Mapping[str, Any]) -> CellTable:
    """The cells in the field `stages` of a wire form; none without the field.  Raises ValueError if malformed."""
    return _cells(read_field(wire, "stages")) if "stages" in wire else CellTable.of({})


def read_tallies(wires: Sequence[object], parts: NDArray[Any], members: Sequence[int]) -> NDArray[np.void]:
    """The rows (TALLY_DTYPE) in the fields `tallies` and `times` of several wire forms, one after another.

    Wire form i holds the rows of `members[i]` snapshots.  `parts` has the number of rows of each of these snapshots,
    over all wire forms.  Version 0.1.0 wrote no `times`.  Raises ValueError if a field is malformed.
    """
    data = [read_bytes(wire, "tallies") for wire in wires]
    if parts.max(initial=0) > sum(map(len, data)):  # the sum of very large numbers could overflow
        raise ValueError("the number of tallies differs from the sum of their parts")
    sizes = sums_of(parts, members).tolist()
    tallies = unpack_tallies(data, sizes)
    # Seen as unsigned, negative numbers are large.
    if (tallies["window"] + np.int32(1)).view(np.uint32).max(initial=0) > MAX_WINDOWS + 1:
        raise ValueError("a tally's window is out of range")
    for name in ("bytes", "busy_ns"):
        if tallies[name].view(np.uint64).max(initial=0) > MAX_NUMBER:
            raise ValueError(f"a tally's {name} is out of range")
    unpack_parts(tallies, [_read_times(wire) for wire in wires], sizes)
    if not ascend(tally_keys(tallies), starts_of(parts)):
        raise ValueError("the tallies are not in order, or two have the same window and connection")
    return tallies


def _read_times(wire: object) -> bytes:
    return read_bytes(wire, "times") if isinstance(wire, Mapping) and "times" in wire else b""
