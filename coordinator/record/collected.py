"""What a machine still had of a run, put into the run's record."""

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
    """Append the snapshots that the record in `path` does not hold; how many these were.

    A torn end, of a coordinator that was killed while it wrote, is cut off first.  When this returns all is on
    disk.  Raises RecordError when it can't be written, or holds something else of the same intervals.
    """
    kept = frames(path)
    known: dict[tuple[str, int], bytes] = {}  # the last that it has: an interval may be reported again, with more in it
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
    # Those that came together have columns as wide as the largest number of all.
    snapshot = dataclasses.replace(snapshot, cells=CellTable.of(snapshot.cells).widened())
    return hashlib.sha256(msgpack.packb(snapshot.to_wire())).digest()
