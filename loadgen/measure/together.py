"""Snapshots of several workers as one value on the wire: read and checked in one go, for what it costs to read one.

Nothing is added up: what comes back are the same snapshots.  A load machine's engines report an interval at nearly
the same time, and with hundreds of machines reading each engine's report by itself is what costs the coordinator most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from loadgen.measure.cells import CellTable
from loadgen.measure.snapshot import MAX_INTERVAL, Health, Snapshot, read_tallies
from loadgen.measure.tally import join_tallies
from loadgen.measure.wire import pack, read_field, read_list, starts_of, unpack

_MAX_PARTS = 1 << 12
_MAX_NAME = 256


def together_to_wire(snapshots: Sequence[Snapshot]) -> dict[str, Any]:
    """Plain data for msgpack, of at least one; ValueError when they count different kinds or groups."""
    tables = [CellTable.of(snapshot.cells) for snapshot in snapshots]
    return {
        "workers": [snapshot.worker for snapshot in snapshots],
        "intervals": pack(np.array([snapshot.interval for snapshot in snapshots], np.int64)),
        "cell_parts": pack(np.array([len(table) for table in tables], np.int64)),
        "cells": CellTable.join(tables).to_wire(),
        "tally_parts": pack(np.array([len(snapshot.tallies) for snapshot in snapshots], np.int64)),
        "tallies": join_tallies([snapshot.tallies for snapshot in snapshots]).tobytes(),
        "health": [snapshot.health.to_wire() for snapshot in snapshots],
    }


def together_from_wire(wire: object) -> list[Snapshot]:
    """The inverse of :func:`together_to_wire`; raises ValueError, and nothing else, on anything malformed."""
    workers, healths = read_list(wire, "workers"), read_list(wire, "health")
    size = len(workers)
    if not 0 < size <= _MAX_PARTS or len(healths) != size:
        raise ValueError("field 'workers' or 'health' has not one for each snapshot")
    if not all(isinstance(worker, str) and 0 < len(worker) <= _MAX_NAME for worker in workers):
        raise ValueError(f"field 'workers' has one that is not a string of 1..{_MAX_NAME} characters")
    intervals = unpack(wire, "intervals", size)
    if int(intervals.max()) > MAX_INTERVAL:
        raise ValueError("field 'intervals' has one that is out of range")
    cell_parts, tally_parts = (unpack(wire, name, size).astype(np.int64) for name in ("cell_parts", "tally_parts"))
    table = CellTable.from_wire(read_field(wire, "cells"), cell_parts)
    tallies = read_tallies(wire, tally_parts)
    cells, rows = starts_of(cell_parts).tolist(), starts_of(tally_parts).tolist()
    return [
        Snapshot(
            worker=worker,
            interval=interval,
            cells=table.part(cells[at], cells[at + 1]),
            tallies=tallies[rows[at] : rows[at + 1]],
            health=Health.from_wire(healths[at]),
        )
        for at, (worker, interval) in enumerate(zip(workers, intervals.tolist(), strict=True))
    ]
