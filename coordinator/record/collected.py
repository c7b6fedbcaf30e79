"""Adds to a record the snapshots that a load machine still kept of the run."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgpack

from coordinator.record.frames import frames
from coordinator.record.header import RecordError
from coordinator.record.writer import INTERVALS
from loadgen.measure.cells import CellTable
from loadgen.measure.snapshot import Snapshot


def add_collected(path: Path, snapshots: Sequence[Snapshot]) -> int:
    """Append to the record in `path` the snapshots that it does not hold yet; returns their number.

    An incomplete end, left by a killed coordinator, is cut off first.  Everything is on disk on return.  Raises
    RecordError when the record cannot be written, or when it holds different snapshots of the same intervals.
    """
    kept = frames(path)
    # The newest of each interval counts: an interval may be reported again, with more in it.
    known: dict[tuple[str, int], bytes] = {}
    for snapshot in kept:
        known[snapshot.worker, snapshot.interval] = _digest(snapshot)
    new: list[Snapshot] = []
    confirmed: set[tuple[str, int]] = set()
    for snapshot in snapshots:
        key = snapshot.worker, snapshot.interval
        if known.get(key) == _digest(snapshot):
            confirmed.add(key)
        elif key not in known or key in confirmed:
            new.append(snapshot)
    found = {(snapshot.worker, snapshot.interval) for snapshot in snapshots}
    for worker, interval in sorted((known.keys() & found) - confirmed):
        raise RecordError(f"it is not of this run, whose record has something else of {worker} in interval {interval}")
    file_path = path / INTERVALS
    try:
        with file_path.open("ab") as file:
            file.truncate(file.tell() - kept.torn_bytes)
            for snapshot in new:
                file.write(msgpack.packb(snapshot.to_wire()))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RecordError(f"{file_path} cannot be written: {error.strerror}") from error
    return len(new)


def _digest(snapshot: Snapshot) -> bytes:
    # Snapshots that arrived together have columns as wide as their largest number needs.
    cells, stages = (CellTable.of(one).widened() for one in (snapshot.cells, snapshot.stages))
    snapshot = dataclasses.replace(snapshot, cells=cells, stages=stages)
    return hashlib.sha256(msgpack.packb(snapshot.to_wire())).digest()
