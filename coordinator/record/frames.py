"""The intervals of a record: measurements as consecutive msgpack maps; the last one may be incomplete."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgpack

from coordinator.record.header import RecordError
from coordinator.record.regular import open_regular
from coordinator.record.writer import DISTURBANCE, INTERVALS, VM_COUNTERS
from loadgen.measure.disturbance import MachineSecond, seconds_of
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import snapshots_of
from loadgen.measure.vm_second import VmSecond, VmWeights, vm_seconds_of
from loadgen.model.errors import PlanError

T = TypeVar("T")

_MAX_FRAME_BYTES = 1 << 28
"""A frame of 20,000 connections is about 2 MB; anything larger than this is damage, not data."""


class Frames(Generic[T]):
    """The measurements in a record's intervals, in the order of arrival; `read` makes some of them from plain data.

    Iterating reads the file from its start.  After that, `torn_bytes` says how many bytes at the end were not a whole
    frame: a run that was killed in the middle of a write leaves some.
    """

    def __init__(self, path: Path, read: Callable[[Any], Sequence[T]]) -> None:
        self._path = path
        self._read = read
        self.torn_bytes = 0

    def __iter__(self) -> Iterator[T]:
        self.torn_bytes = 0
        try:
            file = open_regular(self._path)
        except FileNotFoundError:
            return  # killed before the first interval
        except OSError as error:
            raise RecordError(f"{self._path} cannot be read: {error.strerror}") from error
        with file:
            size = os.fstat(file.fileno()).st_size
            unpacker = msgpack.Unpacker(file, max_buffer_size=_MAX_FRAME_BYTES)
            good = 0
            while good < size:
                try:
                    items = self._read(unpacker.unpack())
                except (msgpack.OutOfData, msgpack.UnpackException, ValueError, PlanError):
                    break
                good = unpacker.tell()
                yield from items
            self.torn_bytes = size - good

    def how_it_ended(self) -> str:
        """The sentence that says how a run ended that did not write its end.  Iterate first."""
        torn = f"; the last {self.torn_bytes} bytes are an incomplete interval and are left out"
        return f"the run was cut off before it wrote its result{torn if self.torn_bytes else ''}"


def seconds(path: Path) -> Frames[MachineSecond]:
    """What each second was like on the load machines of the record in the directory `path`; none in older records."""
    return Frames(path / DISTURBANCE, seconds_of)


def vm_seconds(path: Path) -> Frames[VmSecond | VmWeights]:
    """What was read of the VMs of the record in the directory `path`, in order; nothing in older records."""
    return Frames(path / VM_COUNTERS, vm_seconds_of)


def frames(path: Path) -> Frames[Snapshot]:
    """The snapshots of the record in the directory `path`; none when it has no intervals."""
    return Frames(path / INTERVALS, snapshots_of)
