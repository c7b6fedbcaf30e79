"""What a machine still had of a run, put into the run's record."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgpack

from coordinator.record.document import RecordError
from coordinator.record.reader import frames
from coordinator.record.writer import INTERVALS
from loadgen.measure.cells import CellTable
from loadgen.measure.snapshot import Snapshot


def add_collected(path: Path, snapshots: Iterable[Snapshot]) -> int:
    """Append the snapshots that the record in `path` does not hold; how many these were.

    A torn end, of a coordinator that was killed while it wrote, is cut off first.  When this returns all is on
    disk.  Raises RecordError when it can't be written, or holds something else of the same intervals.
    """
    kept = frames(path)
    known = {(snapshot.worker, snapshot.interval): _digest(snapshot) for snapshot in kept}
    new = []
    for snapshot in snapshots:
        digest = known.get((snapshot.worker, snapshot.interval))
        if digest is None:
            new.append(snapshot)
        elif digest != _digest(snapshot):
            raise RecordError(
                f"it is not of this run, whose record has something else of {snapshot.worker} "
                f"in interval {snapshot.interval}"
            )
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
