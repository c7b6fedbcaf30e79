"""Snapshots of several workers as one value, which is read, checked, filed and recorded at the cost of one snapshot.

The snapshots are not added up: they can be split again.  The engines of a load machine report an interval at nearly the
same time.  With hundreds of machines, handling each report separately would be the coordinator's largest cost.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import CellTable
from loadgen.measure.shown import Shown, read_shown
from loadgen.measure.slot_time import pack_parts
from loadgen.measure.snapshot import MAX_INTERVAL, Health, Snapshot, read_stages, read_tallies
from loadgen.measure.tally import join_tallies, pack_tallies
from loadgen.measure.tcp_view import TcpView, read_tcp
from loadgen.measure.wire import pack, read_field, read_int, read_list, starts_of, unpack, unpack_all

_chain = itertools.chain.from_iterable

_MAX_PARTS = 1 << 12
_MAX_NAME = 256


@dataclass(frozen=True, slots=True, eq=False)
class Snapshots:
    """At least one snapshot, as columns.

    `workers`, `intervals`, `health`, `shown`, `stages`, `tcp`, `cell_parts` and `tally_parts` (both int64) have one
    entry per snapshot.  The cells and tallies of all snapshots follow one
    another; `cell_parts` and `tally_parts` count those of each.
    """

    workers: tuple[str, ...]
    intervals: tuple[int, ...]
    cells: CellTable
    cell_parts: NDArray[np.int64]
    tallies: NDArray[np.void]
    tally_parts: NDArray[np.int64]
    health: tuple[Health, ...]
    shown: tuple[tuple[Shown, ...], ...]
    stages: tuple[CellTable, ...]
    tcp: tuple[TcpView, ...]

    @classmethod
    def of(cls, snapshots: Iterable[Snapshot]) -> Snapshots:
        """The given snapshots together.  Raises ValueError if their numbers of kinds or groups differ."""
        parts = tuple(snapshots)
        tables = [CellTable.of(one.cells) for one in parts]
        return cls(
            workers=tuple(one.worker for one in parts),
            intervals=tuple(one.interval for one in parts),
            cells=CellTable.join(tables),
            cell_parts=np.array([len(table) for table in tables], np.int64),
            tallies=join_tallies([one.tallies for one in parts]),
            tally_parts=np.array([len(one.tallies) for one in parts], np.int64),
            health=tuple(one.health for one in parts),
            shown=tuple(one.shown for one in parts),
            stages=tuple(CellTable.of(one.stages) for one in parts),
            tcp=tuple(one.tcp for one in parts),
        )

    def split(self) -> list[Snapshot]:
        """The single snapshots in order, sharing the memory of their columns."""
        cells, rows = starts_of(self.cell_parts).tolist(), starts_of(self.tally_parts).tolist()
        return [
            Snapshot(
                worker=worker,
                interval=self.intervals[at],
                cells=self.cells.part(cells[at], cells[at + 1]),
                tallies=self.tallies[rows[at] : rows[at + 1]],
                health=self.health[at],
                shown=self.shown[at],
                stages=self.stages[at],
                tcp=self.tcp[at],
            )
            for at, worker in enumerate(self.workers)
        ]

    def of_workers(self, workers: Iterable[str]) -> Snapshots | None:
        """The snapshots of the given workers; None if there are none."""
        wanted = set(workers)
        if wanted.issuperset(self.workers):
            return self
        some = [one for one in self.split() if one.worker in wanted]
        return Snapshots.of(some) if some else None

    def connects(self) -> NDArray[np.int64]:
        """TCP connections opened, shape (snapshots, targets)."""
        targets = int(self.cells.targets.max(initial=0)) + 1
        owner = np.repeat(np.arange(len(self.workers)) * targets, self.cell_parts)
        flat = np.bincount(owner + self.cells.targets, self.cells.connects(), minlength=len(self.workers) * targets)
        return flat.astype(np.int64).reshape(-1, targets)

    def to_wire(self) -> dict[str, Any]:
        """The snapshots as plain data for msgpack."""
        return {
            "workers": self.workers,
            "intervals": pack(np.array(self.intervals, np.int64)),
            "cell_parts": pack(self.cell_parts),
            "cells": self.cells.to_wire(),
            "tally_parts": pack(self.tally_parts),
            "tallies": pack_tallies(self.tallies),
            "times": pack_parts(self.tallies),
            "health": Health.pack_all(self.health),
            **self._shown_to_wire(),
            **self._stages_to_wire(),
            **self._tcp_to_wire(),
        }

    def _shown_to_wire(self) -> dict[str, Any]:
        """What snapshots show: for each that shows anything, its index and the field `shown` of its own wire form."""
        some = [[at, [one.to_wire() for one in shown]] for at, shown in enumerate(self.shown) if shown]
        return {"shown": some} if some else {}

    def _stages_to_wire(self) -> dict[str, Any]:
        """The stages in the same way."""
        some = [[at, table.to_wire()] for at, table in enumerate(self.stages) if table]
        return {"stages": some} if some else {}

    def _tcp_to_wire(self) -> dict[str, Any]:
        """The views of TCP in the same way."""
        some = [[at, view.to_wire()] for at, view in enumerate(self.tcp) if view]
        return {"tcp": some} if some else {}

    @classmethod
    def from_wires(cls, wires: Sequence[object]) -> Snapshots:
        """The inverse of :meth:`to_wire` for at least one wire form; the snapshots of all follow one another.

        Raises ValueError, and nothing else, if a wire form is malformed or their numbers of kinds or groups differ.
        """
        workers = [read_workers(wire) for wire in wires]
        sizes = [len(mine) for mine in workers]
        cell_parts, tally_parts = (
            unpack_all(wires, name, sizes).astype(np.int64) for name in ("cell_parts", "tally_parts")
        )
        return cls(
            workers=tuple(_chain(workers)),
            intervals=tuple(_chain(map(read_intervals, wires))),
            cells=CellTable.from_wires([read_field(wire, "cells") for wire in wires], cell_parts, sizes),
            cell_parts=cell_parts,
            tallies=read_tallies(wires, tally_parts, sizes),
            tally_parts=tally_parts,
            health=Health.unpack_all(wires, sizes),
            shown=tuple(_chain(map(_read_shown, wires, sizes))),
            stages=tuple(_chain(map(_read_stages, wires, sizes))),
            tcp=tuple(_chain(map(_read_tcp, wires, sizes))),
        )


def _read_shown(wire: Any, size: int) -> list[tuple[Shown, ...]]:
    shown: list[tuple[Shown, ...]] = [()] * size
    for given in _pairs(wire, "shown"):
        shown[read_int(given, "at", high=size - 1)] = read_shown(given)
    return shown


def _read_stages(wire: Any, size: int) -> list[CellTable]:
    stages = [CellTable.of({})] * size
    for given in _pairs(wire, "stages"):
        stages[read_int(given, "at", high=size - 1)] = read_stages(given)
    return stages


def _read_tcp(wire: Any, size: int) -> list[TcpView]:
    views = [TcpView.NOTHING] * size
    for given in _pairs(wire, "tcp"):
        views[read_int(given, "at", high=size - 1)] = read_tcp(given)
    return views


def _pairs(wire: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """The entries of a field that only some snapshots have: each is the index of a snapshot and its own field."""
    for one in read_list(wire, name) if name in wire else ():
        if not isinstance(one, list | tuple) or len(one) != 2:
            raise ValueError(f"field {name!r} does not hold pairs")
        yield {"at": one[0], name: one[1]}


def read_workers(wire: object) -> list[str]:
    """The worker of each snapshot in a wire form.  Raises ValueError if they are not valid names."""
    workers = read_list(wire, "workers")
    if not 0 < len(workers) <= _MAX_PARTS:
        raise ValueError(f"field 'workers' has {len(workers)} names, expected 1..{_MAX_PARTS}")
    if not all(isinstance(worker, str) and 0 < len(worker) <= _MAX_NAME for worker in workers):
        raise ValueError(f"a name in field 'workers' is not a string of 1..{_MAX_NAME} characters")
    return workers


def read_intervals(wire: object) -> list[int]:
    """The interval of each snapshot in a wire form.  Raises ValueError if the field is malformed."""
    intervals: list[int] = unpack(wire, "intervals", len(read_list(wire, "workers"))).tolist()
    if max(intervals, default=0) > MAX_INTERVAL:
        raise ValueError(f"a number in field 'intervals' is above {MAX_INTERVAL}")
    return intervals


def snapshots_of(wire: object) -> Sequence[Snapshot]:
    """The snapshots in the wire form of one Snapshot or of Snapshots.  Raises only ValueError, if malformed."""
    if isinstance(wire, dict) and "workers" in wire:
        return Snapshots.from_wires([wire]).split()
    return (Snapshot.from_wire(wire),)  # type: ignore[arg-type]  # it checks the type itself
